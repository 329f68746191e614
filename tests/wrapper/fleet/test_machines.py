"""Which machines there are: cases/machines.json."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.openssh_config import Alias
from ansible_collections.toft.fleet.plugins.plugin_utils.tailnet_status import Peer
from toft.fleet.machines import This, merge

CASES = json.loads((Path(__file__).parent / "cases" / "machines.json").read_text())


def alias(given: dict[str, Any], line: int) -> Alias:
    plain = {"host_name": "", "user": "", "port": None, "file": "config", "line": line}
    return Alias(**{**plain, **given})


def peer(given: dict[str, Any]) -> Peer:
    plain: dict[str, Any] = {
        "dns_name": f"{given['name']}.x.ts.net",
        "os": "linux",
        "online": True,
        "is_self": False,
        "shared": False,
        "mullvad": False,
        "direct": False,
        "relay": "fra",
        "last_seen": None,
        "key_expiry": None,
        "expired": False,
    }
    lists = {"addresses": tuple(given.get("addresses", ["100.64.0.2"])), "tags": tuple(given.get("tags", []))}
    return Peer(**{**plain, **given, **lists})


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_merge(case: dict[str, Any]) -> None:
    this = This(**case.get("this", {"hostname": "me", "system": "linux", "arch": "x86_64"}))
    aliases = [alias(given, line) for line, given in enumerate(case.get("aliases", []), 1)]
    found, notes = merge(this, aliases, [peer(given) for given in case.get("peers", [])])
    expected = [{"name": one} if isinstance(one, str) else one for one in case["machines"]]
    assert [machine.name for machine in found] == [one["name"] for one in expected]
    for machine, one in zip(found, expected, strict=True):
        known = json.loads(json.dumps(asdict(machine)))
        assert {key: known[key] for key in one} == one
    assert len(notes) == len(case.get("notes", []))
    assert [said for said in case.get("notes", []) if not any(said in note for note in notes)] == []
