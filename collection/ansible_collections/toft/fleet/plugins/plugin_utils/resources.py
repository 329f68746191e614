# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What commands share: files, build outputs, sources, repositories, images, ports, databases, locks.

A resource is a value of a kind and a name. Two of them overlap if touching one may touch the other:

- `path`: a file or a whole tree, explicitly named; a name may be a glob. A tree holds all below it.
- `entry`: that a directory exists (`cd x`). What is written below it does not matter.
- `output`: what a build in directory `name` leaves behind. Which files is not known, but whose: `detail` is
  `MAKER:PATTERNS`, and a path is one of them if it fits a pattern, or looks built where the pattern is `*`.
- `sources`: the files of a language in a tree; `detail` has their patterns. A report or a binary is none.
- `worktree`: what git would see change: sources and named files, not outputs and logs.
- `context`: what a container's build sees: all but logs and reports.
- `git`: one repository; a directory and those below it are taken for the same one.
- `word`: a word of a program that we do not know; it is a path if a command names just that path.
- every other kind (`image`, `port`, `db`, `lock`, …): equal names; `*` is any.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

BUILT_ENDINGS = frozenset(
    {
        "o", "a", "so", "dylib", "dll", "exe", "bin", "elf", "img", "hex", "uf2", "ko", "jar",
        "war", "class", "whl", "gz", "tgz", "zip", "deb", "rpm", "wasm", "pdf", "html", "pyc",
        "map", "dmg",
    }
)  # fmt: skip
BUILT_PLACES = frozenset(
    {
        "build", "bin", "dist", "out", "target", "lib", "obj", "_build", "public", "site", "output",
        "release", "debug",
    }
)  # fmt: skip
BUILT_FOR_SURE = frozenset(("build", "dist", "obj", "_build", "target"))
SOURCE_PLACES = frozenset(
    {
        "src", "source", "sources", "test", "tests", "spec", "doc", "docs", "include", "scripts",
        "examples", "README", "LICENSE", "Makefile", "Dockerfile", "node_modules", "vendor", "deps",
        "venv", ".venv",
    }
)  # fmt: skip
REPORT_ENDINGS = frozenset(("log", "xml", "out", "err"))


@dataclass(frozen=True, slots=True)
class Resource:
    kind: str
    name: str
    detail: str = ""

    def __str__(self) -> str:
        if self.kind == "output":
            return f"what {self.detail.partition(':')[0]} builds in {self.name}"
        words = {"path": "", "entry": "", "word": "", "sources": "sources in ", "worktree": "the working tree "}
        return f"{words.get(self.kind, self.kind + ' ')}{self.name}".strip()


@dataclass(frozen=True, slots=True)
class Access:
    """`write`: it is changed; otherwise it is needed as it is. `serves`: it is there as soon as it runs."""

    resource: Resource
    write: bool
    serves: bool = False


def overlap(one: Resource, other: Resource) -> bool:
    """Whether touching one may touch the other; symmetric."""
    if one.kind == other.kind:
        return _SAME.get(one.kind, _same_name)(one, other)
    if (one.kind, other.kind) in _PAIRS:
        return _PAIRS[one.kind, other.kind](one, other)
    if (other.kind, one.kind) in _PAIRS:
        return _PAIRS[other.kind, one.kind](other, one)
    return False


# ---- paths -------------------------------------------------------------------


def placed(directory: str | None, text: str) -> str | None:
    """A path as seen from where the line starts; None if that cannot be known."""
    if text.startswith(("/", "~", "$")):
        return posixpath.normpath(text)
    return None if directory is None else posixpath.normpath(posixpath.join(directory, text))


def paths_overlap(one: str, other: str) -> bool:
    """The same, or one within the other. Absolute and relative paths are taken for different ones."""
    a, b = _parts(one), _parts(other)
    if a is None or b is None or _root(one) != _root(other):
        return False
    for x, y in zip(a, b, strict=False):
        if "**" in (x, y):
            return True
        if not _part_fits(x, y):
            return False
    return True


def holds(tree: str, path: str) -> bool:
    """Whether the path is the tree itself or in it."""
    a, b = _parts(tree), _parts(path)
    return a is not None and b is not None and len(a) <= len(b) and paths_overlap(tree, path)


def _parts(path: str) -> list[str] | None:
    return [] if path in (".", "/") else [part for part in path.split("/") if part]


def _root(path: str) -> str:
    return "/" if path.startswith("/") else ".." if path.startswith("..") else "."


def _part_fits(x: str, y: str) -> bool:
    if _is_glob(x) and _is_glob(y):
        (a, b), (c, d) = ((each.partition("*")[0], each.rpartition("*")[2]) for each in (x, y))
        return (a.startswith(c) or c.startswith(a)) and (b.endswith(d) or d.endswith(b))
    return x == y or (_is_glob(x) and fnmatchcase(y, x)) or (_is_glob(y) and fnmatchcase(x, y))


def _is_glob(part: str) -> bool:
    return any(mark in part for mark in "*?[")


def ending(path: str) -> str:
    """`gz` of x.tar.gz, `` of Makefile and of .profile."""
    return posixpath.splitext(path)[1].removeprefix(".").lower()


# ---- kinds -------------------------------------------------------------------


def _same_name(one: Resource, other: Resource) -> bool:
    return one.name == other.name or "*" in (one.name, other.name)


def _paths(one: Resource, other: Resource) -> bool:
    return paths_overlap(one.name, other.name)


def _outputs(one: Resource, other: Resource) -> bool:
    makers = {each.detail.partition(":")[0] for each in (one, other)}
    return len(makers) == 1 and one.name == other.name


def _sources(one: Resource, other: Resource) -> bool:
    return bool(_patterns(one) & _patterns(other)) and paths_overlap(one.name, other.name)


def _patterns(resource: Resource) -> set[str]:
    return set(resource.detail.split(","))


def _path_output(path: Resource, output: Resource) -> bool:
    if holds(path.name, output.name):
        return True
    if not holds(output.name, path.name):
        return False
    inner = path.name if output.name == "." else posixpath.relpath(path.name, output.name)
    patterns = output.detail.partition(":")[2]
    if patterns == "*":
        return looks_built(inner)
    return any(holds(p, inner) or (not _is_glob(p) and holds(inner, p)) for p in patterns.split(","))


def looks_built(path: str) -> bool:
    """By its name alone: an object, an archive, something in `build` or `bin`, a program."""
    parts = path.split("/")
    if ending(path):
        return ending(path) in BUILT_ENDINGS or not BUILT_PLACES.isdisjoint(parts[:-1])
    if not BUILT_FOR_SURE.isdisjoint(parts):
        return True
    return parts[0] not in SOURCE_PLACES and not parts[0].startswith("..")


def _path_sources(path: Resource, sources: Resource) -> bool:
    if holds(path.name, sources.name):
        return True
    base = posixpath.basename(path.name)
    return holds(sources.name, path.name) and any(_part_fits(base, pattern) for pattern in _patterns(sources))


def _path_entry(path: Resource, entry: Resource) -> bool:
    return holds(path.name, entry.name)


def _path_worktree(path: Resource, tree: Resource) -> bool:
    return ending(path.name) not in REPORT_ENDINGS and paths_overlap(path.name, tree.name)


_SAME: dict[str, Callable[[Resource, Resource], bool]] = {
    "path": _paths,
    "git": _paths,
    "output": _outputs,
    "sources": _sources,
    "entry": lambda one, other: False,
}
_PAIRS: dict[tuple[str, str], Callable[[Resource, Resource], bool]] = {
    ("path", "output"): _path_output,
    ("path", "sources"): _path_sources,
    ("path", "entry"): _path_entry,
    ("path", "word"): lambda path, word: path.name == word.name,
    ("path", "worktree"): _path_worktree,
    ("path", "context"): _path_worktree,
    ("sources", "worktree"): _paths,
    ("sources", "context"): _paths,
    ("output", "context"): _paths,
}
