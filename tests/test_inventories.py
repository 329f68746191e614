"""The fleets in inventories/: every fact that their owners gave, as cases/inventories.json has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toft.fleet import inventory, settings

ROOT = Path(__file__).parents[1]
CASES: dict[str, Any] = json.loads((Path(__file__).parent / "cases" / "inventories.json").read_text())


@pytest.fixture(scope="module", params=sorted(CASES))
def fleet(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], subprocess.CompletedProcess[str]]:
    """A fleet's facts, and what ansible-inventory says of its directory."""
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "--list", "-i"]
    home = str(tmp_path_factory.mktemp("home"))
    env = {"PATH": os.environ["PATH"], "HOME": home, "LC_ALL": "C.UTF-8"}
    run = subprocess.run([*command, str(ROOT / "inventories" / request.param)], capture_output=True, text=True, env=env)
    return CASES[request.param], run


def test_loads_without_a_warning(fleet: tuple[dict[str, Any], subprocess.CompletedProcess[str]]) -> None:
    _, run = fleet
    assert (run.returncode, run.stderr) == (0, "")


def test_groups(fleet: tuple[dict[str, Any], subprocess.CompletedProcess[str]]) -> None:
    facts, run = fleet
    listed = json.loads(run.stdout)
    names = set(listed) - {"_meta", "all", "ungrouped"}
    assert {name: sorted(hosts_of(listed, name)) for name in names} == facts["groups"]


def test_facts_of_each_node(fleet: tuple[dict[str, Any], subprocess.CompletedProcess[str]]) -> None:
    facts, run = fleet
    found = json.loads(run.stdout)["_meta"]["hostvars"]
    expected = {name: {**facts.get("all", {}), **variables} for name, variables in facts["hosts"].items()}
    assert found == expected


def hosts_of(listed: dict[str, Any], group: str) -> set[str]:
    entry = listed[group]
    below = [hosts_of(listed, child) for child in entry.get("children", [])]
    return set(entry.get("hosts", [])).union(*below)


@pytest.mark.parametrize("name", sorted(CASES))
def test_passes_our_own_check(name: str) -> None:
    given = settings.load({"HOME": "/nonexistent"}, ROOT, {"inventory": [f"inventories/{name}"]})
    assert inventory.resolve(given).files == (ROOT / "inventories" / name / "hosts.yml",)


def test_each_fleet_is_in_the_readme() -> None:
    directories = {path.name for path in (ROOT / "inventories").iterdir() if path.is_dir()}
    readme = (ROOT / "inventories" / "README.md").read_text()
    assert directories == set(CASES)
    assert [name for name in directories if f"| `{name}` |" not in readme] == []
