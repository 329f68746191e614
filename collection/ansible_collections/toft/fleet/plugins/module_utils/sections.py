# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The probe's output as named sections of lines.

It looks so: whatever the login said, then ``@toft-probe 1``, then for each
section ``@name`` and its raw lines, then ``@end``. What a node prints is
another machine's word: control characters are taken out, and size is bounded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

START = "@toft-probe 1"
NAMES = frozenset(
    name
    for line in (
        "system interval arch kernel os_release hostname machine_id boot_id container marks disk disk_stuck",
        "cpu allowed limits meminfo loadavg uptime times python commands docker jobs uid user home shell end",
        "iostat sysctl vm_stat sw_vers ioreg developer now df",
    )
    for name in line.split(" ")
)
MOST_LINES = 2000
LONGEST_LINE = 4096
CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Sections:
    """The lines under each name. Every reader answers with nothing rather than raise."""

    parts: Mapping[str, Tuple[str, ...]]

    def has(self, name: str) -> bool:
        return name in self.parts

    def lines(self, name: str) -> Tuple[str, ...]:
        return self.parts.get(name, ())

    def first(self, name: str) -> Optional[str]:
        """The first line that is not blank."""
        return next((line.strip() for line in self.lines(name) if line.strip()), None)

    def pairs(self, name: str, separator: str) -> Dict[str, str]:
        """Lines of the form ``key<separator>value``."""
        cut = (line.partition(separator) for line in self.lines(name))
        return {key.strip(): value.strip() for key, found, value in cut if found}


def started(text: str) -> bool:
    """Whether the probe ran at all."""
    return f"\n{START}\n" in f"\n{text}\n".replace("\r", "")


def split(text: str) -> Sections:
    """The sections after the start marker: none if there is no such marker."""
    lines = [CONTROL.sub("", line)[:LONGEST_LINE] for line in text.split("\n")]
    if START not in lines:
        return Sections({})
    parts: Dict[str, List[str]] = {}
    current: List[str] = []
    for line in lines[lines.index(START) + 1 :][:MOST_LINES]:
        if line.startswith(("@disk ", "@disk_of ")):
            current = parts.setdefault("disk", [])
            current.append(line)
        elif line[:1] == "@" and line[1:] in NAMES:
            current = parts.setdefault(line[1:], [])
        else:
            current.append(line)
    return Sections({name: tuple(found) for name, found in parts.items()})


def integer(text: Optional[str]) -> Optional[int]:
    """A number of at most 18 digits, else None."""
    match = re.fullmatch(r"\s*([0-9]{1,18})\s*", text or "")
    return int(match.group(1)) if match else None


def decimal(text: Optional[str]) -> Optional[float]:
    """A number without a sign or an exponent, else None."""
    match = re.fullmatch(r"\s*([0-9]{1,20}(?:\.[0-9]{1,9})?)\s*", text or "")
    return float(match.group(1)) if match else None


def percent(part: float, whole: float) -> Optional[float]:
    """0 to 100 with one decimal; None of nothing."""
    return round(min(max(100 * part / whole, 0.0), 100.0), 1) if whole > 0 else None


def averages(words: List[str]) -> Optional[Tuple[float, float, float]]:
    """The three load averages; a Mac may write them with the comma of its user's language."""
    found = [number for number in (decimal(word.replace(",", ".")) for word in words[:3]) if number is not None]
    return (found[0], found[1], found[2]) if len(found) == 3 else None
