"""`toft mcp` and `toft plugin`: the face for agents, and what Claude Code needs to find it."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from typing import Annotated

import typer

from toft.cli.session import Session, command
from toft.cli.terminal import as_json
from toft.fleet import claude_plugin, hook_file
from toft.fleet.failures import Failure

MCP = """Serve the fleet to an agent: a Model Context Protocol server on stdin and stdout.

\b
  toft mcp                       what a client starts
  claude mcp add toft -- toft mcp
  toft plugin install            the same, with commands, an agent and a skill

What agents may do is said in ~/.config/toft/mcp-policy.yaml; what they did is in ~/.local/state/toft/mcp-audit.jsonl.
"""
PLUGIN = """The plugin for Claude Code.

\b
  toft plugin install
  toft plugin hook on
"""
INSTALL = """Make the plugin known to Claude Code; without it on this machine, say what to type.

\b
  toft plugin install --dry-run
"""
HOOK = """Switch the hook that tells Claude Code when a Bash command belongs on another node.

\b
  toft plugin hook on        asks the fleet, and writes down what belongs elsewhere
  toft plugin hook off
  toft plugin hook           says whether it is on

While it is on, any toft command renews in the background what was written down, if the configuration or the
inventory has changed since, or an hour has passed.
"""
MISSING = "pip install 'toft[mcp]'"


def register(app: typer.Typer) -> None:
    command(app, "mcp", help=MCP)(mcp)
    plugin = typer.Typer(help=PLUGIN, no_args_is_help=True, rich_markup_mode=None)
    command(plugin, "install", help=INSTALL)(install)
    command(plugin, "hook", help=HOOK)(hook)
    app.add_typer(plugin, name="plugin")


def mcp(session: Session) -> int:
    _must_have_sdk()
    # The process becomes the server. -P: a file of the current directory must not be taken for a module.
    words = [sys.executable, "-P", "-m", "toft.mcp", *(str(path.absolute()) for path in session.options.inventory)]
    sys.stdout.flush()
    os.execve(sys.executable, words, session.env)


def _must_have_sdk() -> None:
    if importlib.util.find_spec("mcp") is None:
        raise Failure("the MCP SDK is not installed", MISSING)


def install(
    session: Session,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
) -> int:
    _must_have_sdk()
    planned = claude_plugin.plan(session.env)
    typed = [shlex.join(words) for words in planned.commands]
    if not dry_run:
        claude_plugin.install(planned, claude_plugin.this_toft())
    done = planned.claude is not None and not dry_run
    if session.options.json:
        sys.stdout.write(as_json({"directory": str(planned.directory), "commands": typed, "done": done}))
        return 0
    session.say(f"{'would copy' if dry_run else 'copied'} the plugin to {planned.directory}")
    session.say("done; it is there in the next session of Claude Code" if done else "to type:")
    sys.stdout.write("" if done else "".join(f"{line}\n" for line in typed))
    return 0


def hook(session: Session, word: Annotated[str, typer.Argument(metavar="[on|off]")] = "status") -> int:
    if word == "on":
        session.say(hook_file.switch_on(session.env, session.options.inventory))
    elif word == "off":
        hook_file.switch_off(session.env)
    elif word != "status":
        raise Failure(f"the hook is on or off, not {word!r}", "toft plugin hook on")
    state = hook_file.state(session.env)
    sys.stdout.write("on\n" if state.on else "off\n")
    if state.stale:
        session.say(f"it says nothing for now: {state.stale}; any toft command renews its table, or: {hook_file.ON}")
    return 0
