# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A tree as it was at one moment, although somebody may be editing it.

The tree is looked at twice. What has the same stat data both times was the same all the time between. The
few files that did change (restless ones) are read together in between, again until nothing moved while
they were read; that moment is the snapshot's. Stat data tells every change, except one in the same clock tick
as the change before; so a file that changed just now is left alone until the tick is over.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ansible_collections.toft.fleet.plugins.module_utils import manifest
from ansible_collections.toft.fleet.plugins.plugin_utils import repository, tree
from ansible_collections.toft.fleet.plugins.plugin_utils.cache import read_json, write_json
from ansible_collections.toft.fleet.plugins.plugin_utils.exclusions import Exclusions

TICK_S = 0.02
READ_TRIES, READ_PAUSE_S = 100, 0.003
MOST_RESTLESS, MOST_RESTLESS_BYTES = 256, 64 << 20


class Moving(Exception):
    """A path that does not keep still long enough to be read."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@dataclass(frozen=True)
class Picture:
    """One look: the paths, and the state of each repository in the tree."""

    listing: tree.Listing
    states: Mapping[str, repository.State]

    def changed(self, later: Picture) -> set[str]:
        """Paths that are not as they were; a repository shows as its `.git`."""
        before, after = self.listing.paths, later.listing.paths
        paths = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        tops = self.states.keys() | later.states.keys()
        return paths | {_below(top, ".git") for top in tops if self.states.get(top) != later.states.get(top)}


class Source(NamedTuple):
    """Where the bytes of a content are: a file here, or in memory."""

    path: str = ""
    data: bytes | None = None


@dataclass(frozen=True)
class Snapshot:
    """A manifest, and where its contents are to be had."""

    entries: manifest.Entries
    sources: Mapping[str, Source]
    digest: str


@dataclass
class Tree:
    """The tree at `root`, and what is remembered of it in `cache` (a directory of its own)."""

    root: str
    is_git: bool
    exclude: tuple[str, ...]
    cache: Path
    _known: dict[str, list[object]] = field(default_factory=dict)
    _learned: bool = False
    _last: tuple[float, Picture] | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def look(self) -> Picture:
        """The tree now. Who asks while another is looking anew shares what that one sees."""
        asked = time.monotonic()
        with self._lock:
            if self._last is None or self._last[0] < asked:
                self._last = (time.monotonic(), self._look())
            return self._last[1]

    def snapshot(self, picture: Picture, restless: Collection[str] = ()) -> Snapshot:
        """What the picture shows, with `restless` paths as they are together now. Raises Moving, GitFailed."""
        with self._lock:
            return self._snapshot(picture, restless)

    def remember(self) -> None:
        """Keep the digests for the next time."""
        with self._lock:
            if self._learned:
                self._learned = False
                write_json(self.cache / "contents.json", self._known)

    def _look(self) -> Picture:
        excluded = Exclusions(self.exclude)
        listing = tree.look(self.root, self.is_git, excluded)
        tops = [top for top in listing.repositories if not excluded(_below(top, ".git"), True)]
        return Picture(listing, {top: self._state(top, listing.absent) for top in tops})

    def _state(self, top: str, absent: frozenset[str]) -> repository.State:
        start = top + "/" if top else ""
        inside = frozenset(os.fsencode(path[len(start) :]) for path in absent if path.startswith(start))
        return repository.state(os.path.join(self.root, top), inside)

    def _snapshot(self, picture: Picture, restless: Collection[str]) -> Snapshot:
        if not self._known:
            self._known = read_json(self.cache / "contents.json")
        entries: manifest.Entries = {}
        sources: dict[str, Source] = {}
        for path, found in picture.listing.paths.items():
            if path not in restless:
                self._add(entries, sources, path, found)
        for top, state in picture.states.items():
            self._add_repository(entries, sources, top, state)
        for path, found, data in self._together(restless) if restless else ():
            self._add_restless(entries, sources, path, found, data)
        self._forget(picture)
        return Snapshot(entries, sources, manifest.digest(entries))

    def _add(self, entries: manifest.Entries, sources: dict[str, Source], path: str, found: tree.Found) -> None:
        mode = found.stat[0]
        if stat.S_ISREG(mode):
            content = self._content(path, found)
            entries[path] = _file(found, content)
            sources[content] = Source(f"{self.root}/{path}")
        elif found.target is not None:
            entries[path] = [manifest.LINK, found.target]
        else:
            entries[path] = [manifest.DIRECTORY, mode & 0o777]

    def _content(self, path: str, found: tree.Found) -> str:
        _mode, *known = found.stat
        kept = self._known.get(path)
        if kept is not None and kept[:4] == known:
            return str(kept[4])
        if time.time() - found.stat[4] / 1e9 < TICK_S:
            time.sleep(TICK_S)
        file = os.path.join(self.root, path)
        content = manifest.content_of(file)
        if content is None and tree.found(file) == found:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), file)
        if content is None or tree.found(file) != found:
            raise Moving(path)
        self._known[path] = [*known, content]
        self._learned = True
        return content

    def _add_repository(
        self, entries: manifest.Entries, sources: dict[str, Source], top: str, state: repository.State
    ) -> None:
        files = repository.files(state, self.cache / "git")
        git = _below(top, ".git")
        for name in files.directories:
            entries[f"{git}/{name}"] = [manifest.DIRECTORY, 0o755]
        for name, data in files.made.items():
            content = manifest.hasher(data).hexdigest()
            entries[f"{git}/{name}"] = [manifest.FILE, 0o644, len(data), 0, content]
            sources[content] = Source(data=data)
        for name, pack in files.packs.items():
            entries[f"{git}/{name}"] = [manifest.FILE, 0o444, pack.size, 0, pack.content]
            sources[pack.content] = Source(pack.path)

    # What does not keep still.

    def _together(self, restless: Collection[str]) -> list[tuple[str, tree.Found, bytes]]:
        """These paths, read so that none of them changed from the first look to the last."""
        for _look in range(READ_TRIES):
            before = {path: tree.found(os.path.join(self.root, path)) for path in restless}
            newest = max((seen.stat[4] for seen in before.values() if seen), default=0)
            if time.time() - newest / 1e9 >= TICK_S:
                read = [(path, seen, self._bytes(path, seen)) for path, seen in before.items() if seen]
                if before == {path: tree.found(os.path.join(self.root, path)) for path in restless}:
                    return read
            time.sleep(READ_PAUSE_S)
        raise Moving(min(restless))

    def _bytes(self, path: str, found: tree.Found) -> bytes:
        if not stat.S_ISREG(found.stat[0]):
            return b""
        try:
            return Path(self.root, path).read_bytes()
        except FileNotFoundError:
            return b""  # the second look will tell

    def _add_restless(
        self, entries: manifest.Entries, sources: dict[str, Source], path: str, found: tree.Found, data: bytes
    ) -> None:
        if not stat.S_ISREG(found.stat[0]):
            self._add(entries, sources, path, found)
            return
        content = manifest.hasher(data).hexdigest()
        entries[path] = [*_file(found, content)[:2], len(data), found.stat[3], content]
        sources[content] = Source(data=data)

    def _forget(self, picture: Picture) -> None:
        gone = self._known.keys() - picture.listing.paths.keys()
        for path in gone:
            del self._known[path]
        self._learned = self._learned or bool(gone)


def restless(root: str, changed: Collection[str]) -> set[str] | None:
    """Changed paths that can be read together; None when they are too many, too large, or git's."""
    if len(changed) > MOST_RESTLESS or any(path.rpartition("/")[2] == ".git" for path in changed):
        return None
    seen = [tree.found(os.path.join(root, path)) for path in changed]
    return None if sum(one.stat[2] for one in seen if one) > MOST_RESTLESS_BYTES else set(changed)


def _file(found: tree.Found, content: str) -> manifest.Entry:
    mode, _inode, size, mtime, _ctime = found.stat
    return [manifest.FILE, mode & 0o777, size, mtime, content]


def _below(top: str, name: str) -> str:
    return f"{top}/{name}" if top else name
