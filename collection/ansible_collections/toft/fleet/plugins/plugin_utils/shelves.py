# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The mirrors that stand on each node of the play: which there are, or some of them removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import conversation
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.fanout import run_all
from ansible_collections.toft.fleet.plugins.plugin_utils.requests import Asked
from ansible_collections.toft.fleet.plugins.plugin_utils.roster import Member

LONGEST_S = 3600.0
"""Counting the bytes of large mirrors takes its time."""


@dataclass(frozen=True)
class Shelf:
    """One node's answer. `mirrors` as the node tells them; `refused` by name, with the reason."""

    node: str
    mirrors: tuple[dict[str, Any], ...] = ()
    removed: tuple[str, ...] = ()
    refused: dict[str, dict[str, str]] | None = None
    error: dict[str, str] | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def shelves(members: Sequence[Member], asked: Asked) -> list[Shelf]:
    """In the order of the members; a node's failure is a value."""
    names = [str(name) for name in asked.sync.get("forget") or ()]

    def one(member: Member, deadline: float) -> Shelf:
        return _shelf(member, names)

    outcomes = run_all(members, one, deadline_each=LONGEST_S)
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    return [outcome.value or Shelf(outcome.item.node, error=_lost(outcome.cause)) for outcome in outcomes]


def _shelf(member: Member, forget: list[str]) -> Shelf:
    if isinstance(member.transport, Cause):
        return Shelf(member.node, error=_lost(member.transport))
    workdir = member.variables.get("toft_workdir")
    request = {"verb": "mirrors", "workdir": str(workdir) if workdir else None, "forget": forget}
    try:
        with conversation.converse(member.transport, "mirrors") as talk:
            talk.request(request)
            told = talk.answer()
    except conversation.Broken as lost:
        return Shelf(member.node, error=_lost(lost.cause))
    except conversation.Refused as refused:
        return Shelf(member.node, error=refused.to_dict(member.node))
    return Shelf(member.node, tuple(told.get("mirrors") or ()), tuple(told["removed"]), told["refused"])


def _lost(cause: Cause | None) -> dict[str, str]:
    if cause is None:
        return {"code": "timeout", "message": "no answer in time", "fix": ""}
    return {key: str(value) for key, value in cause.to_dict().items()}
