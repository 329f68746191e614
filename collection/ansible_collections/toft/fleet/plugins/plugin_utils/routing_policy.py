# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a fleet's owner wants of routing: weights, preferences and limits; and a load measured by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.toft.fleet.plugins.module_utils.load import Load
from ansible_collections.toft.fleet.plugins.plugin_utils.routing_nodes import Node, texts
from ansible_collections.toft.fleet.plugins.plugin_utils.rulebook import Profile, Topics


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part of the load counts in a score."""

    cpu: float = 0.4
    memory: float = 0.3
    load_average: float = 0.3

    def leaning(self, profile: Profile) -> Weights:
        """What work leans on counts up to twice as much; the sum stays the same.

        Input and output are seen in the load average: on Linux it counts those that wait for a disk.
        """
        parts = (
            self.cpu * (1 + profile.cpu),
            self.memory * (1 + profile.memory),
            self.load_average * (1 + profile.io),
        )
        total = sum(parts)
        scale = (self.cpu + self.memory + self.load_average) / total if total else 0.0
        return Weights(*(part * scale for part in parts))


@dataclass(frozen=True, slots=True)
class Overload:
    """This machine is overloaded above any of these (percent, percent, 1 minute load average by core), or
    when it has no free slot."""

    cpu_percent: float = 85.0
    memory_percent: float = 90.0
    load_per_core: float = 1.5


OVERLOAD_NAMES = {"cpu": "cpu_percent", "memory": "memory_percent", "load": "load_per_core"}
"""Shorter names that a configuration may use."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`preferences`: a topic or word to the nodes or groups that are preferred for it."""

    weights: Weights = Weights()
    preferences: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    overload: Overload = Overload()
    topics: Topics = field(default_factory=Topics)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], topics: Topics) -> Policy:
        """`load_weights`, `host_preferences` and `overload` of a configuration that has been checked.

        `topics` are the rules' own: they say which words mean the same.
        """
        limits = (data.get("overload") or {}).items()
        preferences = (data.get("host_preferences") or {}).items()
        return cls(
            weights=Weights(**(data.get("load_weights") or {})),
            preferences={str(topic): texts(nodes) for topic, nodes in preferences},
            overload=Overload(**{OVERLOAD_NAMES.get(key, key): value for key, value in limits}),
            topics=topics,
        )


def score(load: Load | None, weights: Weights, cores: int | None = None) -> float | None:
    """cpu*w.cpu + memory*w.memory + min(load1/cores, 2)/2*w.load_average, each 0 to 1: lower is better.

    A part that the node does not tell is left out, and the others count for it. None: it tells none.
    """
    if load is None:
        return None
    parts = [
        (None if load.cpu_percent is None else load.cpu_percent / 100, weights.cpu),
        (None if load.memory_percent is None else load.memory_percent / 100, weights.memory),
        (_busy(load, cores), weights.load_average),
    ]
    told = [(min(1.0, max(0.0, value)), weight) for value, weight in parts if value is not None]
    weight = sum(weight for _value, weight in told)
    if not weight:
        return None
    whole = weights.cpu + weights.memory + weights.load_average
    return round(sum(value * part for value, part in told) * whole / weight, 4)


def _busy(load: Load, cores: int | None) -> float | None:
    count = cores or load.cores
    return min(load.load[0] / count, 2) / 2 if load.load and count else None


def overloaded(node: Node, limits: Overload) -> str | None:
    """Why this machine should not take more; None if it can, or if nothing is known of it."""
    load = node.load
    if not node.free:
        return f"{node.running} of {node.all_slots} slots are taken"
    if load is None:
        return None
    if load.cpu_percent is not None and load.cpu_percent > limits.cpu_percent:
        return f"CPU {load.cpu_percent:.0f}%"
    if load.memory_percent is not None and load.memory_percent > limits.memory_percent:
        return f"memory {load.memory_percent:.0f}%"
    per_core = load.load[0] / load.cores if load.load and load.cores else 0.0
    return f"load {per_core:.1f} by core" if per_core > limits.load_per_core else None
