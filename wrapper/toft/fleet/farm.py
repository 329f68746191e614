"""The compile farm: who is to be in it by the inventory, and who is by its scheduler.

Names are those of the role toft.fleet.icecream: the group `icecream`, in it a scheduler (`farm_scheduler`, or
`toft_farm_scheduler`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import names
from ansible_collections.toft.fleet.plugins.plugin_utils.icecream import BadAnswer, Farm, parse

from toft.engine.inventory import Listed, listed
from toft.engine.runner import Refused
from toft.engine.scheduler import ask
from toft.fleet.failures import NOT_STARTED, Failure
from toft.fleet.fleet import Fleet

GROUP, SCHEDULERS = "icecream", "farm_scheduler"
PORT = 8765
ENVS = "/opt/icecc-envs"
PATIENCE_S = 10.0
VARIABLES = (
    *("toft_farm_scheduler", "toft_farm_port", "toft_farm_envs", "icecream_port", "icecream_remote"),
    *("ansible_host", "ansible_connection"),
)
"""What `plan` looks at."""


@dataclass(frozen=True)
class Place:
    """A scheduler: its node's name (empty, if it was given by its address) and where it listens."""

    node: str
    host: str
    port: int = PORT

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Plan:
    """The farm as the inventory has it. `submit_only`: those members that take no work of others."""

    place: Place | None
    members: tuple[str, ...]
    submit_only: frozenset[str]
    envs: Path


def planned(fleet: Fleet, given: str | None) -> Plan:
    """By the inventory; `given` is HOST or HOST:PORT of another scheduler."""
    told = listed(fleet.engine)
    if isinstance(told, Refused):
        raise Failure(told.message)
    return plan(told, given)


def plan(told: Listed, given: str | None = None) -> Plan:
    members = told.members(GROUP)
    schedulers = told.members(SCHEDULERS)
    first = (*schedulers, *members)[:1]
    variables = told.variables(first[0]) if first else {}
    node = str(variables.get("toft_farm_scheduler") or (first[0] if first else ""))
    place = _given(given) if given else _place(node, told.variables(node)) if node else None
    silent = frozenset(name for name in members if told.variables(name).get("icecream_remote") is False)
    return Plan(place, members, silent, Path(str(variables.get("toft_farm_envs") or ENVS)))


def _place(node: str, variables: Mapping[str, Any]) -> Place:
    local = str(variables.get("ansible_connection", "")).removeprefix("ansible.builtin.") == "local"
    address = str(variables.get("ansible_host") or ("127.0.0.1" if local else node))
    return _checked(node, address, variables.get("icecream_port") or variables.get("toft_farm_port") or PORT)


def _given(text: str) -> Place:
    host, colon, port = text.rpartition(":")
    return _checked("", host, port) if colon and port.isdigit() else _checked("", text, PORT)


def _checked(node: str, host: str, port: object) -> Place:
    refusal = names.refuse_address(host) or names.refuse_port(port)
    if refusal:
        raise Failure(f"the farm's scheduler: {refusal}", "toft farm status --scheduler HOST:PORT")
    return Place(node, host, int(str(port)))


def heard(place: Place | None, patience_s: float = PATIENCE_S) -> Farm | Failure:
    """The same, with its failure as a value."""
    try:
        return seen(place, patience_s)
    except Failure as failure:
        return failure


def seen(place: Place | None, patience_s: float = PATIENCE_S) -> Farm:
    """What the scheduler says; Failure, with exit code 125, if there is none or it does not answer."""
    if place is None:
        hint = f"toft farm status --scheduler HOST, or name the node in a group {SCHEDULERS} of the inventory"
        raise Failure("the inventory names no scheduler of a compile farm", hint, exit_code=NOT_STARTED)
    where = f"{place.host}:{place.port + 1}"
    who = f" --limit {place.node}" if place.node else ""
    fix = f"toft provision icecream{who}"
    try:
        return parse(ask(place.host, place.port, patience_s))
    except BadAnswer as error:
        raise Failure(f"{where}: {error.why}", fix, NOT_STARTED, place.node) from error
    except TimeoutError as error:
        message = f"the scheduler at {where} does not answer within {patience_s:g} s; is this machine on its network?"
        raise Failure(message, f"toft status {place.node}" if place.node else fix, NOT_STARTED, place.node) from error
    except OSError as error:
        why = error.strerror or str(error)
        raise Failure(f"the scheduler at {where} cannot be reached: {why}", fix, NOT_STARTED, place.node) from error
