# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What must be done in a slot so that it holds a manifest: compared with what really is there.

Commands run in a mirror, so a file may no longer be what we put there. Each is looked at: inode, size,
time and mode as they were when we put it there mean that it is ours. After a reboot, or when a switch was
cut off, nobody's stat data is trusted and contents are read. What we never put there (what builds made)
is not looked at, and stays.
"""

from __future__ import annotations

import os
import stat

from ansible_collections.toft.fleet.plugins.module_utils import manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Set

    from ansible_collections.toft.fleet.plugins.module_utils.manifest import Entries, Entry
    from ansible_collections.toft.fleet.plugins.module_utils.slots import Slot

INDEX = ".git/index"


class Plan:
    """`write`, `touch` and `drop` are paths; `seen` has the stat data of what stays as it is."""

    def __init__(self) -> None:
        self.write: List[str] = []
        self.touch: List[str] = []
        self.drop: List[str] = []
        self.seen: Dict[str, List[int]] = {}
        self.had: Entries = {}
        self.fresh = False
        self.settled = False  # what the state says was trusted

    @property
    def nothing(self) -> bool:
        return not (self.write or self.touch or self.drop)


def seen(found: os.stat_result) -> List[int]:
    """The stat data by which a file is known again."""
    return [found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode]


def plan(slot: Slot, wanted: Entries, boot: str, pulse: Callable[[], None]) -> Plan:
    """`pulse` is called now and then, because this may take long."""
    made = Plan()
    state = slot.state()
    made.fresh = state is None and not os.path.isdir(slot.root)
    made.had = state["entries"] if state else slot.leftovers()
    trusted = bool(state) and state["boot"] == boot  # type: ignore[index]
    made.settled = trusted
    known: Dict[str, List[int]] = state["seen"] if state and trusted else {}
    if known:
        known.update(slot.indexes())
    missing = _no_directories(slot.root, manifest.directories(wanted))
    for path, entry in wanted.items():
        had = made.had.get(path) if state else None
        above = path.rpartition("/")[0] if missing else ""
        found = None if above in missing else _lstat(slot.root + "/" + path)
        ours = known.get(path)
        if had == entry and found and ours == seen(found) and entry[0] == manifest.FILE:
            made.seen[path] = ours  # nearly every file
            continue
        pulse()
        _compare(made, slot.root, path, entry, had, found, ours, trusted)
    made.drop = [path for path in made.had if path not in wanted]
    return made


def _compare(
    made: Plan,
    root: str,
    path: str,
    entry: Entry,
    had: Optional[Entry],
    found: Optional[os.stat_result],
    known: Optional[List[int]],
    trusted: bool,
) -> None:
    if found is None or not _same_content(root, path, entry, had, found, known, trusted):
        made.write.append(path)
        return
    made.seen[path] = seen(found)
    if entry[0] == manifest.LINK:
        return
    touched = entry[0] == manifest.FILE and (had is None or had[manifest.MTIME] != entry[manifest.MTIME])
    if touched or stat.S_IMODE(found.st_mode) != entry[manifest.MODE]:
        made.touch.append(path)


def _same_content(
    root: str,
    path: str,
    entry: Entry,
    had: Optional[Entry],
    found: os.stat_result,
    known: Optional[List[int]],
    trusted: bool,
) -> bool:
    kind = entry[0]
    if kind == manifest.DIRECTORY:
        return stat.S_ISDIR(found.st_mode)
    file = os.path.join(root, path)
    if kind == manifest.LINK:
        return stat.S_ISLNK(found.st_mode) and os.readlink(file) == str(entry[manifest.TARGET])
    if not stat.S_ISREG(found.st_mode):
        return False
    content = entry[manifest.CONTENT]
    # The mode is put right without the content.
    if had is not None and had[0] == kind and known and known[:3] == seen(found)[:3]:
        return bool(had[manifest.CONTENT] == content)
    if path == INDEX or path.endswith("/" + INDEX):
        return _index_content(file) == str(content)
    if trusted or found.st_size != entry[manifest.SIZE]:
        return False
    return manifest.content_of(file) == str(content)


def _index_content(file: str) -> Optional[str]:
    """git on this node fills in stat data; what is staged is what counts."""
    from ansible_collections.toft.fleet.plugins.module_utils import gitindex

    try:
        with open(file, "rb") as opened:
            return str(manifest.hasher(gitindex.normal(opened.read())).hexdigest())
    except (OSError, ValueError):
        return None


def _no_directories(root: str, wanted: Set[str]) -> Set[str]:
    """Those that are not there, or are something else, such as a link that leads elsewhere."""
    missing: Set[str] = set()
    if not _is_directory(root):
        return {"", *wanted}
    for path in sorted(wanted):
        if path.rpartition("/")[0] in missing or not _is_directory(os.path.join(root, path)):
            missing.add(path)
    return missing


def _is_directory(path: str) -> bool:
    found = _lstat(path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def _lstat(path: str) -> Optional[os.stat_result]:
    try:
        return os.lstat(path)
    except OSError:
        return None


def unchanged(entry: Any, known: Any, file: str) -> bool:
    """Whether a file that we put there is still that, by its stat data."""
    found = _lstat(file)
    return found is not None and entry[0] == manifest.FILE and known[:3] == seen(found)[:3]
