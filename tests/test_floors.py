"""Imports go one way: faces -> fleet -> engine, store -> the collection's logic, and never back up."""

import ast
import sys
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WRAPPER = ROOT / "wrapper"
PLUGINS = ROOT / "collection/ansible_collections/toft/fleet/plugins"
BELOW = {
    "cli": {"cli", "fleet"},
    "web": {"web", "fleet"},
    "mcp": {"mcp", "fleet"},
    "resident": {"resident", "cli", "engine", "warm"},
    "fleet": {"fleet", "engine", "store", "warm"},
    "warm": {"warm"},
    "engine": {"engine"},
    "store": {"store"},
    "plugin": set(),
}
"""What each room of the wrapper may import of the wrapper. The values that a face hands to a use case
(streams, orders, records) are defined on the floor below; see FACE_VALUES."""
FACE_VALUES = {"toft.engine.control", "toft.engine.stdin", "toft.engine.streams", "toft.store.records"}
ONLY_IMPORTED_BY = {"ansible_runner": "engine", "sqlite3": "store"}


def imports(path: Path, members: bool = False) -> set[str]:
    """The modules that it names; with `members` also what is taken out of them, which may be a module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module}
            found |= {f"{node.module}.{alias.name}" for alias in node.names if members}
    return found


def room(path: Path) -> str:
    return path.relative_to(WRAPPER / "toft").parts[0]


FILES = sorted(p for p in (WRAPPER / "toft").rglob("*.py") if p.parent != WRAPPER / "toft")
COLLECTION = sorted(PLUGINS.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(WRAPPER)))
def test_the_wrapper_imports_downwards(path: Path) -> None:
    allowed = BELOW[room(path)]
    for name in imports(path):
        if name.startswith("toft.") and name not in FACE_VALUES:
            assert name.split(".")[1] in allowed, f"{path} imports {name}"
        for package, owner in ONLY_IMPORTED_BY.items():
            assert name.split(".")[0] != package or room(path) == owner, f"{path} imports {name}"


@pytest.mark.parametrize("path", COLLECTION, ids=lambda p: str(p.relative_to(PLUGINS)))
def test_the_collection_stands_alone(path: Path) -> None:
    assert not any(name.split(".")[0] == "toft" for name in imports(path))


def name_of(path: Path) -> str:
    return ".".join((path.relative_to(PLUGINS.parents[3]).with_suffix("")).parts)


def collection_imports() -> dict[str, set[str]]:
    """Each module of the collection, and those of the collection that it names, wherever in its text:
    imports for a type checker and imports within a function are arrows too.
    """
    paths = {name_of(path): path for path in COLLECTION}
    return {name: imports(path, members=True) & paths.keys() for name, path in paths.items()}


def circle(arrows: Mapping[str, Iterable[str]]) -> list[str]:
    """Modules of which each imports the next, and the last the first; none if there is no circle."""
    try:
        tuple(TopologicalSorter(arrows).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def test_the_collection_imports_one_way() -> None:
    arrows = collection_imports()
    assert sum(map(len, arrows.values())) > len(arrows) / 2, "the imports are not seen"
    assert circle(arrows) == []


def test_a_circle_is_seen() -> None:
    assert circle({"a": ["b"], "b": ["c"], "c": []}) == []
    assert set(circle({"a": ["b"], "b": ["c"], "c": ["b"]})) == {"b", "c"}


NODE_ROOMS = sorted((PLUGINS / "module_utils").glob("*.py"))


@pytest.mark.parametrize("path", NODE_ROOMS, ids=lambda p: p.name)
def test_what_runs_on_nodes_needs_only_the_standard_library(path: Path) -> None:
    ours = "ansible_collections.toft.fleet.plugins.module_utils"
    for name in imports(path):
        package = name.split(".")[0]
        assert package in sys.stdlib_module_names or name.startswith(ours), f"{path} imports {name}"


@pytest.mark.parametrize("path", NODE_ROOMS, ids=lambda p: p.name)
def test_what_runs_on_nodes_is_python_3_8(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 8))
