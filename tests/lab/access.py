"""The ways into a lab: a key pair, the true host keys, an ssh configuration and an Ansible inventory.

Host key checking stays on everywhere: the lab knows its hosts' keys, so a wrong one is a finding.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab.body import Body
from tests.lab.commands import call

SSH_CONFIG = """\
Host *
    User fleet
    IdentityFile {directory}/key
    IdentitiesOnly yes
    UserKnownHostsFile {directory}/known_hosts
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
"""


def make_key(directory: Path) -> None:
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "toft lab", "-f", str(directory / "key"))


def write_known_hosts(directory: Path, hosts: Sequence[Body]) -> None:
    """Read from the hosts' disks, not over the network."""
    lines = []
    for host in hosts:
        kind, key, _ = (host.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split(maxsplit=2)
        lines.append(f"{host.name},{host.address} {kind} {key}\n")
    (directory / "known_hosts").write_text("".join(lines))


def write_ssh_config(directory: Path, hosts: Sequence[Body]) -> Path:
    blocks = [f"Host {host.name}\n    HostName {host.address}\n" for host in hosts]
    file = directory / "ssh_config"
    file.write_text("".join([*blocks, SSH_CONFIG.format(directory=directory)]))
    return file


def inventory(
    directory: Path, hosts: Sequence[Body], variables: Mapping[str, Mapping[str, object]]
) -> dict[str, object]:
    """Groups `builders` (the first half) and `workers` (the rest). `variables` are added host by host."""
    half = (len(hosts) + 1) // 2
    return {
        "all": {
            "vars": {
                "ansible_user": "fleet",
                "ansible_ssh_private_key_file": str(directory / "key"),
                "ansible_ssh_common_args": (
                    f"-o UserKnownHostsFile={directory}/known_hosts -o GlobalKnownHostsFile=/dev/null"
                    " -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes"
                ),
            },
            "hosts": {host.name: {"ansible_host": host.address, **variables.get(host.name, {})} for host in hosts},
            "children": {
                "builders": {"hosts": {host.name: None for host in hosts[:half]}},
                "workers": {"hosts": {host.name: None for host in hosts[half:]}},
            },
        }
    }


def as_yaml(value: object) -> str:
    """JSON is YAML, and the standard library writes it."""
    return json.dumps(value, indent=2) + "\n"
