"""The machines of a tailnet: cases/tailnet_status.json, and a recorded status of a whole tailnet."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils import tailnet_status
from ansible_collections.toft.fleet.plugins.plugin_utils.tailnet_status import BadStatus, Wanted

HERE = Path(__file__).parent
CASES = json.loads((HERE / "cases" / "tailnet_status.json").read_text())
RECORDED = (HERE.parents[1] / "cases" / "tailscale-status.json").read_text()

CHOICES = [
    ("by default", Wanted(), ["mac-studio", "macbook-air", "macpro51", "rpi1", "rpi1-1", "windows-desktop"]),
    ("online", Wanted(only_online=True), ["mac-studio", "macpro51", "rpi1", "windows-desktop"]),
    ("one tag", Wanted(tags=frozenset({"pi"})), ["mac-studio", "rpi1", "rpi1-1"]),
    ("any tag of two", Wanted(tags=frozenset({"ci", "none"})), ["mac-studio", "macpro51"]),
    ("not this machine", Wanted(this_machine=False, tags=frozenset({"ci"})), ["macpro51"]),
    (
        "phones and shares too",
        Wanted(shared=True, not_os=frozenset({"windows", "macOS", "linux"})),
        ["mac-studio", "apple-tv", "device-of-shared-to-user", "iphone", "pixel-8"],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_parse(case: dict[str, Any]) -> None:
    text = json.dumps(case["status"])
    if "error" in case:
        with pytest.raises(BadStatus) as caught:
            tailnet_status.parse(text)
        assert [words for words in case["error"] if words not in str(caught.value)] == []
        assert str(caught.value).isprintable()
        return
    found = tailnet_status.parse(text)
    assert [peer.name for peer in found.peers] == case["names"]
    assert len(found.skipped) == case.get("skipped", 0)
    assert all(one.what.isprintable() for one in found.skipped)
    peers = {peer.name: json.loads(json.dumps(asdict(peer))) for peer in found.peers}
    for name, expected in case.get("peers", {}).items():
        assert {key: peers[name][key] for key in expected} == expected


@pytest.mark.parametrize("text", ["", "nonsense", "[" * 100_000, '{"Self": {'])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(BadStatus, match="not the JSON"):
        tailnet_status.parse(text)


@pytest.mark.parametrize(("wanted", "names"), [case[1:] for case in CHOICES], ids=[case[0] for case in CHOICES])
def test_choices_of_a_recorded_tailnet(wanted: Wanted, names: list[str]) -> None:
    peers, doubles = tailnet_status.choose(tailnet_status.parse(RECORDED).peers, wanted)
    assert ([peer.name for peer in peers], doubles) == (names, [])


def test_a_recorded_machine() -> None:
    peer = next(p for p in tailnet_status.parse(RECORDED).peers if p.name == "macpro51")
    assert peer == tailnet_status.Peer(
        name="macpro51",
        dns_name="macpro51.example-tailnet.ts.net",
        addresses=("100.64.0.2", "fd7a:115c:a1e0::2"),
        os="linux",
        online=True,
        is_self=False,
        tags=("builder", "ci"),
        shared=False,
        mullvad=False,
        direct=True,
        relay="fra",
        last_seen=None,
        key_expiry=None,
        expired=False,
    )


def test_an_expired_machine() -> None:
    peer = next(p for p in tailnet_status.parse(RECORDED).peers if p.name == "rpi1-1")
    assert (peer.expired, peer.key_expiry, peer.last_seen) == (
        True,
        "2025-10-01T00:00:00Z",
        "2025-10-01T00:00:00Z",
    )


def test_of_two_with_one_name_our_own_stays() -> None:
    status = {
        "MagicDNSSuffix": "x.ts.net",
        "Self": {"DNSName": "me.x.ts.net."},
        "Peer": {
            "1": {"DNSName": "nas.aaa.ts.net.", "Online": True},
            "2": {"DNSName": "nas.x.ts.net.", "Online": False},
            "3": {"DNSName": "me.aaa.ts.net.", "Online": True},
        },
    }
    peers, doubles = tailnet_status.choose(tailnet_status.parse(json.dumps(status)).peers, Wanted(shared=True))
    assert [peer.dns_name for peer in peers] == ["me.x.ts.net", "nas.x.ts.net"]
    assert sorted(one.what for one in doubles) == ["'me.aaa.ts.net'", "'nas.aaa.ts.net'"]
