"""`toft mcp`: the face for agents."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import typer

from toft.cli.session import Session, command
from toft.fleet.failures import Failure
from toft.fleet.settings import config_directory
from toft.fleet.yaml_source import BadFile

MCP = """Serve the fleet to an agent: a Model Context Protocol server on stdin and stdout.

\b
  claude mcp add toft -- toft mcp
  toft plugin install            the same, with commands, an agent and a skill

What agents may do is said in ~/.config/toft/mcp-policy.yaml; what they did is in ~/.local/state/toft/mcp-audit.jsonl.
"""
MISSING = "pip install 'toft[mcp]'"


def register(app: typer.Typer) -> None:
    command(app, "mcp", help=MCP)(mcp)


def mcp(session: Session) -> int:
    if importlib.util.find_spec("mcp") is None:
        raise Failure("the MCP SDK is not installed", MISSING)
    from toft.fleet.policy import load

    try:
        policy = load(config_directory(session.env))
    except BadFile as error:
        raise Failure(str(error)) from error
    assembled = session.fleet  # a bad configuration is said now, not to the first caller
    assembled.store.close()
    from toft.mcp.desk import Desk
    from toft.mcp.server import serve

    serve(Desk(dict(session.env), Path.cwd(), session.options.inventory), policy)
    return 0
