# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long a command will take on a node, from how long commands took before.

In this order: the median of the same command's last times there; its times on another node, times how much
slower this one is with the commands that both have run; the median of the commands of this run that are
known; a guess from whether it is heavy. Only the first two are experience.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

LAST = 5
HEAVY_S, LIGHT_S = 60.0, 5.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One run that ended well. Newer ones come later in a sequence."""

    command: str
    node: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class Predicted:
    """Seconds by node; `known`: where they are experience."""

    seconds: Mapping[str, float]
    known: frozenset[str]


def predict(commands: Sequence[tuple[str, bool]], nodes: Sequence[str], history: Iterable[Measured]) -> list[Predicted]:
    """For each (command, heavy)."""
    times = _medians(history)
    speeds = _Speeds(times)
    known = [_known(command, nodes, times, speeds) for command, _heavy in commands]
    experience = [seconds for each in known for seconds in each.values()]
    usual = median(experience) if experience else None
    return [_filled(each, heavy, nodes, usual) for each, (_command, heavy) in zip(known, commands, strict=True)]


def _filled(known: dict[str, float], heavy: bool, nodes: Sequence[str], usual: float | None) -> Predicted:
    guess = median(known.values()) if known else usual if usual is not None else HEAVY_S if heavy else LIGHT_S
    return Predicted({node: known.get(node, guess) for node in nodes}, frozenset(known))


def _medians(history: Iterable[Measured]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, list[float]]] = {}
    for each in history:
        found.setdefault(each.command, {}).setdefault(each.node, []).append(each.duration_s)
    return {
        command: {node: median(times[-LAST:]) for node, times in by_node.items()} for command, by_node in found.items()
    }


class _Speeds:
    """How much slower one node is than another, by the commands that both have run."""

    def __init__(self, times: Mapping[str, Mapping[str, float]]) -> None:
        self._times = times
        self._found: dict[tuple[str, str], float | None] = {}

    def slower(self, node: str, other: str) -> float | None:
        if (node, other) not in self._found:
            both = [t for t in self._times.values() if t.get(node) and t.get(other)]
            self._found[node, other] = median(t[node] / t[other] for t in both) if both else None
        return self._found[node, other]


def _known(
    command: str, nodes: Sequence[str], times: Mapping[str, Mapping[str, float]], speeds: _Speeds
) -> dict[str, float]:
    own = times.get(command, {})
    known: dict[str, float] = {}
    for node in nodes:
        if node in own:
            known[node] = own[node]
            continue
        scaled = [(speeds.slower(node, other), seconds) for other, seconds in own.items()]
        told = [factor * seconds for factor, seconds in scaled if factor is not None]
        if told:
            known[node] = median(told)
    return known
