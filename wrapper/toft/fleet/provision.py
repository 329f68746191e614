"""`provision`: the collection's playbooks over the fleet, and what came of them node by node."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toft.engine.events import Event
from toft.engine.provisioning import Provisioning
from toft.engine.provisioning import provision as run
from toft.engine.requests import refuse_pattern
from toft.engine.runner import collections_path
from toft.fleet.failures import NOT_STARTED, Failure
from toft.fleet.fleet import Fleet
from toft.fleet.patterns import expand
from toft.fleet.playbooks import COLLECTION, WHOLE, Playbooks, read
from toft.fleet.provision_report import Ledger, Report, Told
from toft.fleet.yaml_source import BadFile

INTERRUPTED = 130


@dataclass(frozen=True)
class Wanted:
    """What was asked for. No `roles`: the whole fleet. `variables` as they were typed; `passwords` by what asks
    for them (`become`, `ssh`)."""

    roles: tuple[str, ...] = ()
    limit: str | None = None
    check: bool = False
    diff: bool = False
    variables: tuple[str, ...] = ()
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Outcome:
    """`error` is why Ansible itself gave up in the middle, if it did."""

    report: Report
    interrupted: bool = False
    error: str = ""

    @property
    def exit_code(self) -> int:
        return INTERRUPTED if self.interrupted else int(bool(self.report.failures or self.error))

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON."""
        return {**self.report.to_dict(), "error": self.error or None}


def playbooks(environment: Mapping[str, str]) -> Playbooks:
    """Those of the collection that Ansible will find first: ours."""
    place = Path(collections_path(environment)[0])
    return read(place / "ansible_collections" / Path(*COLLECTION.split(".")) / "playbooks")


def provision(fleet: Fleet, wanted: Wanted, watch: Callable[[Told], None]) -> Outcome:
    """Runs it. `watch` is told of what happens while it does. A node's failure is in the report;
    Failure is raised if nothing could be started at all."""
    known = playbooks(fleet.engine.environment)
    names, roles = chosen(known, wanted.roles)
    what = Provisioning(
        tuple(f"{COLLECTION}.{name}" for name in names),
        _limit(wanted.limit),
        wanted.check,
        wanted.diff,
        tuple(variables(text, fleet.cwd) for text in wanted.variables),
        wanted.passwords,
    )
    plays = [play for name in names for play in known.plays(name)]
    ledger = Ledger(plays)

    def tell(event: Event) -> None:
        told = ledger.take(event)
        if told is not None:
            watch(told)

    begun = time.monotonic()
    ended = run(fleet.engine, what, tell)
    report = ledger.report(roles, check=wanted.check, wall_s=time.monotonic() - begun)
    if ended.status == "canceled":
        return Outcome(report, interrupted=True)
    if not report.counts:
        raise _nothing(fleet, wanted, ended.errors, sorted({play.hosts for play in plays}))
    fleet.remember(report.counts)
    gave_up = ended.status != "successful" and not report.failures
    return Outcome(report, error=(ended.errors or f"ansible ended with status {ended.status}") if gave_up else "")


def chosen(known: Playbooks, asked: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The playbooks to run, and the roles that those stand for; the order is the fleet's own, not the one typed."""
    there = known.roles()
    for name in asked:
        if name not in (*there, WHOLE):
            raise Failure(f"there is no role {name!r} to provision", f"one of: {', '.join(there)}")
    if not asked or WHOLE in asked:
        whole = known.whole()
        more = tuple(name for name in there if name in asked and name not in whole)
        before = tuple(name for name in more if there.index(name) < there.index(whole[0]))
        after = tuple(name for name in more if name not in before)
        return (*before, WHOLE, *after), (*before, *whole, *after)
    names = tuple(name for name in there if name in asked)
    return names, names


def variables(text: str, cwd: Path) -> dict[str, Any] | Path:
    """One `-e`: VAR=VALUE is one variable, and all after the first = is its value, as text; @FILE is a file of
    them; {…} is JSON."""
    if text.startswith("@"):
        file = cwd / os.path.expanduser(text[1:])
        if not file.is_file():
            raise Failure(f"-e {text}: there is no such file")
        return file
    if text.startswith("{"):
        try:
            return dict(json.loads(text))
        except (ValueError, TypeError) as error:
            raise Failure(f"-e {text}: this is no JSON object: {error}") from error
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise Failure(f"-e {text}: VAR=VALUE, @FILE or a JSON object is expected")
    return {name: value}


def _limit(pattern: str | None) -> str | None:
    if pattern is None:
        return None
    refusal = refuse_pattern(pattern)
    if refusal:
        raise Failure(refusal, "toft status all")
    return expand(pattern)


def _nothing(fleet: Fleet, wanted: Wanted, errors: str, hosts: Sequence[str]) -> Failure:
    """Nobody was asked anything: no node matches, or Ansible could not begin."""
    where = ", ".join(map(str, fleet.inventory.paths)) or "the embedded default (this machine)"
    graph = f"ansible-inventory -i {fleet.inventory.paths[0]} --graph" if fleet.inventory.paths else "toft init"
    if errors and "no hosts to target" not in errors:
        return Failure(errors, graph, exit_code=NOT_STARTED)
    who = f" and {wanted.limit!r}" if wanted.limit else ""
    return Failure(f"no node of {where} matches {', '.join(map(repr, hosts))}{who}", graph, exit_code=NOT_STARTED)


def inventory_missing(failure: Failure) -> Failure:
    """The same, but with the exit code of "nothing could be started", if it says that there is no such inventory."""
    cause = failure.__cause__
    gone = isinstance(cause, BadFile) and cause.line is None and not os.path.lexists(cause.file)
    return replace(failure, exit_code=NOT_STARTED) if gone else failure
