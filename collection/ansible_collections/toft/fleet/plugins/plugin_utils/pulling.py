# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Results brought back from a mirror into the tree here.

What the node says is not believed (see listed), and files larger than announced are refused. Nothing here is
overwritten but what is still as it went out with the sync, or as it came back the last time. All is fetched
beside the tree's files and looked at first; then it is put in its places, or, if anything is wrong, nothing is.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import stat
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.toft.fleet.plugins.module_utils import frames, manifest
from ansible_collections.toft.fleet.plugins.plugin_utils.cache import read_json, write_json
from ansible_collections.toft.fleet.plugins.plugin_utils.conversation import Conversation, converse
from ansible_collections.toft.fleet.plugins.plugin_utils.foreign import HEAD_BYTES, foreign
from ansible_collections.toft.fleet.plugins.plugin_utils.listed import MOST_FILES, Unwanted, checked, digest_or_none
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

MOST_BYTES = 8 << 30
LARGEST_PIECE = 4 << 20
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Pull:
    """What to bring: `path` is relative to the tree at `root`; `slot` None is the one used last."""

    root: str
    cache: Path
    name: str
    workdir: str | None
    path: str
    slot: int | None = None
    any_arch: bool = False
    most_bytes: int = MOST_BYTES


@dataclass(frozen=True)
class Pulled:
    files: int
    bytes: int


def pull(transport: Transport, wanted: Pull) -> Pulled:
    """Raises Unwanted, conversation.Broken and Refused, OSError."""
    with converse(transport, "fetch") as talk:
        request = {"verb": "fetch", "most": MOST_FILES, "most_bytes": wanted.most_bytes}
        talk.request(request | {key: getattr(wanted, key) for key in ("name", "workdir", "path", "slot")})
        told = talk.answer()
        entries = checked(told.get("entries"), wanted.path, wanted.most_bytes)
        base = read_json(wanted.cache / "manifests" / f"{digest_or_none(told.get('digest'))}.json")
        pulled = read_json(wanted.cache / "pulled.json")
        arriving = _Arriving(wanted, entries, base, pulled)
        arriving.compare()
        folder = tempfile.mkdtemp(prefix=".toft-pull-", dir=wanted.root)
        try:
            _fetch(talk, arriving.needed(), folder)
            if not wanted.any_arch:
                _refuse_foreign(arriving, folder)
            done = arriving.put(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    pulled.update({path: entry[-1] for path, entry in entries.items()})
    write_json(wanted.cache / "pulled.json", pulled)
    return done


class _Arriving:
    """What comes, against what is here."""

    def __init__(
        self, wanted: Pull, entries: manifest.Entries, base: Mapping[str, Any], pulled: Mapping[str, Any]
    ) -> None:
        self._wanted = wanted
        self._entries = entries
        self._base = base
        self._pulled = pulled
        self._here: dict[str, os.stat_result | None] = {}

    def compare(self) -> None:
        """Find what is new or other; raises Unwanted for what changed here meanwhile."""
        conflicts = []
        for path, entry in self._entries.items():
            here = _lstat(self._file(path))
            if here is not None and self._same(path, entry, here):
                continue
            if not self._may_be_replaced(path, here):
                conflicts.append(path)
            self._here[path] = here
        if conflicts:
            raise _conflict(conflicts)

    def needed(self) -> dict[str, manifest.Entry]:
        """Files whose content is to be fetched."""
        return {path: self._entries[path] for path in self._here if self._entries[path][0] == manifest.FILE}

    def put(self, folder: str) -> Pulled:
        """Each to its place, if that is still as it was."""
        moved = [path for path, here in self._here.items() if not _still(here, _lstat(self._file(path)))]
        if moved:
            raise _conflict(moved)
        ready = {path: self._ready(folder, path, str(n)) for n, path in enumerate(self._here)}
        root = os.open(self._wanted.root, DIRECTORY)
        try:
            for path, staged in ready.items():
                _put(root, path, staged, fresh=self._here[path] is None)
        finally:
            os.close(root)
        return Pulled(len(self._here), sum(entry[manifest.SIZE] for entry in self.needed().values()))

    def _ready(self, folder: str, path: str, name: str) -> str:
        """The file or link made, with nothing left to do but to rename it."""
        entry, staged = self._entries[path], os.path.join(folder, name)
        if entry[0] == manifest.LINK:
            os.symlink(entry[manifest.TARGET], staged)
            return staged
        shutil.copyfile(os.path.join(folder, entry[manifest.CONTENT]), staged)
        os.chmod(staged, entry[manifest.MODE] & 0o777 | 0o600)
        return staged

    def _file(self, path: str) -> str:
        return os.path.join(self._wanted.root, path)

    def _same(self, path: str, entry: manifest.Entry, here: os.stat_result) -> bool:
        if entry[0] == manifest.LINK:
            return stat.S_ISLNK(here.st_mode) and os.readlink(self._file(path)) == entry[manifest.TARGET]
        same_size = stat.S_ISREG(here.st_mode) and here.st_size == entry[manifest.SIZE]
        return same_size and manifest.content_of(self._file(path)) == entry[manifest.CONTENT]

    def _may_be_replaced(self, path: str, here: os.stat_result | None) -> bool:
        for above in manifest.parents(path):
            seen = _lstat(self._file(above))
            if seen is not None and not stat.S_ISDIR(seen.st_mode):
                return False
        if here is None:
            return True
        known = {(self._base.get(path) or [""])[-1], self._pulled.get(path)}
        if stat.S_ISLNK(here.st_mode):
            return os.readlink(self._file(path)) in known
        return stat.S_ISREG(here.st_mode) and manifest.content_of(self._file(path)) in known


def _put(root: int, path: str, staged: str, *, fresh: bool) -> None:
    name, parent = os.path.basename(path), _directory(root, path)
    try:
        if not fresh:
            os.rename(staged, name, dst_dir_fd=parent)
            return
        # Unlike a rename this fails when there is something by now.
        os.link(staged, name, dst_dir_fd=parent, follow_symlinks=False)
        os.unlink(staged)
    except FileExistsError:
        raise _conflict([path]) from None
    finally:
        os.close(parent)


def _directory(root: int, path: str) -> int:
    """The open directory for a path, made where it is missing; no link is followed."""
    fd = os.dup(root)
    for name in path.split("/")[:-1]:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=fd)
        try:
            inner = os.open(name, DIRECTORY, dir_fd=fd)
        finally:
            os.close(fd)
        fd = inner
    return fd


def _fetch(talk: Conversation, needed: Mapping[str, manifest.Entry], folder: str) -> None:
    """Every content once, into a file of its digest's name."""
    paths = {entry[manifest.CONTENT]: path for path, entry in needed.items()}
    if not paths:
        return
    sizes = {entry[manifest.CONTENT]: entry[manifest.SIZE] for entry in needed.values()}
    talk.send(frames.message(manifest.OFFER, {"paths": list(paths.values())}))
    for content in paths:
        sum_ = manifest.hasher()
        with open(os.path.join(folder, content), "xb") as file:
            last = False
            while not last:
                data, last = _piece(talk, content, paths[content])
                if file.tell() + len(data) > sizes[content]:
                    raise Unwanted("hostile", f"{paths[content]} is larger than was announced", [paths[content]])
                sum_.update(data)
                file.write(data)
        if sum_.hexdigest() != content:
            raise Unwanted("moving", f"{paths[content]} changed on the node while it was read", [paths[content]])
    talk.answer()


def _piece(talk: Conversation, content: str, path: str) -> tuple[bytes, bool]:
    kind, payload = talk.next()
    if kind == frames.ANSWER:
        talk.judge(payload)
    size = manifest.DIGEST_BYTES
    if kind != manifest.DATA or payload[:size].hex() != content or len(payload) <= size:
        raise Unwanted("hostile", f"{path}: something else came", [path])
    flags, data = payload[size], payload[size + 1 :]
    if flags & manifest.PACKED:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(data, LARGEST_PIECE)
        if unpacker.unconsumed_tail:
            raise Unwanted("hostile", f"{path}: it unpacks to more than it may", [path])
    return data, bool(flags & manifest.LAST)


def _refuse_foreign(arriving: _Arriving, folder: str) -> None:
    found = {}
    for path, entry in arriving.needed().items():
        with open(os.path.join(folder, entry[manifest.CONTENT]), "rb") as file:
            kind = foreign(file.read(HEAD_BYTES), platform.system(), platform.machine())
        if kind:
            found[path] = kind
    if found:
        first = next(iter(found))
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        message = f"{first}{more} is for {found[first]}, not for this {platform.machine()} machine"
        raise Unwanted("foreign", message, sorted(found))


def _conflict(paths: list[str]) -> Unwanted:
    shown = ", ".join(sorted(paths)[:10]) + (f" and {len(paths) - 10} more" if len(paths) > 10 else "")
    return Unwanted("conflict", f"changed here meanwhile, so not overwritten: {shown}", sorted(paths))


def _still(before: os.stat_result | None, now: os.stat_result | None) -> bool:
    if before is None or now is None:
        return before is now
    return os.path.samestat(before, now) and (before.st_size, before.st_mtime_ns) == (now.st_size, now.st_mtime_ns)


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
