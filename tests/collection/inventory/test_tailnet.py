"""toft.fleet.tailnet in ansible-inventory, over a recorded tailnet and over hostile ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.collection.inventory.ansible_inventory import RECORDED, examples, fake_tailscale, listed

PLUGIN = "plugin: toft.fleet.tailnet\n"


def test_a_recorded_tailnet(tmp_path: Path) -> None:
    found = listed(tmp_path / "my.tailnet.yml", f"{PLUGIN}source: {RECORDED}\n")
    assert found.said == ""
    assert found.groups == {
        "tailnet": ["mac-studio", "macbook-air", "macpro51", "rpi1", "rpi1-1", "windows-desktop"],
        "online": ["mac-studio", "macpro51", "rpi1", "windows-desktop"],
        "offline": ["macbook-air", "rpi1-1"],
        "linux": ["macpro51", "rpi1", "rpi1-1"],
        "macs": ["mac-studio", "macbook-air"],
        "windows": ["windows-desktop"],
        "tag_builder": ["macpro51"],
        "tag_ci": ["macpro51"],
        "tag_pi": ["rpi1", "rpi1-1"],
    }
    assert found.hosts["macpro51"] == {
        "ansible_host": "macpro51.example-tailnet.ts.net",
        "toft_os": "linux",
        "toft_tailnet_os": "linux",
        "toft_tailnet_dns_name": "macpro51.example-tailnet.ts.net",
        "toft_tailnet_addresses": ["100.64.0.2", "fd7a:115c:a1e0::2"],
        "toft_tailnet_online": True,
        "toft_tailnet_self": False,
        "toft_tailnet_tags": ["builder", "ci"],
        "toft_tailnet_shared": False,
        "toft_tailnet_direct": True,
        "toft_tailnet_relay": "fra",
        "toft_tailnet_expired": False,
    }
    assert found.hosts["mac-studio"]["ansible_connection"] == "local"
    assert "ansible_host" not in found.hosts["mac-studio"]


def test_options(tmp_path: Path) -> None:
    options = """
only_online: true
include_self: false
tags: [tag:ci, pi]
address: ipv6
ansible_user: deploy
os_map: {linux: linux}
compose: {toft_slots: 1 + 1}
keyed_groups: [{prefix: at, key: toft_tailnet_relay}]
"""
    found = listed(tmp_path / "tailnet.yaml", f"{PLUGIN}source: {RECORDED}\n{options}")
    assert found.groups["tailnet"] == found.groups["at_fra"] == ["macpro51", "rpi1"]
    known = {key: found.hosts["rpi1"][key] for key in ("ansible_host", "ansible_user", "toft_slots", "toft_os")}
    assert known == {
        "ansible_host": "fd7a:115c:a1e0::8",
        "ansible_user": "deploy",
        "toft_slots": 2,
        "toft_os": "linux",
    }


@pytest.mark.parametrize("number", range(len(examples("tailnet"))))
def test_examples(number: int, tmp_path: Path) -> None:
    fake_tailscale(tmp_path, f'[ "$*" = "status --json" ] && cat {RECORDED}')
    (tmp_path / "status.json").write_bytes(RECORDED.read_bytes())
    found = listed(tmp_path / "example.tailnet.yml", examples("tailnet")[number])
    assert found.said == ""
    assert "macpro51" in found.hosts


def test_hostile_machines(tmp_path: Path) -> None:
    """Left out with a warning, or data: nothing that a machine says of itself is evaluated here."""
    canary = tmp_path / "canary"
    lookup = "{{ lookup('pipe', 'touch " + str(canary) + "') }}"
    status = {
        "BackendState": "Running",
        "Self": {"DNSName": "me.x.ts.net.", "OS": lookup, "Relay": lookup, "Tags": [f"tag:{lookup}"]},
        "Peer": {
            "1": {"HostName": lookup},
            "2": {"HostName": f"-oProxyCommand=touch {canary}"},
            "3": {"HostName": "../../etc"},
            "4": {"DNSName": "all.x.ts.net."},
            "5": {
                "HostName": lookup,
                "DNSName": "fine.x.ts.net.",
                "LastSeen": lookup,
                "TailscaleIPs": [lookup],
            },
        },
    }
    (tmp_path / "status.json").write_text(json.dumps(status))
    construct = "compose: {seen: toft_tailnet_os}\nkeyed_groups: [{prefix: t, key: toft_tailnet_tags}]\n"
    found = listed(tmp_path / "tailnet.yml", f"{PLUGIN}source: status.json\n{construct}")
    assert sorted(found.hosts) == ["fine", "me"]
    assert found.said.count("leaves out") == 4
    assert "a group has this name" in found.said
    assert "{{" not in json.dumps(found.hosts)
    assert not canary.exists()


def test_a_tailscale_that_is_stopped(tmp_path: Path) -> None:
    fake_tailscale(tmp_path, """echo '{"BackendState": "Stopped"}'""")
    found = listed(tmp_path / "tailnet.yml", PLUGIN)
    assert "Tailscale is not running here (Stopped); try: tailscale up" in found.said
    assert found.hosts == {}


def test_a_tailscale_that_fails(tmp_path: Path) -> None:
    program = fake_tailscale(tmp_path, "echo 'failed to connect to local tailscaled' >&2; exit 1")
    found = listed(tmp_path / "tailnet.yml", f"{PLUGIN}command: {program}\n")
    assert "failed to connect to local tailscaled; try: tailscale up" in found.said


def test_a_tailscale_that_hangs(tmp_path: Path) -> None:
    fake_tailscale(tmp_path, "exec sleep 60")
    found = listed(tmp_path / "tailnet.yml", f"{PLUGIN}timeout: 0.2\n")
    assert "gave no answer within 0.2 s" in found.said


def test_no_tailscale(tmp_path: Path) -> None:
    found = listed(tmp_path / "tailnet.yml", f"{PLUGIN}command: /nowhere/tailscale\n")
    assert "the program /nowhere/tailscale was not found; try: install Tailscale" in found.said


def test_cached(tmp_path: Path) -> None:
    """The second time from the cache: the program is gone. A failure is not kept."""
    cache = f"cache: true\ncache_plugin: ansible.builtin.jsonfile\ncache_connection: {tmp_path}/cache\n"
    file = tmp_path / "tailnet.yml"
    fake_tailscale(tmp_path, "exit 1")
    assert listed(file, PLUGIN + cache).hosts == {}
    program = fake_tailscale(tmp_path, f"cat {RECORDED}")
    first = listed(file, PLUGIN + cache)
    program.unlink()
    assert listed(file, PLUGIN + cache).hosts == first.hosts != {}
