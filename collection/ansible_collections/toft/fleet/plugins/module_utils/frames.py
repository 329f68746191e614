# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The wire between the controller and the node program.

Both ways carry frames: one ASCII kind byte, the payload's length as four big-endian bytes, the payload.
Structured payloads are JSON in ASCII; a string keeps undecodable bytes as surrogate escapes.
The node announces itself with one marker line; whatever a login shell printed before it is noise.

The standard `json` package imports `re` and `enum`, which doubles the start-up time of the node
program (10 ms here, far more on a Raspberry Pi). Its C half needs neither, so that is what is used.
"""

from __future__ import annotations

import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, List, Optional, Tuple, Union

MARKER = b"toft-node 1\n"
LARGEST = 64 << 20
READ_BYTES = 256 << 10
WORTHWHILE = 32 << 10
"""Bytes from which on a payload is left to the kernel."""
HEAD = 5

REQUEST, STDIN, STDIN_END, SIGNAL, WINDOW, CREDIT = b"R", b"I", b"Z", b"K", b"W", b"C"
ANSWER, STDOUT, STDERR, ACCEPTED, FINAL = b"A", b"O", b"E", b"S", b"X"
HEARTBEAT = b"H"


class BadFrame(Exception):
    """The other side does not speak this protocol."""

    def __init__(self, kind: bytes, size: int) -> None:
        super().__init__("frame %r of %d bytes" % (kind, size))
        self.kind = kind
        self.size = size


def head(kind: bytes, size: int) -> bytes:
    return kind + size.to_bytes(4, "big")


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    return head(kind, len(payload)) + payload


def message(kind: bytes, value: Any) -> bytes:
    """A frame whose payload is `value` as JSON."""
    return frame(kind, dumps(value))


def at(offset: int, data: bytes = b"") -> bytes:
    """The payload of STDIN and STDIN_END: where the data belongs, then the data."""
    return offset.to_bytes(8, "big") + data


def split(payload: bytes) -> Tuple[int, bytes]:
    return int.from_bytes(payload[:8], "big"), payload[8:]


class Decoder:
    """Frames out of bytes that come in any pieces. A frame of one of the kinds in `flowing` is not waited for: what
    there is of its payload is given out as a frame of its own."""

    def __init__(self, flowing: bytes = b"") -> None:
        self._held = bytearray()
        self._flowing = flowing
        self._kind = b""
        self._left = 0

    def feed(self, data: bytes) -> List[Tuple[bytes, bytes]]:
        """The frames that `data` completes. Raises BadFrame for what cannot be one."""
        found = []
        if self._left and data:
            piece, data = data[: self._left], data[self._left :]
            self._left -= len(piece)
            found.append((self._kind, piece))
        self._held += data
        done = 0
        with memoryview(self._held) as view:
            while len(view) - done >= HEAD:
                kind, start = bytes(view[done : done + 1]), done + HEAD
                end = start + _size(view[done:start])
                flows = len(view) < end and len(view) > start and kind in self._flowing
                if len(view) < end and not flows:
                    break
                found.append((kind, bytes(view[start:end])))
                done = min(end, len(view))
                if flows:
                    self._kind, self._left = kind, end - done
        del self._held[:done]
        return found


def _size(start: memoryview) -> int:
    kind, size = bytes(start[:1]), int.from_bytes(start[1:], "big")
    if size > LARGEST or not kind.isalpha():
        raise BadFrame(kind, size)
    return size


class Gone(Exception):
    """The client is no longer there."""


class Part:
    """So many bytes of a file, from an offset on; the file has them and never changes in them."""

    def __init__(self, file: int, offset: int, size: int) -> None:
        self.file = file
        self.offset = offset
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, rest: slice) -> Part:
        return Part(self.file, self.offset + rest.start, self.size - rest.start)

    def send(self, sink: int) -> int:
        """As much as the sink takes now: by the kernel alone where it does that."""
        try:
            sent = os.sendfile(sink, self.file, self.offset, self.size)
        except BlockingIOError:
            raise
        except OSError:  # macOS takes only sockets, some file systems none
            sent = os.write(sink, self.read())
        if sent == 0:
            raise Gone()  # somebody has made the file shorter
        return sent

    def read(self) -> bytes:
        data = os.pread(self.file, self.size, self.offset)
        if len(data) < self.size:
            raise Gone()
        return data


class Channel:
    """Two descriptors that lead to a client, and the frames that have arrived."""

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink
        self.arrived: List[Tuple[bytes, bytes]] = []
        self.sent_at = time.monotonic()
        self._decoder = Decoder()
        self._outbox: List[Union[memoryview, Part]] = []

    def next(self) -> Optional[Tuple[bytes, bytes]]:
        """Wait for a frame; None at the end of the client's side."""
        while not self.arrived:
            select.select([self.source], [], [])
            if not self.read() and not self.arrived:
                return None
        return self.arrived.pop(0)

    def read(self) -> bool:
        """Take what has arrived. False at the end of the client's side."""
        try:
            data = os.read(self.source, READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        try:
            self.arrived += self._decoder.feed(data)
        except BadFrame:
            return False  # nothing that follows could be understood
        return bool(data)

    @property
    def congested(self) -> bool:
        return bool(self._outbox)

    def send(self, *pieces: bytes) -> None:
        self._outbox += [memoryview(piece) for piece in pieces if piece]
        self.flush()

    def send_part(self, kind: bytes, part: Part) -> None:
        """A frame whose payload lies in a file."""
        if len(part) < WORTHWHILE:
            self.send(head(kind, len(part)), part.read())
            return
        self._outbox += [memoryview(head(kind, len(part))), part]
        self.flush()

    def flush(self) -> None:
        """Send what the client takes now. Raises Gone."""
        try:
            while self._outbox:
                first = self._outbox[0]
                if isinstance(first, Part):
                    self._sent(first.send(self.sink))
                else:
                    self._sent(os.writev(self.sink, list(self._bytes())))
        except BlockingIOError:
            return
        except OSError:
            raise Gone() from None

    def _bytes(self) -> Iterator[memoryview]:
        for piece in self._outbox:
            if isinstance(piece, Part):
                return
            yield piece

    def _sent(self, count: int) -> None:
        self.sent_at = time.monotonic()
        while self._outbox and count >= len(self._outbox[0]):
            count -= len(self._outbox.pop(0))
        if count:
            self._outbox[0] = self._outbox[0][count:]

    def finish(self) -> None:
        """Send everything, however long the client takes; what it says meanwhile must not block it."""
        heard = [self.source]
        while self._outbox:
            ready, _free, _none = select.select(heard, [self.sink], [])
            if ready and not self.read():
                heard = []
            self.flush()


class _Parsing:
    """What CPython's C scanner asks of its context."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = None


def loads(data: bytes) -> Any:
    """JSON to a value. Raises ValueError for anything else."""
    text = data.decode("utf-8").strip()
    try:
        from _json import make_scanner

        value, end = make_scanner(_Parsing)(text, 0)  # type: ignore[arg-type]
        if end == len(text):
            return value
    except (ImportError, StopIteration, SystemError, TypeError, ValueError):
        pass  # the package words the error, or reads it where the C half is another
    import json

    return json.loads(text)


def dumps(value: Any) -> bytes:
    try:
        from _json import encode_basestring_ascii, make_encoder

        encode = make_encoder(None, _refuse, encode_basestring_ascii, None, ":", ",", False, False, True)
        return "".join(encode(value, 0)).encode()
    except (ImportError, TypeError):
        import json

        return json.dumps(value, separators=(",", ":")).encode()


def _refuse(value: object) -> Any:
    raise TypeError("%r has no JSON form" % (value,))
