# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a command runs: a pure decision from what it needs, what the nodes are, and a policy (`requirements`,
`routing_nodes`, `routing_policy`).

Three steps, in this order:

1. *Filter.* A node that does not run the needed system, lacks a capability, keeps out of automatic placement
   (`toft_auto: false`) or cannot be reached is out. What is not known of a node (its system is not declared
   and nothing was probed) counts against it only if another node is known to have it: a fleet of which
   nothing is declared can still be asked where a command would run.
2. *Narrow.* To the nodes that a preference names, to the builders if the command is heavy, to the nodes that
   specialise in what it is about. A narrowing that would leave no node is skipped, and said.
3. *Choose.* If no filter and no narrowing spoke, the command runs on this machine unless that is overloaded.
   Otherwise in this order: a node that is not known to lack the very program; one with a free slot; the
   fewest of our jobs by slot; the lowest score; the name. Jobs count before the score because load follows a
   job's start only after seconds.

`toft_auto: false` means that nobody's laptop is used unasked. A light command that this machine's own user
types on it is no such use: for what is not heavy, this machine is a candidate whatever its `toft_auto`. For
heavy work it keeps out like any other, and its user can still name it.

The reason is the first that applies in the order of REASONS. `least_loaded` also stands where this machine is
in the inventory but no candidate (heavy work and `toft_auto: false`); `why` says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils.requirements import Matched, Requirement
from ansible_collections.toft.fleet.plugins.plugin_utils.routing_nodes import Node
from ansible_collections.toft.fleet.plugins.plugin_utils.routing_policy import (
    Overload,
    Policy,
    Weights,
    overloaded,
    score,
)

__all__ = [
    "REASONS",
    "Candidate",
    "Decision",
    "Node",
    "Overload",
    "Policy",
    "Weights",
    "decide",
    "overloaded",
    "score",
]

REASONS = (
    "explicit",
    "linux_required",
    "macos_required",
    "capability",
    "preference",
    "heavy_computation",
    "specialization",
    "local",
    "local_overloaded",
    "least_loaded",
    "none_eligible",
)
BUILDER_GROUPS = frozenset({"builder", "builders"})


@dataclass(frozen=True, slots=True)
class Candidate:
    """`rejected`: what it lacked; None if it could have been chosen."""

    node: str
    score: float | None
    rejected: str | None = None

    @property
    def eligible(self) -> bool:
        return self.rejected is None

    def to_dict(self) -> dict[str, Any]:
        return {"node": self.node, "score": self.score, "eligible": self.eligible, "rejected": self.rejected}


@dataclass(frozen=True, slots=True)
class Decision:
    """`candidates`: the best first, then those out, by name. `skipped`: narrowings that left no node. `fix`:
    what to type if the node that was named does not answer."""

    command: str
    node: str | None
    reason: str
    why: str
    matched: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    skipped: tuple[str, ...] = ()
    fix: str = ""
    near: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON."""
        return {
            "command": self.command,
            "node": self.node,
            "reason": self.reason,
            "matched": list(self.matched),
            "why": self.why,
            "candidates": [each.to_dict() for each in self.candidates],
            "skipped": list(self.skipped),
            "fix": self.fix,
            "near": self.near,
        }


def decide(requirement: Requirement, nodes: Sequence[Node], policy: Policy, explicit: str | None = None) -> Decision:
    """One of these nodes, or none. `explicit` is a node that was named; it is taken as it is, if it answers.

    `nodes` are those that may be asked (after `--on PATTERN`): this machine counts only if it is among them.
    """
    routing = _Routing(requirement, nodes, policy)
    return routing.named(explicit) if explicit is not None else routing.chosen()


@dataclass(frozen=True, slots=True)
class _Narrowing:
    """Nodes that are wanted. `skipped`: what to say if none of them is left; "" says nothing."""

    reason: str
    names: frozenset[str]
    others_lack: str
    skipped: str


class _Routing:
    """One decision in the making."""

    def __init__(self, requirement: Requirement, nodes: Sequence[Node], policy: Policy) -> None:
        self.requirement, self.policy = requirement, policy
        self.nodes = sorted(nodes, key=lambda node: node.name)
        self.weights = policy.weights.leaning(requirement.profile)
        self.scores = {node.name: score(node.load, self.weights) for node in nodes}
        self.out: dict[str, str] = {}
        self.skipped: list[str] = []

    # -- named --

    def named(self, name: str) -> Decision:
        node = next((each for each in self.nodes if each.name == name), None)
        self.out = {each.name: f"{name} was named" for each in self.nodes if each.name != name}
        if node is None:
            return self._decision(None, "none_eligible", f"{name} is not among the nodes that may be asked.")
        if node.reachable is False:
            self.out[name] = _unreachable(node)
            return self._silent(node)
        lacks = [lack for lack in self._lacks(node) if lack]
        mind = f" Mind: it {' and '.join(lacks)}." if lacks else ""
        return self._decision(name, "explicit", f"{name} was named.{mind}")

    def _silent(self, node: Node) -> Decision:
        """A named node that does not answer: there is one thing wrong, and one thing to type."""
        why = node.cause.message if node.cause else "it does not answer."
        told = f"{node.name} was named, but cannot be reached: {why}"
        fix = node.cause.fix if node.cause else ""
        return replace(self._decision(None, "none_eligible", told), fix=fix)

    def _lacks(self, node: Node) -> list[str | None]:
        """What is against a node that runs it all the same."""
        return [self._wrong_system(node), *self._missing(node), self._both_systems()]

    def _both_systems(self) -> str | None:
        if not self.requirement.conflicts:
            return None
        linux, macos = self.requirement.conflicts[0]
        return f"cannot be linux (for `{linux.words}`) and macos (for `{macos.words}`) at once"

    # -- filters --

    def filtered(self) -> list[Node]:
        for node in self.nodes:
            lacks = [*self._lacks(node), self._keeps_out(node)]
            if node.reachable is False:
                lacks.append(f"is {_unreachable(node)}")
            if not node.in_inventory:
                lacks = ["is not in the inventory"]
            told = [lack for lack in lacks if lack]
            if told:
                self.out[node.name] = "; ".join(told)
        return [node for node in self.nodes if node.name not in self.out]

    def _wrong_system(self, node: Node) -> str | None:
        wanted = self.requirement.os
        if wanted is None or node.system == wanted:
            return None
        if node.system is not None:
            return f"runs {node.system}, not {wanted}"
        known = any(each.system == wanted for each in self.nodes)
        return f"is not known to run {wanted}" if known or node.load else None

    def _missing(self, node: Node) -> list[str | None]:
        return [self._missing_one(node, capability) for capability in self.requirement.capabilities]

    def _missing_one(self, node: Node, capability: str) -> str | None:
        if node.has(capability):
            return None
        if node.has(capability) is False:
            return f"has no {capability}"
        known = any(each.has(capability) for each in self.nodes)
        return f"is not known to have {capability}" if known else None

    def _keeps_out(self, node: Node) -> str | None:
        own_light_work = node.local and not self.requirement.heavy
        return None if node.auto or own_light_work else "keeps out of automatic placement (toft_auto: false)"

    # -- narrowings --

    def narrowed(self, left: list[Node]) -> tuple[list[Node], list[str]]:
        """The nodes left, and the reasons of the narrowings that applied."""
        reasons: list[str] = []
        for narrowing in (*self._preferences(), *self._builders(), *self._specialists()):
            kept = [node for node in left if node.name in narrowing.names]
            if not kept:
                self.skipped += [narrowing.skipped] if narrowing.skipped else []
                continue
            gone = [node for node in left if node.name not in narrowing.names]
            self.out.update({node.name: narrowing.others_lack for node in gone})
            left, reasons = kept, [*reasons, narrowing.reason]
        return left, reasons

    def _preferences(self) -> list[_Narrowing]:
        keys = [key for key in self.policy.preferences if self._is_about(key)]
        if not keys:
            return []
        wanted = {name for key in keys for name in self.policy.preferences[key]}
        names = {node.name for node in self.nodes if node.name in wanted or wanted.intersection(node.groups)}
        told = ", ".join(keys)
        return [
            _Narrowing(
                "preference",
                frozenset(names),
                f"is not preferred for {told}",
                f"preferred for {told}: {', '.join(sorted(wanted))}, but none of them can take it",
            )
        ]

    def _builders(self) -> list[_Narrowing]:
        if not self.requirement.heavy:
            return []
        names = frozenset(node.name for node in self.nodes if self._is_builder(node))
        skipped = "no builder can take it" if names else "no node is a builder"
        return [_Narrowing("heavy_computation", names, "is no builder", f"heavy, but {skipped}")]

    def _is_builder(self, node: Node) -> bool:
        topics = {self._topic(each) for each in node.specializations}
        return "builds" in topics or not BUILDER_GROUPS.isdisjoint(each.lower() for each in node.groups)

    def _specialists(self) -> list[_Narrowing]:
        about = {node.name: [s for s in node.specializations if self._is_about(s)] for node in self.nodes}
        names = frozenset(name for name, found in about.items() if found)
        if not names:
            return []
        topics = ", ".join(dict.fromkeys(each for found in about.values() for each in found))
        skipped = f"specialised in {topics}: {', '.join(sorted(names))}, but none of them can take it"
        return [_Narrowing("specialization", names, f"does not specialise in {topics}", skipped)]

    def _is_about(self, key: str) -> bool:
        """Whether the command is about this, a topic or words of its own."""
        if self._topic(key) in self.requirement.topics:
            return True
        words = [word for word in re.split(r"[^a-z0-9]+", key.lower()) if word]
        return bool(words) and set(words).issubset(self.requirement.words)

    def _topic(self, key: str) -> str:
        return self.policy.topics.of(key.strip().lower())

    # -- choice --

    def chosen(self) -> Decision:
        left = self.filtered()
        if not left:
            return self._decision(None, "none_eligible", self._why_none())
        left, narrowings = self.narrowed(left)
        left.sort(key=self._rank)
        reason = next(iter([*self._filter_reasons(), *narrowings]), None)
        if reason is not None:
            return self._decision(left[0].name, reason, self._why(reason, left))
        here = next((node for node in left if node.local), None)
        return self._elsewhere(left) if here is None else self._here(here, left)

    def _filter_reasons(self) -> list[str]:
        system = [f"{self.requirement.os}_required"] if self.requirement.os else []
        return [*system, "capability"] if self.requirement.capabilities else system

    def _here(self, here: Node, left: list[Node]) -> Decision:
        full = overloaded(here, self.policy.overload)
        if full is None:
            why = f"Nothing asks for another node, and this machine ({here.name}) is not overloaded"
            return self._decision(here.name, "local", self._sentence(why))
        others = [node for node in left if node is not here]
        # One that is known to be worse off is no relief.
        unknown = [node for node in others if self.scores[node.name] is None]
        better = [node for node in others if node in unknown or self._rank(node) < self._rank(here)]
        node = better[0] if better else here
        told = f"and {self._best(better)}" if better else "but no node is better off"
        why = f"This machine ({here.name}) is overloaded ({full}), {told}"
        return self._decision(node.name, "local_overloaded", self._sentence(why))

    def _elsewhere(self, left: list[Node]) -> Decision:
        kept_out = any(node.local and node.in_inventory for node in self.nodes)
        told = "This machine keeps out of heavy work" if kept_out else "This machine is not among the nodes"
        return self._decision(left[0].name, "least_loaded", self._sentence(f"{told}, and {self._best(left)}"))

    def _rank(self, node: Node) -> tuple[bool, bool, float, bool, float, int, str]:
        """Lower is better. Of nodes of which no load is known, those with more slots come first."""
        value = self.scores[node.name]
        lacks = node.lacks_program(self.requirement.programs) is not None
        taken = node.running / node.all_slots if node.all_slots else 1.0
        slots = 0 if value is not None else -node.all_slots
        return lacks, not node.free, taken, value is None, value or 0.0, slots, node.name

    # -- words --

    def _why(self, reason: str, left: list[Node]) -> str:
        words = self._words_for(reason)
        preferred = ", ".join(key for key in self.policy.preferences if self._is_about(key))
        told = {
            "linux_required": f"{words} needs linux",
            "macos_required": f"{words} needs macos",
            "capability": f"{words} needs {', '.join(self.requirement.capabilities)}",
            "preference": f"{preferred} has preferred nodes",
            "heavy_computation": f"{words} is heavy work for a builder",
            "specialization": f"{words} is what some nodes specialise in",
        }
        return self._sentence(f"{told[reason]}, and {self._best(left)}")

    def _words_for(self, reason: str) -> str:
        """The first part of the command that gave this reason."""
        found = next((each for each in self.requirement.matched if _gives(each, reason)), None)
        words = found.words if found else self.requirement.command
        return f"`{words if len(words) <= 60 else words[:59] + '…'}`"

    def _best(self, left: list[Node]) -> str:
        """Why the first of these was chosen among them."""
        name = left[0].name
        if len(left) == 1:
            return f"{name} is the only one that can take it"
        first, second = self._rank(left[0]), self._rank(left[1])
        differing = next(i for i, (one, other) in enumerate(zip(first, second, strict=True)) if one != other)
        told = (
            f"has {', '.join(self.requirement.programs)}",
            "has a free slot",
            "has the fewest jobs by slot",
            "is the one whose load is known",
            f"has the lowest score ({self.scores[name]})",
            "has the most slots",
            "comes first by name, all else being equal",
        )
        return f"{name} {told[differing]}"

    def _sentence(self, text: str) -> str:
        return f"{'; '.join([text, *self.skipped])}."

    def _why_none(self) -> str:
        both = self._both_systems()
        if both:
            return f"No node can run this: one {both}."
        if not self.nodes:
            return "No node can run this: there is none."
        told = "; ".join(f"{node.name} {self.out[node.name]}" for node in self.nodes[:8])
        more = f"; and {len(self.nodes) - 8} more" if len(self.nodes) > 8 else ""
        return f"No node can run this: {told}{more}."

    def _decision(self, node: str | None, reason: str, why: str) -> Decision:
        eligible = sorted((each for each in self.nodes if each.name not in self.out), key=self._rank)
        rejected = [each for each in self.nodes if each.name in self.out]
        first = [each for each in eligible if each.name == node]
        order = [*first, *(each for each in eligible if each.name != node), *rejected]
        told = tuple(Candidate(each.name, self.scores[each.name], self.out.get(each.name)) for each in order)
        matched = tuple(str(each) for each in self.requirement.matched)
        return Decision(self.requirement.command, node, reason, why, matched, told, tuple(self.skipped))


def _gives(matched: Matched, reason: str) -> bool:
    match reason:
        case "linux_required" | "macos_required":
            return matched.os == reason.removesuffix("_required")
        case "capability":
            return bool(matched.capabilities)
        case "heavy_computation":
            return matched.heavy
    return bool(matched.topics)


def _unreachable(node: Node) -> str:
    return f"unreachable ({node.cause.code}): {node.cause.message}" if node.cause else "unreachable"
