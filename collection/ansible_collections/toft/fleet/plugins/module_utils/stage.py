# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Content that has arrived for a mirror and waits for its place, one file a digest.

A file appears under its digest once it is whole and its bytes have that digest. So several clients may
bring the same content, and what arrived before a connection broke need not come again. After a reboot
none of it is trusted.
"""

from __future__ import annotations

import os
import time

from ansible_collections.toft.fleet.plugins.module_utils import jobs, manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Set

LEFT_S = 86400.0
LARGEST_PIECE = 64 << 20
READ_BYTES = 1 << 20


class Stage:
    """`folder` is shared by everybody who brings content for this tree; drafts carry our pid."""

    def __init__(self, folder: str, boot: str) -> None:
        self.folder = os.path.join(folder, str(manifest.hasher(boot.encode()).hexdigest())[:16])
        self._parent = folder
        self._drafts = 0
        self._fd = -1
        self._sum: Any = None
        self._content = b""

    def prepare(self) -> None:
        """Only what arrived since this boot is kept."""
        for name in os.listdir(self._parent):
            if os.path.join(self._parent, name) != self.folder:
                remove(os.path.join(self._parent, name))
        os.makedirs(self.folder, 0o700, exist_ok=True)

    def has(self, content: str) -> bool:
        return os.path.exists(os.path.join(self.folder, content))

    def draft(self) -> str:
        self._drafts += 1
        return os.path.join(self.folder, ".%d.%d" % (os.getpid(), self._drafts))

    # What comes over the wire.

    def take(self, payload: bytes) -> None:
        """One piece: the digest, a byte of flags, bytes. Raises Refused for what has another digest."""
        content, flags = payload[: manifest.DIGEST_BYTES], payload[manifest.DIGEST_BYTES]
        data = payload[manifest.DIGEST_BYTES + 1 :]
        if flags & manifest.PACKED:
            data = _unpacked(data)
        if self._fd < 0 or content != self._content:
            self._begin(content)
        self._sum.update(data)
        jobs.write_all(self._fd, data)
        if flags & manifest.LAST:
            self._finish()

    def _begin(self, content: bytes) -> None:
        self.abandon()
        self._path = self.draft()
        self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._content, self._sum = content, manifest.hasher()

    def _finish(self) -> None:
        os.close(self._fd)
        self._fd = -1
        if self._sum.digest() != self._content:
            os.unlink(self._path)
            raise jobs.Refused("bad_content", "content arrived that is not what was announced")
        os.rename(self._path, os.path.join(self.folder, self._content.hex()))

    def abandon(self) -> None:
        """Forget what has only come in part."""
        if self._fd >= 0:
            os.close(self._fd)
            os.unlink(self._path)
        self._fd = -1

    # What goes to its place.

    def file(self, content: str, last: bool) -> Optional[str]:
        """A file of its own with that content; the staged one itself if nobody else wants it."""
        staged = os.path.join(self.folder, content)
        made = self.draft()
        try:
            if last:
                os.rename(staged, made)
                return made
        except FileNotFoundError:
            return None
        return self.copy(staged, content)

    def copy(self, source: str, content: str) -> Optional[str]:
        """A copy of a file here, if it really has that content."""
        made, sum_ = self.draft(), manifest.hasher()
        try:
            fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        with open(fd, "rb") as opened, open(made, "xb") as copied:
            for piece in iter(lambda: opened.read(READ_BYTES), b""):
                sum_.update(piece)
                copied.write(piece)
        if sum_.hexdigest() == content:
            return made
        os.unlink(made)
        return None

    def adopt(self, source: str, content: str) -> bool:
        """Take a copy of a file here as if it had come over the wire."""
        made = self.copy(source, content)
        if made is not None:
            os.rename(made, os.path.join(self.folder, content))
        return made is not None

    def link(self, target: str) -> str:
        made = self.draft()
        os.symlink(target, made)
        return made

    def tidy(self, ours: Set[str]) -> None:
        """Remove our drafts that are still here, and what nobody came back for."""
        for name in os.listdir(self.folder):
            path = os.path.join(self.folder, name)
            if path in ours or (not name.startswith(".") and _age(path) > LEFT_S):
                remove(path)

    def clear(self) -> None:
        """Everything, because its room is needed."""
        self.abandon()
        for name in os.listdir(self._parent):
            remove(os.path.join(self._parent, name))


def remove(path: str) -> None:
    """A file or a whole directory; what cannot be removed stays."""
    import shutil

    try:
        os.unlink(path)
    except OSError:
        shutil.rmtree(path, ignore_errors=True)


def _unpacked(data: bytes) -> bytes:
    import zlib

    unpacker = zlib.decompressobj()
    made = unpacker.decompress(data, LARGEST_PIECE)
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise jobs.Refused("bad_content", "a piece of content cannot be unpacked")
    return made


def _age(path: str) -> float:
    try:
        return time.time() - os.lstat(path).st_mtime
    except OSError:
        return 0.0
