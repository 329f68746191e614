"""ssh's words to causes: recorded stderr in cases/causes.json, one recording a failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import SIGNS, TEXTS, Cause, cause, explain
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases" / "causes.json").read_text())


def transport(**fields: Any) -> Transport:
    return Transport(**{"node": "pi", "kind": "ssh", "destination": "10.0.0.7", **fields})


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
def test_words(case: dict[str, Any]) -> None:
    found = explain(
        transport(become=case.get("become")),
        case["exit_code"],
        case["stderr"],
        timed_out=case.get("timed_out", False),
    )
    assert found.code == case["code"]
    said = f"{found.message}\n{found.fix}"
    for words in ["pi", *case.get("says", [])]:
        assert words in said
    assert (found.message + found.fix).isprintable()


def test_every_code_that_ssh_can_give_is_recorded() -> None:
    recorded = {case["code"] for case in CASES if case["recorded"]}
    assert {sign.code for sign in SIGNS} - recorded == {"become"}


@pytest.mark.parametrize("code", TEXTS)
def test_every_code_has_a_message_and_a_fix(code: str) -> None:
    found = cause(code, transport(options=("-p", "2222", "-l", "u")), detail="d")
    assert found.code == code
    assert "pi" in found.message or code == "no_control_socket"
    assert found.fix
    assert "{" not in found.message + found.fix
    assert Cause.from_dict(found.to_dict()) == found


def test_the_fix_can_be_typed_as_it_is() -> None:
    there = transport(options=("-p", "2222", "-l", "ann", "-o", "ProxyCommand=nc %h %p"))
    assert cause("auth", there).fix == "ssh-copy-id -p 2222 ann@10.0.0.7"
    assert cause("host_key_changed", there).fix.startswith("ssh-keygen -R '[10.0.0.7]:2222'  ")
    assert cause("connection_lost", there).fix.startswith(
        "ssh -p 2222 -l ann -o 'ProxyCommand=nc %h %p' -- 10.0.0.7 true"
    )
    assert "10.0.0.7 port 2222" in cause("refused", there).message


def test_a_nodes_words_cannot_write_on_the_terminal() -> None:
    found = explain(transport(), 255, b"\x1b[2J\xff{node} {0.__class__}\xc2\x9b31m\n")
    assert "\x1b" not in found.message
    assert "\x9b" not in found.message
    assert "{node} {0.__class__}" in found.message
