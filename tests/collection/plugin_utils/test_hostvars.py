"""Host variables to a transport, or to the cause why not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.hostvars import from_vars
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport


def given(hostvars: dict[str, Any], **more: Any) -> Transport:
    transport = from_vars("pi", hostvars, **more)
    assert isinstance(transport, Transport)
    return transport


def test_nothing_said_is_ssh_to_the_nodes_own_name() -> None:
    assert given({}) == Transport(node="pi", kind="ssh", destination="pi")


@pytest.mark.parametrize(
    ("hostvars", "destination", "options"),
    [
        ({"ansible_host": "10.0.0.7", "ansible_port": 2222}, "10.0.0.7", ("-p", "2222")),
        ({"ansible_host": "fe80::1%eth0", "ansible_port": "22"}, "fe80::1%eth0", ("-p", "22")),
        ({"ansible_user": "ann", "ansible_ssh_user": "bob"}, "pi", ("-l", "bob")),
        ({"ansible_private_key_file": "/k/one two"}, "pi", ("-i", "/k/one two")),
        (
            {
                "ansible_ssh_extra_args": "-4",
                "ansible_ssh_args": "-C -o Ciphers=aes128-ctr",
                "ansible_ssh_common_args": "-o 'ProxyCommand=nc %h %p' -J a,b",
            },
            "pi",
            ("-C", "-o", "Ciphers=aes128-ctr", "-o", "ProxyCommand=nc %h %p", "-J", "a,b", "-4"),
        ),
    ],
)
def test_variables_become_options(hostvars: dict[str, Any], destination: str, options: tuple[str, ...]) -> None:
    transport = given(hostvars)
    assert (transport.kind, transport.destination, transport.options) == ("ssh", destination, options)


def test_a_key_file_in_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert given({"ansible_ssh_private_key_file": "~/k"}).options == ("-i", "/home/ann/k")


@pytest.mark.parametrize("connection", ["local", "ansible.builtin.local"])
def test_local(connection: str) -> None:
    transport = given({"ansible_connection": connection, "ansible_ssh_extra_args": "-f"})
    assert (transport.kind, transport.options, transport.reason) == ("local", (), "")


@pytest.mark.parametrize(
    ("hostvars", "reason"),
    [
        ({"ansible_connection": "community.docker.docker"}, "community.docker.docker"),
        ({"ansible_connection": "winrm"}, "winrm"),
        ({"ansible_password": "hunter2"}, "a password (ansible_password)"),
        ({"ansible_ssh_pass": "hunter2"}, "a password"),
        ({"ansible_ssh_private_key": "hunter2"}, "a key kept"),
        ({"ansible_shell_type": "powershell"}, "powershell"),
        ({"ansible_ssh_executable": "/opt/ssh"}, "ansible_ssh_executable"),
        ({"ansible_ssh_common_args": "-o A=b host"}, "'host'"),
        ({"ansible_ssh_extra_args": "-tt"}, "'-tt'"),
        ({"ansible_ssh_extra_args": "-4f"}, "'-4f'"),
        ({"ansible_ssh_args": "-p"}, "ansible_ssh_args has '-p'"),
        ({"ansible_ssh_args": "--"}, "'--'"),
    ],
)
def test_what_only_ansible_can_do(hostvars: dict[str, Any], reason: str) -> None:
    transport = given(hostvars)
    assert transport.kind == "other"
    assert reason in transport.reason
    assert "hunter2" not in json.dumps(transport.to_dict())


@pytest.mark.parametrize(
    ("node", "hostvars"),
    [
        ("-oProxyCommand=id", {}),
        ("a b", {}),
        ("../x", {}),
        ("`id`", {}),
        ("pi\n", {}),
        ("", {}),
        ("pi", {"ansible_host": "-oProxyCommand=id"}),
        ("pi", {"ansible_host": "{{ lookup('pipe', 'id') }}"}),
        ("pi", {"ansible_host": "a;id"}),
        ("pi", {"ansible_host": "a\n"}),
        ("pi", {"ansible_host": ["a"]}),
        ("pi", {"ansible_port": "0"}),
        ("pi", {"ansible_port": "22 -oX"}),
        ("pi", {"ansible_port": True}),
        ("pi", {"ansible_port": "٢٢"}),
        ("pi", {"ansible_user": "-l"}),
        ("pi", {"ansible_user": "$(id)"}),
        ("pi", {"ansible_become_user": "a b"}),
        ("pi", {"ansible_ssh_common_args": "-o 'x"}),
        ("pi", {"ansible_ssh_common_args": "-o A={% if %}"}),
        ("pi", {"ansible_python_interpreter": "/usr/bin/env python3"}),
        ("pi", {"ansible_python_interpreter": "/bin/python3;id"}),
        ("pi", {"ansible_python_interpreter": "/bin/python'"}),
    ],
)
def test_refused_at_entry(node: str, hostvars: dict[str, Any]) -> None:
    cause = from_vars(node, hostvars)
    assert isinstance(cause, Cause)
    assert cause.code == "bad_name"
    assert cause.message.isprintable()


@pytest.mark.parametrize(
    ("value", "python"),
    [
        ("/opt/homebrew/bin/python3.12", "/opt/homebrew/bin/python3.12"),
        ("auto", None),
        ("auto_silent", None),
        ("python3", None),
    ],
)
def test_python(value: str, python: str | None) -> None:
    assert given({"ansible_python_interpreter": value}).python == python


def test_become_only_when_the_request_asks() -> None:
    hostvars = {"ansible_become": True, "ansible_become_user": "ann"}
    assert given(hostvars).become is None
    assert given(hostvars, become=True).become == "ann"
    assert given({}, become=True).become == "root"
    assert given({"ansible_become_method": "doas"}, become=True).kind == "other"
    assert given({"ansible_become_method": "doas"}).kind == "ssh"


def test_tagged_strings_become_plain_ones() -> None:
    class Tagged(str):
        def __str__(self) -> str:
            return "tagged"

    transport = given({"ansible_host": Tagged("10.0.0.7")})
    assert type(transport.destination) is str
    assert transport.destination == "10.0.0.7"
