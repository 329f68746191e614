"""`toft engine`: the process that makes commands start at once."""

from __future__ import annotations

import sys
import time
from typing import Any

import typer

from toft.cli.session import Session, command
from toft.cli.terminal import as_json
from toft.fleet.warmth import Warmth, stop, warmth

ENGINE = """The warm engine: a process of yours that has everything imported, and forks for each command.

\b
  toft engine status
  toft engine stop
  toft --cold status        a command without it
  export TOFT_WARM=0        switches it off

The first command starts it for the next ones; it ends after 15 idle minutes (TOFT_ENGINE_IDLE, in seconds).
"""


def register(app: typer.Typer) -> None:
    engine = typer.Typer(help=ENGINE, no_args_is_help=True, rich_markup_mode=None)
    command(engine, "status", help="Whether it runs.\n\n\b\n  toft engine status --json\n")(status)
    command(engine, "stop", help="End it; what runs in it goes on to its end.\n\n\b\n  toft engine stop\n")(end)
    app.add_typer(engine, name="engine")


def status(session: Session) -> int:
    found = warmth(session.env)
    if session.options.json:
        sys.stdout.write(as_json(_value(found)))
    else:
        sys.stdout.write(f"{text(found)}\n")
    return 0 if found.told else 1


def end(session: Session) -> int:
    found = stop(session.env)
    if session.options.json:
        sys.stdout.write(as_json(_value(found)))
    elif found.told:
        session.say(f"the engine (process {found.told['pid']}) ends")
    else:
        session.say(text(found))
    return 0


def text(found: Warmth) -> str:
    if found.told is None:
        return found.why or "no engine runs; the next command starts one, unless TOFT_WARM=0 says not to"
    told = found.told
    changed = f"; {told['changed']} has changed, so the next command starts another" if told["changed"] else ""
    return (
        f"process {told['pid']} since {time.strftime('%H:%M:%S', time.localtime(told['since']))}: "
        f"{told['served']} served, {told['memory_bytes'] >> 20} MiB{changed}"
    )


def _value(found: Warmth) -> dict[str, Any]:
    return {"socket": found.path, "why": found.why or None, "engine": dict(found.told) if found.told else None}
