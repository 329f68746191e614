"""Many node names in few characters: pi1, pi2, pi3, nas -> `nas,pi[1-3]`, as ClusterShell writes them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import groupby

_NUMBERED = re.compile(r"^(.*?)(\d+)(\D*)$")


def fold(names: Iterable[str]) -> str:
    """Sorted, each once; numbers that follow one another become a range; leading zeros are kept."""
    matches = {name: _NUMBERED.match(name) for name in set(names)}
    parts = [match.groups() for match in matches.values() if match]
    padded = {(stem, tail, len(digits)) for stem, digits, tail in parts if digits.startswith("0")}
    numbered: dict[tuple[str, str, int], set[int]] = defaultdict(set)
    for stem, digits, tail in parts:
        width = len(digits) if (stem, tail, len(digits)) in padded else 0
        numbered[stem, tail, width].add(int(digits))
    plain = [name for name, match in matches.items() if match is None]
    return ",".join(sorted([*plain, *(_one_set(*key, numbers) for key, numbers in numbered.items())]))


def _one_set(stem: str, tail: str, width: int, numbers: set[int]) -> str:
    if len(numbers) == 1:
        return f"{stem}{min(numbers):0{width}d}{tail}"
    return f"{stem}[{','.join(_ranges(sorted(numbers), width))}]{tail}"


def _ranges(numbers: list[int], width: int) -> list[str]:
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return [f"{run[0]:0{width}d}" if len(run) == 1 else f"{run[0]:0{width}d}-{run[-1]:0{width}d}" for run in runs]
