"""toft.fleet.ssh_config in ansible-inventory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.collection.inventory.ansible_inventory import examples, listed

PLUGIN = "plugin: toft.fleet.ssh_config\n"
CONFIG = """\
Include more
Host mac-studio
Host macpro51 node-1 mac-old
  HostName 10.0.0.5
  User marc
  Port 2222
Host github.com
  User git
Host *.lan
Host {{x}}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text(CONFIG)
    (tmp_path / ".ssh" / "more").write_text("Host nas\n  HostName {{ lookup('pipe', 'id') }}\n")
    return tmp_path


def test_aliases(home: Path) -> None:
    found = listed(home / "home.ssh_config.yml", PLUGIN)
    said = {"toft_ssh_host_name": "10.0.0.5", "toft_ssh_user": "marc", "toft_ssh_port": 2222}
    assert found.hosts == {"macpro51": said, "node-1": said, "mac-old": said}
    assert found.groups == {"ssh_config": ["mac-old", "mac-studio", "macpro51", "nas", "node-1"]}
    assert "config:10: toft.fleet.ssh_config leaves out '{{x}}'" in found.said


def test_options(home: Path) -> None:
    options = "include: [mac*, git*]\nexclude: ['*-old']\nexclude_users: []\ngroups: {macs: 'true'}\n"
    found = listed(home / "ssh_config.yaml", f"{PLUGIN}path: .ssh/config\n{options}")
    assert found.groups == {name: ["github.com", "mac-studio", "macpro51"] for name in ("ssh_config", "macs")}


@pytest.mark.parametrize("number", range(len(examples("ssh_config"))))
def test_examples(number: int, home: Path) -> None:
    (home / ".ssh" / "config").write_text(CONFIG.replace("Host {{x}}\n", ""))
    found = listed(home / "example.ssh_config.yml", examples("ssh_config")[number])
    assert found.said == ""
    assert "macpro51" in found.hosts


def test_no_configuration(tmp_path: Path) -> None:
    found = listed(tmp_path / "ssh_config.yml", PLUGIN)
    assert f"{tmp_path}/.ssh/config cannot be read" in found.said
    assert "toft init" in found.said
