# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""git's index in a normal form: what is staged, without what git remembers of one machine's files.

An index holds for each path the staged object, and the stat data by which git sees that the file has not
been touched since. The latter means nothing on another machine, and changes whenever somebody asks for the
status. Without it (all zero) git looks at the contents once and fills it in. Format: `gitformat-index(5)`,
versions 2 and 3; extensions only speed things up and are dropped.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Container, List, Tuple

HEAD_BYTES, STAT_BYTES = 12, 40
MODE_AT = 24
EXTENDED, ASSUME_VALID = 0x4000, 0x8000


class NotAnIndex(ValueError):
    """It is none, or one of another version."""


def normal(data: bytes, absent: Container[bytes] = ()) -> bytes:
    """The normal form. Paths in `absent` are marked so that git does not miss their files."""
    import hashlib

    for make in (hashlib.sha1, hashlib.sha256):
        size = make().digest_size
        if make(data[:-size]).digest() == data[-size:]:
            body = _rewritten(data[:-size], size, absent)
            return body + make(body).digest()
    raise NotAnIndex("its checksum is wrong")


def _rewritten(data: bytes, oid_bytes: int, absent: Container[bytes]) -> bytes:
    version = int.from_bytes(data[4:8], "big")
    if data[:4] != b"DIRC" or version not in (2, 3):
        raise NotAnIndex("version %d" % version)
    pieces: List[bytes] = [data[:HEAD_BYTES]]
    at = HEAD_BYTES
    for _nth in range(int.from_bytes(data[8:12], "big")):
        entry, at = _entry(data, at, oid_bytes, absent)
        pieces.append(entry)
    return b"".join(pieces)


def _entry(data: bytes, at: int, oid_bytes: int, absent: Container[bytes]) -> Tuple[bytes, int]:
    """One entry in normal form, and where the next one begins."""
    flags_at = at + STAT_BYTES + oid_bytes
    flags = int.from_bytes(data[flags_at : flags_at + 2], "big")
    name_at = flags_at + (4 if flags & EXTENDED else 2)
    end = data.index(b"\0", name_at)
    after = at + (end - at + 8) // 8 * 8  # one to eight NULs
    if absent and data[name_at:end] in absent:
        flags |= ASSUME_VALID
    stat = bytes(MODE_AT) + data[at + MODE_AT : at + MODE_AT + 4] + bytes(STAT_BYTES - MODE_AT - 4)
    middle = data[at + STAT_BYTES : flags_at] + flags.to_bytes(2, "big")
    return stat + middle + data[flags_at + 2 : after], after
