# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A tree brought to its mirror on one node.

The node is told the digest of the tree's manifest; mostly it has just that. Else it is told the manifest, as
a change of one that it holds if we remember that one, and it names the contents that it lacks. While content
travels the tree may change; so before the node is told to commit, the tree is looked at again, and whatever
moved goes into one more round. What a commit shows is the tree at one moment.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.toft.fleet.plugins.module_utils import frames, manifest
from ansible_collections.toft.fleet.plugins.plugin_utils.cache import read_json, tidy, write_json
from ansible_collections.toft.fleet.plugins.plugin_utils.conversation import Conversation, converse
from ansible_collections.toft.fleet.plugins.plugin_utils.meter import Meter, Travelled
from ansible_collections.toft.fleet.plugins.plugin_utils.snapshot import (
    Moving,
    Picture,
    Snapshot,
    Source,
    Tree,
    restless,
)
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

ROUNDS = 30
PIECE = 256 << 10
BATCH = 512 << 10
KEPT_MANIFESTS = 8
WORTH_PACKING = 64


@dataclass(frozen=True)
class Wanted:
    """The mirror's name and where it is on the node; `job` is who is to hold it; `cwd` a directory in it. `about` and
    `keep` say whose tree it is and how long mirrors are kept (see shelf)."""

    name: str
    workdir: str | None = None
    job: str | None = None
    cwd: str = ""
    dry: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)
    keep: Mapping[str, Any] = field(default_factory=dict)

    def request(self, digest: str) -> dict[str, Any]:
        return {"verb": "mirror", "digest": digest, **vars(self)}


@dataclass(frozen=True)
class Mirrored:
    """What came of it. `path` is the mirror's top on the node; `bytes` is what went over the wire."""

    path: str
    slot: int
    digest: str
    files: int
    dropped: int
    bytes: int
    seconds: float
    send: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    """with `dry`: the paths"""

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "send": list(self.send), "drop": list(self.drop)}


def mirror(
    tree: Tree, transport: Transport, wanted: Wanted, tell: Callable[[Travelled], None] = lambda travelled: None
) -> Mirrored:
    """Raises conversation.Broken and Refused, Moving, git.GitFailed, OSError. `tell` hears how far it is."""
    begun, meter = time.monotonic(), Meter(transport.node, tell)
    meter.phase("reading")
    with converse(transport, "mirror") as talk:
        view = _View(tree)
        visit = _Visit(view, talk, meter)
        talk.request(wanted.request(view.snapshot.digest))
        done = visit.dry() if wanted.dry else visit.run()
    meter.phase("done")
    tree.remember()
    if not wanted.dry:
        _remember(tree, view.snapshot)
    send, drop = tuple(done.get("write", ())), tuple(done.get("drop", ()))
    return Mirrored(
        path=done.get("path", ""),
        slot=done.get("slot", 0),
        digest=view.snapshot.digest,
        files=done.get("written", len(send)),
        dropped=done.get("dropped", len(drop)),
        bytes=visit.bytes,
        seconds=round(time.monotonic() - begun, 3),
        send=send,
        drop=drop,
    )


class _View:
    """The tree as it is to be shown: the last look, what would not keep still, and the snapshot of both."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.picture = tree.look()
        self._restless: set[str] = set()
        self._rounds = 0
        self.snapshot = self._take()

    def settled(self) -> bool:
        """Look again. False if something moved since; then there is a new snapshot."""
        later = self.tree.look()
        changed = self.picture.changed(later) - (self._restless & self.picture.listing.paths.keys())
        if changed:
            self.moved(changed, later)
        return not changed

    def moved(self, changed: set[str], picture: Picture | None = None) -> None:
        self._shift(changed, picture or self.tree.look())
        self.snapshot = self._take()

    def _shift(self, changed: set[str], picture: Picture) -> None:
        self._rounds += 1
        if self._rounds > ROUNDS:
            raise Moving(min(changed))
        self._restless = restless(self.tree.root, self._restless | changed) or set()
        self.picture = picture

    def _take(self) -> Snapshot:
        while True:
            try:
                return self.tree.snapshot(self.picture, self._restless & self.picture.listing.paths.keys())
            except Moving as moving:
                self._shift({moving.path}, self.tree.look())


class _Visit:
    """One conversation with a node about one tree."""

    def __init__(self, view: _View, talk: Conversation, meter: Meter) -> None:
        self.bytes = 0
        self._meter = meter
        self._view = view
        self._talk = talk
        self._base: Snapshot | None = None

    def run(self) -> dict[str, Any]:
        """Until the node shows the tree as it is. Its last answer."""
        # The tree is looked at again while the node looks at its own.
        shown, settled = self._view.snapshot, self._view.settled()
        answer = self._greeting(shown)
        while not (answer.get("done") and settled):
            self._bring()
            settled = self._view.settled()
            self._meter.phase("placing")
            answer = self._offer(commit=True) if settled else {}
        return answer

    def dry(self) -> dict[str, Any]:
        answer = self._greeting(self._view.snapshot)
        return answer if answer.get("done") else self._offer(commit=False)

    def _greeting(self, shown: Snapshot) -> dict[str, Any]:
        answer = self._talk.answer()
        if answer.get("done"):
            self._base = shown
        for digest in answer.get("have", ()):
            known = read_json(_manifest_file(self._view.tree, digest))
            if known and manifest.digest(known) == digest:
                self._base = Snapshot(known, {}, digest)
        return answer

    def _bring(self) -> None:
        """Send contents until the node lacks none."""
        while need := self._offer(commit=False)["need"]:
            self._send(need)

    def _offer(self, commit: bool) -> dict[str, Any]:
        now, base = self._view.snapshot, self._base
        before = base.entries if base else {}
        put = {path: entry for path, entry in now.entries.items() if before.get(path) != entry}
        drop = [path for path in before if path not in now.entries]
        change = {"base": base.digest if base else None, "put": put, "drop": drop}
        offer = frames.dumps(change | {"digest": now.digest, "commit": commit})
        self._talk.send(frames.frame(manifest.OFFER, zlib.compress(offer, 1)))
        self._base = now
        return self._talk.answer()

    def _send(self, need: list[str]) -> None:
        batch, moved = bytearray(), set()
        sizes = self._sizes()
        self._meter.lacks(len(need), sum(sizes[content] for content in need))
        for content in need:
            source = self._view.snapshot.sources[content]
            try:
                for piece, size, last in _pieces(source, content):
                    batch += piece
                    self._meter.sent(size, last)
                    if len(batch) >= BATCH:
                        self._talk.send(bytes(batch))
                        batch.clear()
                self.bytes += sizes[content]
            except (_Changed, FileNotFoundError):
                moved.add(os.path.relpath(source.path, self._view.tree.root))
        self._talk.send(bytes(batch))
        if moved:
            self._view.moved(moved)

    def _sizes(self) -> dict[str, int]:
        """Of each content."""
        files = (entry for entry in self._view.snapshot.entries.values() if entry[0] == manifest.FILE)
        return {entry[manifest.CONTENT]: entry[manifest.SIZE] for entry in files}


class _Changed(Exception):
    """A file no longer has the content that was announced."""


def _pieces(source: Source, content: str) -> Iterator[tuple[bytes, int, bool]]:
    """DATA frames, how many bytes of the file each has, and whether it is the last. That comes only if all of it is
    what was announced."""
    digest = bytes.fromhex(content)
    sum_, held = manifest.hasher(), b""
    for data in _read(source):
        sum_.update(data)
        if held:
            yield _piece(digest, held, manifest.MORE), len(held), False
        held = data
    if sum_.digest() != digest:
        raise _Changed
    yield _piece(digest, held, manifest.LAST), len(held), True


def _read(source: Source) -> Iterator[bytes]:
    if source.data is not None:
        yield from (source.data[at : at + PIECE] for at in range(0, len(source.data), PIECE))
        return
    with open(source.path, "rb", buffering=0) as file:
        while data := file.read(PIECE):
            yield data


def _piece(digest: bytes, data: bytes, flags: int) -> bytes:
    if len(data) >= WORTH_PACKING:
        packed = zlib.compress(data, 1)
        if len(packed) < len(data):
            data, flags = packed, flags | manifest.PACKED
    return frames.frame(manifest.DATA, digest + bytes((flags,)) + data)


def _manifest_file(tree: Tree, digest: str) -> Path:
    return tree.cache / "manifests" / f"{digest}.json"


def _remember(tree: Tree, snapshot: Snapshot) -> None:
    """So that the next change can be told as one of this."""
    path = _manifest_file(tree, snapshot.digest)
    if path.exists():
        os.utime(path)
        return
    write_json(path, snapshot.entries)
    tidy(path.parent, "*.json", KEPT_MANIFESTS)
