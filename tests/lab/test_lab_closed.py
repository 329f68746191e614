"""A lab that is closed off lets nothing out and tells who was sent to; its firewall goes with it."""

from __future__ import annotations

import subprocess

import pytest

from tests.command import until
from tests.lab.claim import NET
from tests.lab.laboratory import Lab
from tests.lab.network import astray, close_off

OUTSIDE = f"{NET}.255.1"


@pytest.mark.usefixtures("lab_machine")
def test_where_hosts_wanted_to_go_is_told() -> None:
    short = Lab.up(light=["c1", "c2"])
    try:
        close_off(short.claim)
        host = short.hosts["c1"]
        host.run("timeout 5 bash -c '</dev/tcp/c2/22'")
        assert astray(short.claim) == []
        host.run(f"timeout 20 bash -c '</dev/tcp/{OUTSIDE}/80' > /dev/null 2>&1 &")
        until(lambda: astray(short.claim), what="a packet that goes astray")
        assert astray(short.claim) == [OUTSIDE]
    finally:
        short.down()
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    assert short.claim.firewall_table not in tables
