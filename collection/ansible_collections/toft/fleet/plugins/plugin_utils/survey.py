# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All nodes probed at once: each with its load, or the cause of its silence."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.toft.fleet.plugins.module_utils.load import Load
from ansible_collections.toft.fleet.plugins.plugin_utils import exchange, probing
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause, cause
from ansible_collections.toft.fleet.plugins.plugin_utils.fanout import Outcome, run_all
from ansible_collections.toft.fleet.plugins.plugin_utils.masters import turns
from ansible_collections.toft.fleet.plugins.plugin_utils.roster import Member
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

STORAGE = ("toft_workdir", "toft_storage_hot", "toft_storage_cold")


@dataclass(frozen=True)
class Seen:
    """`latency_ms` is the whole answer's time, less the interval that was measured on purpose."""

    member: Member
    load: Load | None
    cause: Cause | None
    latency_ms: float


def survey(members: Sequence[Member], *, interval: float | None, patience: float) -> list[Seen]:
    """In the order of the members. Each has `patience` seconds for all of it, and its turn where connections must be
    opened to very many; no node delays another."""

    def look(member: Member, deadline: float) -> Load | Cause:
        return probe(member, interval=interval, deadline=deadline)

    reached = [member.transport for member in members if isinstance(member.transport, Transport)]
    outcomes = run_all(members, look, deadline_each=patience + turns(reached))
    return [_seen(outcome) for outcome in outcomes]


def probe(member: Member, *, interval: float | None, deadline: float) -> Load | Cause:
    """One node's load; `deadline` is a time.monotonic()."""
    transport = member.transport
    if isinstance(transport, Cause):
        return transport
    begun = time.monotonic()
    script = probing.script(paths(member), interval)
    done = exchange.run(transport, probing.COMMAND, script, deadline=deadline, max_output=probing.MOST)
    if isinstance(done, Cause):
        return done
    read = probing.read(done.stdout)
    if isinstance(read, Load):
        return read
    return cause(read, transport, detail=f"after {time.monotonic() - begun:.1f} s")


def paths(member: Member) -> list[str]:
    """The work and storage paths whose disk matters."""
    return [str(member.variables[name]) for name in STORAGE if member.variables.get(name)]


def _seen(outcome: Outcome[Member, Load]) -> Seen:
    if outcome.error is not None:
        raise outcome.error
    watched = (outcome.value.interval_s or 0.0) if outcome.value else 0.0
    latency = round(max(0.0, outcome.seconds - watched) * 1000, 1)
    return Seen(outcome.item, outcome.value, outcome.cause, latency)
