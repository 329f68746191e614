"""`toft farm`: the compile farm, from its scheduler's own word."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer
from ansible_collections.toft.fleet.plugins.plugin_utils.icecream import Farm, Node

from toft.cli.doctor import line
from toft.cli.session import Session, command
from toft.cli.terminal import Cell, Palette, as_json, clean, duration, table
from toft.fleet.farm import Place, planned, seen
from toft.fleet.farm_client import client
from toft.fleet.farm_doctor import FULL, looked

GROUP_HELP = """The icecream farm: who compiles for whom, and what a client needs.

\b
  toft farm status
  eval "$(toft farm env)" && make -j16 CC="icecc gcc"
  toft farm doctor

Its scheduler is the node of the inventory's group farm_scheduler, or the first of the group icecream.
"""
STATUS_HELP = """The farm's nodes as its scheduler has them, and what they compile.

\b
  toft farm status
  toft farm status --scheduler build.example.org
  toft farm status --json
"""
ENV_HELP = """What icecc needs to know on this machine, to be read by a shell.

\b
  toft farm env
  eval "$(toft farm env)" && make -j16 CC="icecc gcc"

ICECC_VERSION has this machine's own toolchain, and those of other platforms that make the same code.
"""
DOCTOR_HELP = """What is wrong with the farm, and what to type.

\b
  toft farm doctor
  toft farm doctor --compile     try it: each node compiles a small file for this machine
  toft farm doctor --json
"""
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", metavar="HOST[:PORT]", help="Not the inventory's: this one.")
]


def register(app: typer.Typer) -> None:
    farm = typer.Typer(help=GROUP_HELP, no_args_is_help=True, rich_markup_mode=None)
    command(farm, "status", help=STATUS_HELP)(status)
    command(farm, "env", help=ENV_HELP)(env)
    command(farm, "doctor", help=DOCTOR_HELP)(doctor)
    app.add_typer(farm, name="farm")


def status(session: Session, scheduler: Scheduler = None) -> int:
    plan = planned(session.fleet, scheduler)
    place, farm = seen(plan.place)
    if session.options.json:
        sys.stdout.write(as_json(_as_json(place, farm)))
    else:
        sys.stdout.write(_text(session.out, place, farm))
    return 0


def env(session: Session, scheduler: Scheduler = None) -> int:
    plan = planned(session.fleet, scheduler)
    found = client(plan.envs)
    values = {"ICECC_VERSION": found.version, "ICECC_SCHEDULER": plan.place.host if plan.place else ""}
    if not found.version:
        session.say(f"no toolchain in {plan.envs} is of a compiler that is here: icecc makes one itself")
        session.say("try: toft provision icecream")
    if session.options.json:
        sys.stdout.write(as_json({**values, "platform": found.platform, "icecc": found.icecc}))
    else:
        sys.stdout.write("".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items() if value))
    return 0


def doctor(
    session: Session,
    scheduler: Scheduler = None,
    compiles: Annotated[bool, typer.Option("--compile", help="Have each node compile a small file, too.")] = False,
) -> int:
    found = looked(planned(session.fleet, scheduler), compiles=compiles)
    if session.options.json:
        sys.stdout.write(as_json({"checks": [check.to_dict() for check in found]}))
    else:
        sys.stdout.write("".join(line(session, check) for check in found))
    return int(any(check.verdict == "fail" for check in found))


def _as_json(place: Place, farm: Farm) -> dict[str, Any]:
    told = asdict(farm)
    nodes = [{**node, "remote": one.remote} for node, one in zip(told["nodes"], farm.nodes, strict=True)]
    return {"scheduler": {**place.to_dict(), **(told["scheduler"] or {})}, "nodes": nodes, "jobs": told["jobs"]}


def _text(palette: Palette, place: Place, farm: Farm) -> str:
    heads = ("NODE", "PLATFORM", "SLOTS", "LOAD", "SPEED", "FOR", "ADDRESS")
    head = place.node or place.host
    told = farm.scheduler
    about = f"scheduler {head}, icecream {told.version}, up {duration(told.uptime_s)}" if told else f"scheduler {head}"
    jobs = f"{told.queued} jobs in the queue, {told.total} since its start" if told else ""
    return f"{clean(f'{about}: {jobs}')}\n{table(palette, heads, [_row(node) for node in farm.nodes])}"


def _row(node: Node) -> list[Cell]:
    slots = f"{node.running}/{node.slots}" if node.remote else "submits only"
    clients = ", ".join(dict.fromkeys(job.client for job in node.jobs)) or "-"
    full = node.load >= FULL
    return [
        Cell(node.name, ("bold",)),
        Cell(node.platform),
        Cell(slots, () if node.remote else ("yellow",), right=True),
        Cell(f"{node.load / 10:.0f}%", ("red",) if full else (), right=True),
        Cell(f"{node.speed:.1f}" if node.speed else "-", right=True),
        Cell(clients),
        Cell(node.address),
    ]
