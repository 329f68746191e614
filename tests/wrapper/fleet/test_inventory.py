"""Inventories looked at before Ansible is: cases/inventory.json, and the one-node fleet."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from toft.fleet import inventory, settings
from toft.fleet.yaml_source import BadFile

CASES = json.loads((Path(__file__).parent / "cases" / "inventory.json").read_text())


def settings_for(root: Path, paths: list[str]) -> settings.Settings:
    return settings.load({"HOME": str(root / "home")}, root, {"inventory": paths})


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_files(case: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path, case.get("files", {}))
    given = settings_for(tmp_path, case["paths"])
    if "error" not in case:
        found = inventory.resolve(given)
        assert [str(file.relative_to(tmp_path)) for file in found.files] == case["found"]
        assert found.paths == tuple(tmp_path / path for path in case["paths"])
        assert (found.text, found.source) == (None, "--inventory")
        return
    with pytest.raises(BadFile) as caught:
        inventory.resolve(given)
    error = case["error"]
    assert (caught.value.file, caught.value.line) == (str(tmp_path / error["file"]), error["line"])
    for words in error["says"]:
        assert words in str(caught.value)


def test_this_machine_alone(tmp_path: Path) -> None:
    found = inventory.resolve(settings_for(tmp_path, []), "Marcs-Mac-Studio.local")
    assert found.paths == ()
    assert found.text is not None
    assert yaml.safe_load(found.text) == {"local": {"hosts": {"Marcs-Mac-Studio": {"ansible_connection": "local"}}}}


def test_the_generated_fleet_passes_its_own_check(tmp_path: Path) -> None:
    text = inventory.resolve(settings_for(tmp_path, []), "42").text
    assert text is not None
    write(tmp_path, {"hosts.yml": text})
    assert inventory.resolve(settings_for(tmp_path, ["hosts.yml"])).files


def test_the_default_directory(tmp_path: Path) -> None:
    default = tmp_path / "home" / ".config" / "toft" / "inventory"
    default.mkdir(parents=True)
    assert inventory.resolve(settings_for(tmp_path, []), "me").text is not None
    write(default, {"hosts.yml": "all: {hosts: {a: }}\n"})
    found = inventory.resolve(settings_for(tmp_path, []), "me")
    assert (found.paths, found.files, found.text) == ((default,), (default / "hosts.yml",), None)


def test_the_default_may_be_a_file(tmp_path: Path) -> None:
    write(tmp_path, {"home/.config/toft/inventory": "[builders]\na\n"})
    assert inventory.resolve(settings_for(tmp_path, []), "me").text is None


def test_an_executable_inventory_is_left_to_ansible(tmp_path: Path) -> None:
    write(tmp_path, {"inv.py": "#!/bin/sh\necho 'no inventory [ at all'\n"})
    (tmp_path / "inv.py").chmod(0o755)
    assert inventory.resolve(settings_for(tmp_path, ["inv.py"])).files == (tmp_path / "inv.py",)


def test_a_link_that_leads_back_up_ends(tmp_path: Path) -> None:
    write(tmp_path, {"inv/hosts.yml": "all: {hosts: {a: }}\n"})
    (tmp_path / "inv" / "again").symlink_to(tmp_path / "inv")
    with pytest.raises(BadFile, match="too deep"):
        inventory.resolve(settings_for(tmp_path, ["inv"]))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hosts.yml")
    with pytest.raises(BadFile, match="not a regular file"):
        inventory.resolve(settings_for(tmp_path, ["hosts.yml"]))


@pytest.mark.parametrize(
    ("hostname", "name"),
    [
        ("node-1", "node-1"),
        ("Marc\u2019s Mac.local", "Marc-s-Mac"),
        ("a.b.c", "a"),
        ("", "localhost"),
        ("localhost.localdomain", "localhost"),
        ("-oProxyCommand=x", "oProxyCommand-x"),
        ("{{ x }}", "x"),
        ("日本", "localhost"),
        ("local", "localhost"),
        ("all", "localhost"),
        ("x" * 300, "localhost"),
        ("../../etc", "localhost"),
    ],
)
def test_short_names(hostname: str, name: str) -> None:
    assert inventory.short_name(hostname) == name
