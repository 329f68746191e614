"""What may name a node, an address, a user, a port or a job; and that a refusal says what to type."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils import names

CASES = json.loads((Path(__file__).parent / "cases" / "names.json").read_text(encoding="utf-8"))

REFUSE: dict[str, Callable[[object], str | None]] = {
    "node": names.refuse_node,
    "address": names.refuse_address,
    "user": names.refuse_user,
    "port": names.refuse_port,
    "job": names.refuse_job,
}


def every(verdict: str) -> list[Any]:
    table = CASES[verdict]
    return [pytest.param(kind, value, id=f"{kind} {value!r:.30}") for kind in table for value in table[kind]]


@pytest.mark.parametrize(("kind", "value"), every("accepted"))
def test_accepted(kind: str, value: object) -> None:
    assert REFUSE[kind](value) is None


@pytest.mark.parametrize(("kind", "value"), every("refused"))
def test_refused_in_one_safe_line(kind: str, value: object) -> None:
    """What is refused may be hostile to a terminal too."""
    refusal = REFUSE[kind](value)
    assert refusal is not None
    assert refusal.isprintable()
    assert len(refusal) < 300


@pytest.mark.parametrize(
    ("kind", "value", "what", "instead"),
    [
        ("node", "-oProxyCommand=id", "'-oProxyCommand=id' cannot be the name of a node", "e.g. node-1"),
        ("node", "all", "'all' cannot be the name of a node: Ansible", "rename the node"),
        ("node", 7, "7 cannot be the name of a node: it is no text", "put it in quotes"),
        ("address", "1.2.3", "'1.2.3' is no host name", "ansible_host"),
        ("user", "a b", "'a b' cannot be a user's name", "ansible_user"),
        ("port", 0, "0 is no port", "ansible_port"),
        ("job", "../x", "'../x' is no job id", "toft jobs"),
    ],
)
def test_a_refusal_says_what_why_and_what_to_type(kind: str, value: object, what: str, instead: str) -> None:
    refusal = REFUSE[kind](value) or ""
    assert refusal.startswith(what)
    assert instead in refusal
