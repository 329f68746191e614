# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How full the file systems under the asked paths are, as `stat -f` and `df` say it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from ansible_collections.toft.fleet.plugins.module_utils.sections import decimal, integer, percent

DF_ROW = re.compile(
    r"\s(\d{1,18})\s+(\d{1,18})\s+(-?\d{1,18})\s+\d+%\s+"
    r"(?:([\d.]{1,20}[kMGTPE]?)\s+([\d.]{1,20}[kMGTPE]?)\s+\d+%\s+)?/"
)
"""Blocks of 1 KiB: total, used, available; on macOS also inodes used and free. Names may hold blanks."""


@dataclass(frozen=True)
class Disk:
    """The file system under one asked path; ``free_bytes`` is what an ordinary user may still write."""

    path: str
    total_bytes: int
    free_bytes: int
    percent: float
    inodes_percent: Optional[float]


def from_statfs(line: str) -> Optional[Disk]:
    """A line of `stat -f -c '@disk %S %b %f %a %c %d %n'`. Full is of what users may have, as df counts."""
    words = line.split(" ", 7)
    numbers = [number for number in map(integer, words[1:7]) if number is not None]
    if len(words) < 8 or len(numbers) < 6:
        return None
    size, blocks, free, available, inodes, inodes_free = numbers
    used = blocks - free
    full = percent(used, used + available)
    if full is None:
        return None
    return Disk(words[7], size * blocks, size * available, full, percent(inodes - inodes_free, inodes))


def from_df(path: str, row: str, shared: bool = False) -> Optional[Disk]:
    """A row of `df -k`. In an APFS container (`shared`) the volumes share the free
    space: "used" is this volume's only, and what is not free is full."""
    match = DF_ROW.search(row)
    if match is None:
        return None
    total, used, available = (int(text) for text in match.group(1, 2, 3))
    available = max(available, 0)
    full = percent(total - available, total) if shared else percent(used, used + available)
    if full is None:
        return None
    inodes = [count for count in map(scaled, match.group(4, 5)) if count is not None]
    inodes_full = percent(inodes[0], sum(inodes)) if len(inodes) == 2 else None
    return Disk(path, total * 1024, available * 1024, full, inodes_full)


def scaled(text: Optional[str]) -> Optional[float]:
    """Newer Macs count inodes as `453k` and `4.2G`, older ones in full."""
    number = decimal((text or "").rstrip("kMGTPE"))
    return None if number is None or text is None else number * 1000.0 ** (1 + "kMGTPE".find(text[-1]))


def from_linux(lines: Sequence[str]) -> Tuple[Disk, ...]:
    """Lines of stat; after `@disk_of PATH`, one of stat or of df for that path or its nearest parent."""
    found: Dict[str, Disk] = {}
    asked = None
    for line in lines:
        if line.startswith("@disk_of "):
            asked = line[len("@disk_of ") :]
            continue
        disk = from_statfs(line) if line.startswith("@disk ") else from_df("", line)
        path = asked or (disk.path if disk else "")
        if disk and path:
            found[path] = Disk(path, disk.total_bytes, disk.free_bytes, disk.percent, disk.inodes_percent)
    return tuple(found.values())


def from_macos(lines: Sequence[str]) -> Tuple[Disk, ...]:
    """Lines `path PATH`, then the table of `df -k -i` with a row for each of them, in the same order."""
    paths = [line[len("path ") :] for line in lines if line.startswith("path ")]
    rows: List[str] = [line for line in lines if not line.startswith("path ") and DF_ROW.search(line)]
    if len(paths) != len(rows):
        return ()
    disks = (from_df(path, rows[place], shared=True) for place, path in enumerate(paths))
    return tuple(disk for disk in disks if disk)
