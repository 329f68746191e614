"""Which playbooks set nodes up, and in which order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from toft.fleet.failures import Failure
from toft.fleet.playbooks import Play, Playbooks, read
from toft.fleet.provision import chosen, playbooks, variables

KNOWN = """
site:
- {name: Base, ansible.builtin.import_playbook: toft.fleet.base}
- {name: Disks, import_playbook: storage.yml}
base:
- {name: Base, hosts: all, roles: [toft.fleet.base]}
storage:
- name: Storage
  hosts: [storage, extra]
  tasks: [{block: [{ansible.builtin.include_role: {name: toft.fleet.storage}}]}]
verify:
- {name: Verify, hosts: all, tasks: [{include_role: {name: toft.fleet.base}}]}
bootstrap:
- {hosts: new, tasks: [{ansible.builtin.include_role: {name: toft.fleet.base}}]}
agents:
- {import_playbook: toft.fleet.base}
- {name: Agents, hosts: agents, roles: [toft.fleet.agent]}
delegate:
- {name: Delegate, hosts: all, tasks: [{toft.fleet.route: {words: [ls]}}]}
"""


@pytest.fixture
def known() -> Playbooks:
    return Playbooks(yaml.safe_load(KNOWN))


def test_the_order_is_the_sites(known: Playbooks) -> None:
    assert known.roles() == ("bootstrap", "base", "storage", "agents", "verify")
    assert known.whole() == ("base", "storage")


def test_plays_of_what_is_imported_are_that_ones(known: Playbooks) -> None:
    assert known.plays("site") == (Play("base", "Base", "all"), Play("storage", "Storage", "storage,extra"))
    assert known.plays("agents") == (Play("base", "Base", "all"), Play("agents", "Agents", "agents"))
    assert known.plays("bootstrap") == (Play("bootstrap", "new", "new"),)


CHOICES = [
    ([], ("site",), ("base", "storage")),
    (["storage"], ("storage",), ("storage",)),
    (["verify", "storage", "base", "storage"], ("base", "storage", "verify"), ("base", "storage", "verify")),
    (["verify", "site"], ("site", "verify"), ("base", "storage", "verify")),
    (["site", "bootstrap"], ("bootstrap", "site"), ("bootstrap", "base", "storage")),
]


@pytest.mark.parametrize(("asked", "names", "roles"), CHOICES)
def test_what_is_run(known: Playbooks, asked: list[str], names: tuple[str, ...], roles: tuple[str, ...]) -> None:
    assert chosen(known, asked) == (names, roles)


@pytest.mark.parametrize("name", ["delegate", "nonsense", "../base", ""])
def test_what_is_no_role(known: Playbooks, name: str) -> None:
    with pytest.raises(Failure, match="there is no role") as caught:
        chosen(known, [name])
    assert (caught.value.exit_code, caught.value.hint) == (2, "one of: bootstrap, base, storage, agents, verify")


def test_those_of_the_collection() -> None:
    found = playbooks(os.environ)
    assert {"base", "storage", "tailscale", "verify"} <= set(found.roles())
    assert not {"delegate", "site"} & set(found.roles())
    assert set(found.whole()) <= set(found.roles())
    assert found.plays("storage")[0].hosts == "storage"


def test_a_file_that_is_no_list_of_plays(tmp_path: Path) -> None:
    (tmp_path / "odd.yml").write_text("just: a mapping\n")
    assert read(tmp_path).roles() == ()


GIVEN = [
    ("a=b", {"a": "b"}),
    ("a=b c=d {{ x }}", {"a": "b c=d {{ x }}"}),
    ("a=", {"a": ""}),
    ('{"a": [1, true]}', {"a": [1, True]}),
]


@pytest.mark.parametrize(("text", "value"), GIVEN)
def test_variables(text: str, value: object, tmp_path: Path) -> None:
    assert variables(text, tmp_path) == value


def test_a_file_of_variables_is_found_from_where_one_stands(tmp_path: Path) -> None:
    (tmp_path / "v.yml").write_text("a: 1\n")
    assert variables("@v.yml", tmp_path) == tmp_path / "v.yml"


@pytest.mark.parametrize("text", ["a", "=b", "a-b=c", "@none.yml", "{", "[1]", '{"a"}'])
def test_what_are_no_variables(text: str, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="-e "):
        variables(text, tmp_path)
