"""A pattern as a person may type it: Ansible's, and in it what toft itself writes, as in `pi[1-3,7]`."""

from __future__ import annotations

import itertools
import re

_SET = re.compile(r"\[(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)\]")
MOST = 1000
"""Names that one set may stand for; beyond that it is left to Ansible to refuse."""


def expand(pattern: str) -> str:
    """Sets of numbers written out; Ansible's own `web[0:2]`, `~regex` and wildcards stay as they are."""
    return ",".join(_expanded(term) for term in _terms(pattern))


def _terms(pattern: str) -> list[str]:
    """Split at the commas that stand outside brackets."""
    terms, depth = [""], 0
    for char in pattern:
        depth += (char == "[") - (char == "]")
        if char == "," and depth == 0:
            terms.append("")
        else:
            terms[-1] += char
    return terms


def _expanded(term: str) -> str:
    if term.startswith("~") or not _SET.search(term):
        return term
    pieces = _SET.split(term)
    choices = [_numbers(piece) if odd % 2 else [piece] for odd, piece in enumerate(pieces)]
    names = list(itertools.islice(map("".join, itertools.product(*choices)), MOST + 1))
    if len(names) > MOST:
        return term
    sign = term[0] if term[0] in "!&" else ""
    return ",".join([names[0], *(sign + name.removeprefix(sign) for name in names[1:])])


def _numbers(text: str) -> list[str]:
    """`08-10,12` -> 08, 09, 10, 12."""
    found: list[str] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        span = range(int(first), min(int(last or first), int(first) + MOST) + 1)
        found += [f"{number:0{len(first) if first.startswith('0') else 0}d}" for number in span]
    return found
