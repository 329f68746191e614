# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The nodes of a play as candidates: what the inventory says of each, what the probe found, and the choice."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import rules, shell
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.command_line import Command, understand
from ansible_collections.toft.fleet.plugins.plugin_utils.requests import Asked, BadRequest
from ansible_collections.toft.fleet.plugins.plugin_utils.roster import Member
from ansible_collections.toft.fleet.plugins.plugin_utils.routing import Decision, Node, Policy, decide, score
from ansible_collections.toft.fleet.plugins.plugin_utils.routing_policy import Weights
from ansible_collections.toft.fleet.plugins.plugin_utils.survey import Seen, survey
from ansible_collections.toft.fleet.plugins.plugin_utils.this_machine import machine_id


def candidate(member: Member, seen: Seen | None = None, here: str | None = None) -> Node:
    """This machine is the node without a connection, or the one that has our machine id; never one of our name."""
    load = seen.load if seen else None
    refused = member.transport if isinstance(member.transport, Cause) else None
    return Node.from_vars(
        member.node,
        member.groups,
        member.variables,
        load=load,
        cause=seen.cause if seen else refused,
        local=member.local or (load is not None and here is not None and load.machine_id == here),
    )


def described(all_seen: Sequence[Seen], policy: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The nodes for `status` by name, as JSON."""
    here, weights = machine_id(), Policy.from_dict(policy, rules.Topics()).weights
    return {seen.member.node: _described(seen, here, weights) for seen in all_seen}


def _described(seen: Seen, here: str | None, weights: Weights) -> dict[str, Any]:
    node = candidate(seen.member, seen, here)
    declared = {"os": node.os, "arch": node.arch, "auto": node.auto, "slots": node.slots}
    declared["wsl"] = bool(seen.member.variables.get("toft_wsl", False))
    return {
        "groups": list(node.groups),
        "declared": declared,
        "load": None if seen.load is None else seen.load.to_dict(),
        "cause": None if seen.cause is None else seen.cause.to_dict(),
        "latency_ms": seen.latency_ms if seen.load else None,
        "local": node.local,
        "score": score(seen.load, weights),
    }


def choose(
    members: Sequence[Member], asked: Asked, inventory: Collection[str] = ()
) -> tuple[Decision, Command, Node | None]:
    """Parse, look at the nodes (unless their declared word is enough), decide. Raises BadRequest.

    `inventory` has the names of all nodes, members or not: one that is no member is still no command.
    """
    outside = set(inventory) - {m.node for m in members}
    if understand(asked.words, outside, asked.form, asked.may_name_node).node:
        raise BadRequest(f"{asked.words[0]} is a node, but none of those that may be chosen here")
    given = understand(asked.words, {m.node for m in members}, asked.form, asked.may_name_node)
    known = known_rules(asked)
    line = shell.parse_argv(given.command.argv) if given.command.shell is None else shell.parse(given.command.shell)
    named = asked.node or given.node
    nodes = [node for node in _nodes(members, asked, named) if node.name not in asked.exclude]
    policy = Policy.from_dict(asked.policy, known.topics)
    decision = decide(rules.requirement(line, known), nodes, policy, named)
    if given.node is None and asked.may_name_node:
        decision = replace(decision, near=near(asked.words, [node.name for node in nodes]))
    return decision, given.command, next((node for node in nodes if node.name == decision.node), None)


def near(words: Sequence[str], nodes: Sequence[str]) -> str:
    """The node that the first word may have been meant to name; only worth a word if the program is not found."""
    found = difflib.get_close_matches(words[0], nodes, n=1, cutoff=0.5) if words else []
    return found[0] if found else ""


def known_rules(asked: Asked) -> rules.Rules:
    """The built-in rules and the request's own. Raises BadRequest."""
    try:
        return rules.with_user_rules(rules.built_in(), asked.policy.get("rules") or ())
    except rules.RuleError as error:
        raise BadRequest(str(error)) from error


def _nodes(members: Sequence[Member], asked: Asked, named: str | None) -> list[Node]:
    """A job for a node that was named asks that node alone, and what it knows at once: its load decides nothing."""
    if asked.declared:
        return [candidate(member) for member in members]
    here, decided = machine_id(), bool(named and asked.job)
    ask = [member for member in members if member.node == named] if decided else members
    seen = survey(ask, interval=None if decided else asked.interval, patience=asked.patience)
    found = {one.member.node: candidate(one.member, one, here) for one in seen}
    return [found.get(member.node) or candidate(member) for member in members]
