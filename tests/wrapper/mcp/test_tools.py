"""Each tool stands behind the policy: one that denies everything lets none of them do anything."""

from __future__ import annotations

from typing import Any

import pytest
from mcp import ClientSession
from toft.mcp.tools import TOOLS

from tests.agent import audit, call, refused, talk
from tests.command import Toft

CALLS: dict[str, dict[str, Any]] = {
    "cluster_status": {},
    "route_command": {"command": "true"},
    "cluster_bash": {"command": "touch /tmp/denied"},
    "offload_to": {"node_id": "here", "command": "touch /tmp/denied", "env": {"KEY": "canary"}},
    "parallel_execute": {"commands": ["touch /tmp/denied", "curl --token canary"]},
    "sync": {},
    "job_status": {},
    "job_output": {"job_id": "jnone"},
    "job_kill": {"job_id": "jnone"},
}


@pytest.fixture
def here(toft: Toft, tmp_path: Any) -> Toft:
    toft.inventory = tmp_path / "hosts.yml"
    toft.inventory.write_text("all: {hosts: {here: {ansible_connection: local}}}\n")
    return toft


def policy(toft: Toft, text: str) -> None:
    path = toft.home / "config/toft/mcp-policy.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_every_tool_is_called_here() -> None:
    assert {tool.__name__ for tool, _ in TOOLS} == CALLS.keys()


def test_a_policy_that_denies_everything(here: Toft) -> None:
    policy(here, "default: deny\n")
    job = here("offload", "--detach", "here", "true").stdout.decode().strip()
    CALLS["job_output"]["job_id"] = CALLS["job_kill"]["job_id"] = job

    async def body(session: ClientSession) -> None:
        for tool, given in CALLS.items():
            assert "the owner's policy denies it" in (await refused(session, tool, **given)).lower(), tool

    talk(here, body)
    lines = audit(here)
    assert [line["tool"] for line in lines if line["event"] == "call"] == list(CALLS)
    assert not any(line["allowed"] for line in lines if line["event"] == "decision")
    assert len([line for line in lines if line["event"] == "decision"]) == len(CALLS)
    assert [line["outcome"] for line in lines if line["event"] == "end"] == ["failed"] * len(CALLS)
    assert len(here.jobs()) == 1


def test_the_arguments_are_written_down_by_their_names(here: Toft) -> None:
    async def body(session: ClientSession) -> None:
        await call(session, "route_command", command="make", requires_os="linux")
        commands = ["true --token canary", "PASSWORD=canary true"]
        await call(session, "parallel_execute", commands=commands, env={"A": "canary"})

    talk(here, body)
    route, parallel = (line for line in audit(here) if line["event"] == "call")
    assert {"tool": "route_command", "command": "make", "requires_os": "linux"}.items() <= route.items()
    assert parallel["env"] == ["A"]
    assert parallel["commands"] == ["true --token [hidden]", "PASSWORD=[hidden] true"]
    assert "canary" not in (here.home / "state/toft/mcp-audit.jsonl").read_text()
