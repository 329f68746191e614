"""An agent for tests: the official SDK's own client, in a session with `toft mcp`."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import mcp_types
from mcp import ClientSession, StdioServerParameters, stdio_client

from tests.command import TOFT, Toft

ASKED: list[str] = []
"""What the person was asked in the last session."""


def talk(toft: Toft, body: Callable[[ClientSession], Awaitable[Any]], answer: str | None = None) -> Any:
    """One session with the server; `answer` is what the person says when asked (None: the client cannot ask)."""

    async def person(context: Any, params: Any) -> mcp_types.ElicitResult:
        ASKED.append(params.message)
        content = {"allow": answer == "accept"} if answer != "decline" else None
        return mcp_types.ElicitResult(action="decline" if answer == "decline" else "accept", content=content)

    async def main() -> Any:
        words = toft.argv("mcp")[1:]
        toft.home.mkdir(parents=True, exist_ok=True)
        server = StdioServerParameters(command=TOFT, args=words, env=toft.environment, cwd=toft.home.parent)
        with open(os.devnull, "w") as silent:
            async with stdio_client(server, errlog=silent) as (reader, writer):
                extra: dict[str, Any] = {"elicitation_callback": person} if answer else {}
                async with ClientSession(reader, writer, **extra) as session:
                    await session.initialize()
                    return await body(session)

    ASKED.clear()
    return anyio.run(main)


async def call(session: ClientSession, tool: str, **given: Any) -> dict[str, Any]:
    """The structured answer of a tool that did not fail."""
    result = await session.call_tool(tool, given)
    assert not result.is_error, result.content
    return dict(result.structured_content)


async def refused(session: ClientSession, tool: str, **given: Any) -> str:
    result = await session.call_tool(tool, given)
    assert result.is_error, result.structured_content
    return str(result.content[0].text)


def audit(toft: Toft) -> list[dict[str, Any]]:
    path = toft.home / "state/toft/mcp-audit.jsonl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    return [json.loads(line) for line in path.read_text().splitlines()]
