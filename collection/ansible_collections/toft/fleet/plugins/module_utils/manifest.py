# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a tree holds, as a value that both ends of a mirror understand.

A manifest is a dictionary from a path (relative, `/` between its parts, undecodable bytes as surrogate
escapes) to an entry, which is a list because it is JSON:

    ["f", mode, size, mtime_ns, content]    a file; `content` is the digest of its bytes
    ["l", target]                           a symbolic link
    ["d", mode]                             a directory that is there for its own sake

Two trees are equal exactly if their manifests have the same digest.
"""

from __future__ import annotations

from ansible_collections.toft.fleet.plugins.module_utils import frames

try:
    from _blake2 import blake2b  # without `hashlib`, which loads OpenSSL
except ImportError:
    from hashlib import blake2b

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Optional

    Entry = List[Any]
    Entries = Dict[str, Entry]

FILE, LINK, DIRECTORY = "f", "l", "d"
MODE, SIZE, MTIME, CONTENT = 1, 2, 3, 4
TARGET = 1
DIGEST_BYTES = 20
READ_BYTES = 1 << 20

# Frames: a change of the manifest or a wish for contents, from the client; a piece of some content.
OFFER, DATA = b"M", b"B"
# Flags of a DATA frame: the last piece of its content; compressed.
MORE, LAST, PACKED = 0, 1, 2


def hasher(data: bytes = b"") -> Any:
    return blake2b(data, digest_size=DIGEST_BYTES)


def digest(entries: Mapping[str, Entry]) -> str:
    return str(hasher(frames.dumps(sorted(entries.items()))).hexdigest())


def content_of(file: str) -> Optional[str]:
    """The digest of a file's bytes; None when it cannot be read."""
    sum_ = hasher()
    try:
        with open(file, "rb") as opened:
            for piece in iter(lambda: opened.read(READ_BYTES), b""):
                sum_.update(piece)
    except OSError:
        return None
    return str(sum_.hexdigest())


def patched(base: Mapping[str, Entry], put: Mapping[str, Entry], drop: List[str]) -> Entries:
    """The manifest that comes of a change."""
    entries = dict(base)
    for path in drop:
        entries.pop(path, None)
    entries.update(put)
    return entries


def unsafe(path: object) -> bool:
    """Whether a path could lead out of its tree, or is none."""
    if not isinstance(path, str) or not path or "\0" in path:
        return True
    return any(part in ("", ".", "..") for part in path.split("/"))


def parents(path: str) -> List[str]:
    """The directories above it, the outermost first: `a/b/c` gives `a` and `a/b`."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def directories(entries: Mapping[str, Entry]) -> set[str]:
    """Every directory that these entries need, and those that are entries."""
    found: set[str] = set()
    for path, entry in entries.items():
        if entry[0] == DIRECTORY:
            found.add(path)
        above = path.rpartition("/")[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return found
