"""A transport to ssh's argv."""

from __future__ import annotations

import json
import shlex

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import (
    Transport,
    jump_hosts,
    ssh_argv,
    ssh_options,
)


def reached(*options: str) -> Transport:
    return Transport(node="pi", kind="ssh", destination="pi", options=options)


def test_a_transport_survives_json() -> None:
    transport = Transport("pi", "ssh", "10.0.0.7", ("-p", "2222"), "/p", "root", connect_timeout=2.5)
    assert Transport.from_dict(json.loads(json.dumps(transport.to_dict()))) == transport


def test_argv() -> None:
    transport = reached("-p", "22", "-o", "ControlPath=/tmp/theirs")
    argv = ssh_argv(transport, "/run/m", command="true")
    assert argv[0] == "ssh"
    assert argv[-4:] == ["-T", "--", "pi", "true"]
    # ssh takes the first value it meets, so ours must come before the user's.
    assert argv.index("ControlPath=/run/m") < argv.index("ControlPath=/tmp/theirs")
    for option in ("BatchMode=yes", "ServerAliveInterval=2", "ServerAliveCountMax=2", "ConnectTimeout=5"):
        assert option in argv
    assert not [word for word in argv if "StrictHostKeyChecking" in word]


def test_forwardings_are_cleared_unless_the_inventory_asks_for_them() -> None:
    assert "ClearAllForwardings=yes" in ssh_options(reached())
    for asked in ("-R 3128:proxy:3128", "-o RemoteForward='1 a:1'", "-oLocalForward='1 a:1'"):
        assert "ClearAllForwardings=yes" not in ssh_options(reached(*shlex.split(asked)))


@pytest.mark.parametrize(
    ("args", "jump"),
    [
        ("", ""),
        ("-J a,b", "a,b"),
        ("-Ja", "a"),
        ("-o ProxyJump=a", "a"),
        ("-oproxyjump=a", "a"),
        ("-o 'ProxyCommand ssh -W %h:%p a'", "ssh -W %h:%p a"),
        ("-o ProxyJump=none", ""),
        ("-o User=ProxyJump", ""),
    ],
)
def test_jump_hosts(args: str, jump: str) -> None:
    assert jump_hosts(shlex.split(args)) == jump
