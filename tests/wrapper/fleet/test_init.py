"""`toft init`, from an SSH configuration and a recorded tailnet to a file that Ansible and toft read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.toft.fleet.plugins.plugin_utils.openssh_config import Alias
from toft.fleet import inventory, settings
from toft.fleet.init import Seen, init, text, write
from toft.fleet.machines import Machine, This
from toft.fleet.yaml_source import BadFile

RECORDED = Path(__file__).parents[2] / "cases" / "tailscale-status.json"
CONFIG = """\
Host macpro51
  HostName 192.168.7.51
  User marc
Host nas 12 on
Host github.com
  User git
Host -oProxyCommand=id
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A home with an SSH configuration, and a PATH with a Tailscale that knows a recorded tailnet."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(CONFIG)
    program = tmp_path / "bin" / "tailscale"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\n[ "$*" = "status --json" ] && cat {RECORDED}\n')
    program.chmod(0o755)
    return {"HOME": str(tmp_path), "PATH": f"{program.parent}:/usr/bin:/bin"}


def hosts(path: Path) -> dict[str, Any]:
    data = yaml.safe_load(path.read_text())
    found: dict[str, Any] = data["all"]["hosts"]
    return found


def test_everything_that_can_be_seen(env: dict[str, str]) -> None:
    done = init(env)
    assert done.path == Path(env["HOME"], ".config", "toft", "inventory", "hosts.yml")
    assert (done.backup, done.dry_run, done.next_command) == (None, False, "toft status")
    assert done.path.read_text() == done.text
    found = hosts(done.path)
    assert list(found) == [machine.name for machine in done.nodes]
    assert list(found)[1:] == [
        "12",
        "macbook-air",
        "macpro51",
        "nas",
        "on",
        "rpi1",
        "rpi1-1",
        "windows-desktop",
    ]
    assert next(iter(found.values()))["ansible_connection"] == "local"
    assert found["macpro51"] == {"toft_os": "linux"}
    assert found["rpi1"] == {"ansible_host": "rpi1.example-tailnet.ts.net", "toft_os": "linux"}
    assert found["macbook-air"]["toft_auto"] is False
    assert "# Offline when this was written, last seen 2025-11-19T21:14:05.1Z." in done.text
    notes = "\n".join(done.notes)
    assert "left out github.com: a forge" in notes
    assert "left out '-oProxyCommand=id'" in notes


def test_groups_and_ansible(env: dict[str, str]) -> None:
    """Ansible reads it without a word, and every group is where its reason says."""
    path = init(env).path
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(path.parent), "--list"]
    run = subprocess.run(command, capture_output=True, text=True, env={**env, "LC_ALL": "C.UTF-8"})
    assert run.stderr == ""
    listed = json.loads(run.stdout)
    groups = {name: group.get("hosts") for name, group in listed.items() if name not in ("_meta", "all")}
    this = next(iter(hosts(path)))
    assert groups == {
        "local": [this],
        "linux": [this, "macpro51", "rpi1", "rpi1-1"],
        "macs": ["macbook-air"],
        "windows": ["windows-desktop"],
        "builders": ["macpro51"],
        "pis": ["rpi1", "rpi1-1"],
        "storage": ["nas"],
        "workstations": ["macbook-air", "windows-desktop"],
        "ungrouped": ["12", "on"],
    }


def test_toft_reads_it_by_default(env: dict[str, str], tmp_path: Path) -> None:
    path = init(env).path
    assert inventory.resolve(settings.load(env, tmp_path, {})).files == (path,)


def test_never_replaces_unasked(env: dict[str, str]) -> None:
    path = init(env).path
    path.write_text("mine\n")
    with pytest.raises(BadFile, match=r"is there already; .*toft init --force") as caught:
        init(env)
    assert caught.value.exit_code == 2
    assert path.read_text() == "mine\n"


def test_keeps_what_it_replaces(env: dict[str, str]) -> None:
    path = init(env).path
    for name, said in (("hosts.yml.bak", "mine\n"), ("hosts.yml.1.bak", "also mine\n")):
        path.write_text(said)
        done = init(env, force=True)
        assert done.backup == path.with_name(name)
        assert done.backup.read_text() == said
    assert sorted(os.listdir(path.parent)) == ["hosts.yml", "hosts.yml.1.bak", "hosts.yml.bak"]


def test_a_dry_run_writes_nothing(env: dict[str, str]) -> None:
    done = init(env, dry_run=True)
    assert (done.dry_run, done.backup) == (True, None)
    assert "macpro51:" in done.text
    assert not (Path(env["HOME"]) / ".config").exists()


def test_another_place(env: dict[str, str], tmp_path: Path) -> None:
    place = tmp_path / "my fleet"
    place.mkdir()
    done = init(env, place)
    assert done.path == place / "hosts.yml"
    assert done.next_command == f"toft -i '{place}/hosts.yml' status"


def test_a_place_that_cannot_be_written(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadFile, match="cannot be written"):
        init(env, tmp_path / "file" / "hosts.yml")


def test_with_nothing_to_be_seen(tmp_path: Path) -> None:
    """No SSH configuration, no Tailscale: still an inventory, of this machine."""
    env = {"HOME": str(tmp_path), "PATH": str(tmp_path)}
    done = init(env)
    assert len(done.nodes) == 1
    said = "\n".join(done.notes)
    assert "nothing from" in said
    assert ".ssh/config: No such file" in said
    assert "the program tailscale was not found" in said
    assert "toft init --force" in said


def test_a_tailscale_that_is_stopped(env: dict[str, str]) -> None:
    program = Path(env["HOME"], "bin", "tailscale")
    program.write_text("""#!/bin/sh\necho '{"BackendState": "Stopped", "Peer": null}'\n""")
    done = init(env)
    assert any("not running here (Stopped); try: tailscale up" in note for note in done.notes)
    assert "macpro51" in hosts(done.path)


@pytest.mark.parametrize("name", ["1", "on", "null", "1e3", "0x1f", "1_000", "2025-01-01", "~x"[1:], "a.b", "_x", "N"])
def test_every_name_reads_back(name: str) -> None:
    assert list(yaml.safe_load(text([Machine(name)]))["all"]["hosts"]) == [name]


def test_a_comment_stays_a_comment(tmp_path: Path) -> None:
    """A path is text of somebody's choice too."""
    alias = Alias("nas", "", "", None, "/home/x\n  evil: {ansible_connection: local}\n/config", 1)
    seen = Seen(This("me", "linux", "x86_64"), (alias,), (), ())
    done = write(seen, tmp_path / "hosts.yml", {"HOME": str(tmp_path)}, force=False, dry_run=False)
    assert hosts(done.path) == {
        "me": {"ansible_connection": "local", "toft_os": "linux", "toft_arch": "x86_64"},
        "nas": None,
    }
