"""A job's output as an agent gets it: the head and the tail of each stream, and where the rest is.

The whole output stays on the node. Whatever came between head and tail is counted and thrown away here, so a
gigabyte of log costs the server no memory and its reader no context.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

HEAD = 6_000
TAIL = 10_000
"""Bytes of each stream that are shown; the end of a log says more than its beginning."""

# Terminal escapes and marks that hide or reorder text: a reader is shown that they are there, and they do nothing.
_VISIBLE = {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n\t\r"}
_VISIBLE |= {0x7F: "\u2421", **dict.fromkeys(range(0x80, 0xA0), "\ufffd")}
_VISIBLE |= dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200B, 0x200E, 0x200F, 0xFEFF], "\ufffd")
_VISIBLE |= dict.fromkeys(range(0xE0000, 0xE0080), "\ufffd")


def text(data: bytes) -> str:
    """For reading: invalid UTF-8 is replaced, control characters are made visible."""
    return data.decode("utf-8", "replace").replace("\r\n", "\n").translate(_VISIBLE)


@dataclass
class Trimmed:
    """The first and the last bytes of a stream; `put` takes it as it comes."""

    head_room: int = HEAD
    tail_room: int = TAIL
    size: int = 0
    _head: bytearray = field(default_factory=bytearray)
    _tail: deque[bytes] = field(default_factory=deque)
    _held: int = 0

    def put(self, data: bytes) -> None:
        self.size += len(data)
        taken = data[: self.head_room - len(self._head)]
        self._head += taken
        if rest := data[len(taken) :][-self.tail_room :]:
            self._tail.append(rest)
            self._held += len(rest)
        while self._tail and self._held - len(self._tail[0]) >= self.tail_room:
            self._held -= len(self._tail.popleft())

    @property
    def head(self) -> bytes:
        return bytes(self._head)

    @property
    def tail(self) -> bytes:
        return b"".join(self._tail)[-self.tail_room :]

    @property
    def omitted(self) -> int:
        """Bytes between the two."""
        return self.size - len(self._head) - len(self.tail)
