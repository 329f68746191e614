"""The compile farm: who is to be in it by the inventory, and who is by its scheduler.

Names are those of the role toft.fleet.icecream: the group `icecream`, in it a scheduler (`farm_scheduler`, or
`toft_farm_scheduler`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import names
from ansible_collections.toft.fleet.plugins.plugin_utils.icecream import BadAnswer, Farm, parse

from toft.engine.inventory import Listed, listed
from toft.engine.runner import Refused
from toft.engine.scheduler import ask
from toft.fleet.failures import NOT_STARTED, Failure
from toft.fleet.farm_client import Here, here
from toft.fleet.fleet import Fleet

GROUP, SCHEDULERS = "icecream", "farm_scheduler"
PORT = 8765
ENVS = "/opt/icecc-envs"
PATIENCE_S = 10.0
VARIABLES = (
    *("toft_farm_scheduler", "toft_farm_port", "toft_farm_envs"),
    *("icecream_scheduler", "icecream_port", "icecream_remote"),
    *("ansible_host", "ansible_connection"),
)
"""What `plan` looks at."""


@dataclass(frozen=True)
class Place:
    """A scheduler: its node's name (empty, if it was given by its address) and where it listens. `others` are where
    else it may: it listens on one interface, which need not be the one that Ansible connects to."""

    node: str
    host: str
    port: int = PORT
    others: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {"node": self.node, "host": self.host, "port": self.port}


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
    envs = Path(str(variables.get("toft_farm_envs") or ENVS))
    place = _given(given) if given else _place(node, told.variables(node), variables, here(envs)) if node else None
    silent = frozenset(name for name in members if told.variables(name).get("icecream_remote") is False)
    return Plan(place, members, silent, envs)


def _place(node: str, variables: Mapping[str, Any], anyone: Mapping[str, Any], noted: Here) -> Place:
    """What the daemon here was told, if it is of this farm; what the inventory says that the daemons are to be told;
    the node's address; its name, which is what they are told by default."""
    local = str(variables.get("ansible_connection", "")).removeprefix("ansible.builtin.") == "local"
    hosts = [
        noted.scheduler if noted.scheduler_node == node else None,
        *(one.get("icecream_scheduler") for one in (variables, anyone)),
        variables.get("ansible_host"),
        node,
        "127.0.0.1" if local else None,
    ]
    wanted = dict.fromkeys(str(host) for host in hosts if host and "{{" not in str(host))
    port = variables.get("icecream_port") or variables.get("toft_farm_port") or PORT
    return _checked(node, [*wanted] or [node], port)


def _given(text: str) -> Place:
    host, colon, port = text.rpartition(":")
    return _checked("", [host], port) if colon and port.isdigit() else _checked("", [text], PORT)


def _checked(node: str, hosts: Sequence[str], port: object) -> Place:
    """Of several, those after the first may be no addresses: a node's name need not be one."""
    refusal = names.refuse_address(hosts[0]) or names.refuse_port(port)
    if refusal:
        raise Failure(f"the farm's scheduler: {refusal}", "toft farm status --scheduler HOST:PORT")
    others = tuple(host for host in hosts[1:] if not names.refuse_address(host))
    return Place(node, hosts[0], int(str(port)), others)


def heard(place: Place | None, patience_s: float = PATIENCE_S) -> tuple[Place | None, Farm | Failure]:
    """The same, with its failure as a value."""
    try:
        return seen(place, patience_s)
    except Failure as failure:
        return place, failure


def seen(place: Place | None, patience_s: float = PATIENCE_S) -> tuple[Place, Farm]:
    """Where the scheduler answers, and what it says; Failure, with exit code 125, if there is none or it does not
    answer anywhere."""
    if place is None:
        hint = f"toft farm status --scheduler HOST, or name the node in a group {SCHEDULERS} of the inventory"
        raise Failure("the inventory names no scheduler of a compile farm", hint, exit_code=NOT_STARTED)
    failures = []
    for host in (place.host, *place.others):
        one = Place(place.node, host, place.port)
        try:
            return one, _asked(one, patience_s)
        except Failure as failure:
            failures.append(failure)
    # The first is where it should be.
    first = failures[0]
    raise Failure("; ".join(failure.message for failure in failures), first.hint, NOT_STARTED, place.node)


def _asked(place: Place, patience_s: float) -> Farm:
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
