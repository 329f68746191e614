"""What an SSH configuration names: cases/openssh_config.json, held against `ssh -G`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils import openssh_config
from ansible_collections.toft.fleet.plugins.plugin_utils.openssh_config import Alias

CASES = json.loads((Path(__file__).parent / "cases" / "openssh_config.json").read_text())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def write(home: Path, case: dict[str, Any]) -> Path:
    for name, text in {**case.get("files", {}), "config": case["config"]}.items():
        path = home / ".ssh" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return home / ".ssh" / "config"


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_aliases(case: dict[str, Any], home: Path) -> None:
    aliases, skipped = openssh_config.read(write(home, case), home)
    assert [alias.name for alias in aliases] == case["aliases"]
    assert [one.what for one in skipped] == case.get("skipped", [])
    said = {alias.name: [alias.host_name, alias.user, alias.port] for alias in aliases}
    assert {name: said[name] for name in case.get("said", {})} == case.get("said", {})


@pytest.mark.skipif(not shutil.which("ssh"), reason="no ssh here")
@pytest.mark.parametrize("case", [c for c in CASES if not c.get("unfit")], ids=lambda case: case["name"])
def test_ssh_says_the_same(case: dict[str, Any], home: Path) -> None:
    """ssh reads ~ from the password file, so the includes are given in full for it."""
    text = case["config"]
    for word in ("more/*", "nothing/*", "inner"):
        text = text.replace(f"Include {word}", f"Include {home}/.ssh/{word}")
    text = text.replace("Include x y", f"Include {home}/.ssh/x {home}/.ssh/y")
    path = write(home, {**case, "config": text})
    for alias in openssh_config.read(path, home)[0]:
        assert asked(path, alias.name) == expected(alias)


def asked(path: Path, name: str) -> dict[str, str]:
    command = ["ssh", "-F", str(path), "-G", "--", name]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True)
    lines = [line.split(" ", 1) for line in done.stdout.splitlines() if " " in line]
    return {key: value for key, value in lines if key in ("hostname", "user", "port")}


def expected(alias: Alias) -> dict[str, str]:
    """ssh's own defaults where the configuration is silent."""
    me = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    return {
        "hostname": alias.host_name or alias.name.lower(),
        "user": alias.user or me,
        "port": str(alias.port or 22),
    }


def test_where_an_alias_stands(home: Path) -> None:
    path = write(home, {"config": "Include inner\n", "files": {"inner": "# one\nHost a\n"}})
    found = openssh_config.read(path, home)[0][0]
    assert (found.file, found.line) == (str(home / ".ssh" / "inner"), 2)


def test_a_missing_configuration_and_a_pipe(home: Path) -> None:
    with pytest.raises(FileNotFoundError):
        openssh_config.read(home / ".ssh" / "config", home)
    os.mkfifo(home / ".ssh" / "config")
    with pytest.raises(FileNotFoundError):
        openssh_config.read(home / ".ssh" / "config", home)


def test_many_files_end(home: Path) -> None:
    """Two includes a file, each of both files: 2^16 readings without a bound."""
    files = dict.fromkeys(("a", "b"), "Include a b\nHost x\n")
    path = write(home, {"config": "Include a b\n", "files": files})
    assert [alias.name for alias in openssh_config.read(path, home)[0]] == ["x"]
