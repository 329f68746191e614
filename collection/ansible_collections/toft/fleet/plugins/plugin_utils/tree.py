# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is in a tree that travels: its paths, each with what lstat says of it.

In a git working tree that is what git tracks and what it neither tracks nor ignores, as it is on the disk
now; repositories inside (submodules and others) likewise. Anything else goes whole. `sync_exclude` is
obeyed in both. Empty directories travel only where git is not, because git does not know them either.
Sockets, pipes and devices do not travel.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ansible_collections.toft.fleet.plugins.plugin_utils.git import git

Excluded = Callable[[str, bool], bool]


class Found(NamedTuple):
    """One path: (mode, inode, size, mtime_ns, ctime_ns), and a link's target. A tuple, because of their number."""

    stat: tuple[int, int, int, int, int]
    target: str | None = None


@dataclass(frozen=True)
class Listing:
    """Paths relative to the tree's top, and the repositories in it ("" is the tree itself)."""

    paths: dict[str, Found] = field(default_factory=dict)
    repositories: tuple[str, ...] = ()
    absent: frozenset[str] = frozenset()
    """tracked, but excluded"""


def look(root: str, is_git: bool, excluded: Excluded) -> Listing:
    """The tree as it is now. Raises git.GitFailed and OSError."""
    looking = _Looking(root, excluded)
    if is_git:
        looking.repository("")
    else:
        looking.directory("")
    return Listing(looking.paths, tuple(looking.repositories), frozenset(looking.absent))


def found(path: str) -> Found | None:
    """None when there is nothing, or nothing that travels."""
    try:
        seen = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    mode = seen.st_mode
    known = (mode, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
    if stat.S_ISREG(mode):
        return Found(known)
    if stat.S_ISDIR(mode):
        return Found((mode, 0, 0, 0, 0))  # its time tells of its names, which are found anyway
    if not stat.S_ISLNK(mode):
        return None
    try:
        return Found(known, os.readlink(path))
    except OSError:
        return None


class _Looking:
    """One look, and what it has found so far. A `prefix` is empty or ends with a slash."""

    def __init__(self, root: str, excluded: Excluded) -> None:
        self._top = root.rstrip("/") + "/"
        self._excluded = excluded
        self.paths: dict[str, Found] = {}
        self.repositories: list[str] = []
        self.absent: set[str] = set()

    def repository(self, prefix: str) -> None:
        self.repositories.append(prefix.rstrip("/"))
        listed = git(self._top + prefix, "ls-files", "-z", "-c", "-o", "--exclude-standard")
        for name in set(os.fsdecode(listed).split("\0")) - {""}:
            path = prefix + name.rstrip("/")
            if self._excluded(path, name[-1] == "/"):
                self.absent.add(path)
                continue
            seen = found(self._top + path)
            if seen is not None and not (stat.S_ISDIR(seen.stat[0]) and self._inner(path)):
                self.paths[path] = seen  # a directory here is a submodule that nobody has checked out

    def directory(self, prefix: str) -> None:
        with os.scandir(self._top + prefix) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            path = prefix + name
            seen = found(self._top + path)
            is_directory = seen is not None and stat.S_ISDIR(seen.stat[0])
            # git's data never travels as it is: it has hooks, and perhaps passwords.
            if seen is None or name == ".git" or self._excluded(path, is_directory):
                continue
            if not is_directory:
                self.paths[path] = seen
                continue
            if self._inner(path):
                continue
            before = len(self.paths)
            self.directory(path + "/")
            if len(self.paths) == before:
                self.paths[path] = seen

    def _inner(self, path: str) -> bool:
        """Take a repository inside the tree for what it is."""
        if not os.path.lexists(f"{self._top}{path}/.git"):
            return False
        self.repository(path + "/")
        return True
