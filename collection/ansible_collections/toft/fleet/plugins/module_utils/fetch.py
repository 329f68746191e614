# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Results of a command, from a mirror to the client.

First the list: every file and link below one path, each file with the digest of its content. Then the client
asks for the contents that it does not have (an OFFER frame with paths), which come as DATA frames, and an
answer after the last of them. No link is followed.
"""

from __future__ import annotations

import os
import stat
import time
import zlib

from ansible_collections.toft.fleet.plugins.module_utils import frames, jobs, manifest, slots

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List

    from ansible_collections.toft.fleet.plugins.module_utils.manifest import Entries, Entry

READ_BYTES = 256 << 10
PULSE_S = 2.0
READ_ONLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def serve(channel: frames.Channel, request: Dict[str, Any], place: slots.Place) -> None:
    """Until the client has gone. Raises Refused and OSError, which become its answer."""
    wanted = str(request["path"])
    if wanted != "." and manifest.unsafe(wanted):
        raise jobs.Refused("bad_request", "not a path in the tree: %r" % wanted)
    place.stay()
    place.used()
    slot = place.slot(int(request["slot"])) if request.get("slot") else _latest(place)
    paths = _chosen(slot.root, wanted, int(request["most"]), int(request["most_bytes"]))
    entries = _listed(channel, slot.root, paths)
    digest = (slot.state() or {"digest": ""})["digest"]
    channel.send(frames.message(frames.ANSWER, {"ok": True, "entries": entries, "digest": digest}))
    channel.finish()
    while True:
        arrived = channel.next()
        if arrived is None:
            return
        if arrived[0] == manifest.OFFER:
            for path in frames.loads(arrived[1])["paths"]:
                _send(channel, slot.root, path, entries)
            channel.send(frames.message(frames.ANSWER, {"ok": True}))
            channel.finish()


def _latest(place: slots.Place) -> slots.Slot:
    """The slot that a command was started in last."""
    found = place.slots()
    if not found:
        raise jobs.Refused("no_mirror", "there is no mirror of this tree here: toft sync")
    return min(found, key=lambda slot: slot.idle_s())


def _chosen(root: str, wanted: str, most: int, most_bytes: int) -> List[str]:
    """What is there to be fetched, if it is not too much; nothing has been read yet."""
    for above in manifest.parents(wanted):
        if os.path.islink(os.path.join(root, above)):
            raise jobs.Refused("no_path", "%s is a link in the mirror" % above)
    paths, size = [], 0
    for path in _walk(root, "" if wanted == "." else wanted):
        paths.append(path)
        size += os.lstat(os.path.join(root, path)).st_size
        if len(paths) > most or size > most_bytes:
            raise jobs.Refused("too_much", "%s has more than %d files or %d bytes" % (wanted, most, most_bytes))
    return paths


def _listed(channel: frames.Channel, root: str, paths: List[str]) -> Entries:
    entries: Entries = {}
    for path in paths:
        if time.monotonic() - channel.sent_at > PULSE_S:
            channel.send(frames.frame(frames.HEARTBEAT))
        entry = _entry(os.path.join(root, path))
        if entry:
            entries[path] = entry
    return entries


def _walk(root: str, path: str) -> Iterator[str]:
    """The path itself, or everything in it if it is a directory. git's own data stays where it is."""
    full = os.path.join(root, path) if path else root
    try:
        directory = stat.S_ISDIR(os.lstat(full).st_mode)
    except OSError:
        raise jobs.Refused("no_path", "there is no %s in the mirror" % (path or root)) from None
    if not directory:
        yield path
        return
    for name in sorted(os.listdir(full)):
        if name != ".git":
            yield from _walk(root, path + "/" + name if path else name)


def _entry(file: str) -> Entry:
    """Empty for what is neither a file nor a link."""
    found = os.lstat(file)
    if stat.S_ISLNK(found.st_mode):
        return [manifest.LINK, os.readlink(file)]
    if not stat.S_ISREG(found.st_mode):
        return []
    sum_, size = manifest.hasher(), 0
    for piece in _pieces(file):
        sum_.update(piece)
        size += len(piece)
    return [manifest.FILE, stat.S_IMODE(found.st_mode) & 0o777, size, found.st_mtime_ns, sum_.hexdigest()]


def _send(channel: frames.Channel, root: str, path: str, entries: Entries) -> None:
    """What has changed since it was listed shows by its digest, on the other side."""
    content = bytes.fromhex(entries[path][manifest.CONTENT])
    pieces: List[bytes] = []
    for piece in _pieces(os.path.join(root, path)):
        if pieces:
            _piece(channel, content, pieces.pop(), manifest.MORE)
        pieces.append(piece)
    _piece(channel, content, pieces.pop() if pieces else b"", manifest.LAST)


def _piece(channel: frames.Channel, content: bytes, data: bytes, flags: int) -> None:
    packed = zlib.compress(data, 1)
    if len(packed) < len(data):
        data, flags = packed, flags | manifest.PACKED
    channel.send(frames.frame(manifest.DATA, content + bytes((flags,)) + data))
    channel.finish()


def _pieces(file: str) -> Iterator[bytes]:
    fd = os.open(file, READ_ONLY)
    with open(fd, "rb", buffering=0) as opened:
        while True:
            piece = opened.read(READ_BYTES)
            if not piece:
                return
            yield piece
