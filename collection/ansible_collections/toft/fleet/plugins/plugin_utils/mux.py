# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A client of OpenSSH's multiplexing protocol, version 4, as its document PROTOCOL.mux describes it.

A running ssh master listens on a control socket. Whoever connects says hello, and may then ask whether it is
alive, ask it to end, or ask for a session: a command, and three descriptors that are passed over the
socket. From then on the master moves the bytes between these descriptors and the node, and the socket tells
the exit code. No new process, no new key exchange: a command costs a round trip.

Every packet is a length and a body; the body begins with its type, all in big-endian 32-bit words; a string
is its length and its bytes. A failure is a value: `gone` (no master, or it went away), `timeout`, `refused`
(the node opens no more sessions on this connection), `denied` (the master asked its user), `scarce` (this
machine is out of descriptors or memory), `protocol`.

A `deadline` is a value of time.monotonic().
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

VERSION = 4
HELLO = 0x00000001
C_NEW_SESSION = 0x10000002
C_ALIVE_CHECK = 0x10000004
C_TERMINATE = 0x10000005
C_STOP_LISTENING = 0x10000009
S_OK = 0x80000001
S_PERMISSION_DENIED = 0x80000002
S_FAILURE = 0x80000003
S_EXIT_MESSAGE = 0x80000004
S_ALIVE = 0x80000005
S_SESSION_OPENED = 0x80000006
S_TTY_ALLOC_FAIL = 0x80000008

MAX_PACKET = 256 * 1024
"""The master drops a client whose packet is longer; its own answers are far shorter."""
NO_ESCAPE = 0xFFFFFFFF
REQUEST = 1
"""Each connection makes one request, so one id does."""
LOST = 255
"""What ssh itself returns when a session ends without an exit code."""
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ETOOMANYREFS)


@dataclass(frozen=True)
class Failure:
    kind: str
    detail: str


class _Broken(Exception):
    """Carries a failure from the depth of the exchange to the public function."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.failure = Failure(kind, detail)


class _Gone(_Broken):
    """The master is not there, or went away."""


class Session:
    """A command that runs through a master. `wait` may be called again and again."""

    def __init__(self, wire: _Wire, number: int) -> None:
        self._wire = wire
        self._number = number
        self._exit_code: int | None = None
        self.lost = False
        """it ended without an exit code: the connection broke, or a signal ended the command"""
        self.tty_failed = False
        """a terminal was asked for and the node gave none"""

    def fileno(self) -> int:
        """Becomes readable when there is something for `wait`."""
        return self._wire.fileno()

    def wait(self, deadline: float) -> int | None:
        """The exit code (255 if `lost`), or None if the command still runs at the deadline."""
        while self._exit_code is None:
            try:
                kind, body = self._wire.receive(deadline)
                self._note(kind, body)
            except _Broken as broken:
                if broken.failure.kind == "timeout":
                    return None
                self.lost = True
                self._exit_code = LOST
        return self._exit_code

    def close(self) -> None:
        """Lets go of the session: the master closes its channel, if it is still open."""
        self._wire.close()

    def _note(self, kind: int, body: bytes) -> None:
        if kind not in (S_EXIT_MESSAGE, S_TTY_ALLOC_FAIL) or _word(body) != self._number:
            return
        if kind == S_TTY_ALLOC_FAIL:
            self.tty_failed = True
        else:
            self._exit_code = _word(body[4:]) & 0xFF


def check(path: Path, deadline: float) -> int | Failure:
    """The process id of the master at this control socket."""
    try:
        with _Wire(path, deadline) as wire:
            body = wire.ask(C_ALIVE_CHECK, b"", S_ALIVE, deadline)
            return _word(body)
    except _Broken as broken:
        return broken.failure


def terminate(path: Path, deadline: float) -> Failure | None:
    """Ends the master with all its sessions; None once it has removed its socket."""
    number = _inode(path)
    try:
        with _Wire(path, deadline) as wire, contextlib.suppress(_Gone):
            # The answer often does not make it out before the end.
            wire.ask(C_TERMINATE, b"", S_OK, deadline)
            while True:
                wire.receive(deadline)
    except _Broken as broken:
        return broken.failure
    # The master lets go of its clients first and removes the socket last: whoever opened another one under
    # this name in between would lose it.
    while number is not None and _inode(path) == number and time.monotonic() < deadline:
        time.sleep(0.002)
    return None


def stop_listening(path: Path, deadline: float) -> Failure | None:
    """The master removes its socket and takes no new sessions; those it has go on."""
    try:
        with _Wire(path, deadline) as wire:
            wire.ask(C_STOP_LISTENING, b"", S_OK, deadline)
    except _Broken as broken:
        return broken.failure
    return None


def open_session(
    path: Path,
    command: str,
    fds: tuple[int, int, int],
    deadline: float,
    *,
    term: str | None = None,
    environment: Iterable[str] = (),
) -> Session | Failure:
    """Runs `command` (text for the login shell) with these descriptors as its stdin, stdout and stderr.

    The master gets copies of `fds`: the caller closes its own. With `term` a terminal is asked for. Of
    `environment` (NAME=value) the master passes on what its configuration's SendEnv names.
    """
    request = _session_request(command, term, environment)
    if len(request) > MAX_PACKET - 8:
        return Failure("protocol", f"a request of {len(request)} bytes is too long")
    wire = None
    try:
        wire = _Wire(path, deadline)
        wire.send(C_NEW_SESSION, _words(REQUEST) + request, deadline)
        for fd in fds:
            wire.send_fd(fd, deadline)
        body = wire.answer(S_SESSION_OPENED, deadline)
        return Session(wire, _word(body))
    except _Broken as broken:
        if wire is not None:
            wire.close()
        return broken.failure


def _session_request(command: str, term: str | None, environment: Iterable[str]) -> bytes:
    # Whether agent forwarding really happens is decided by the master's own configuration, so it is always
    # wished.
    tty, x11, agent, subsystem = int(term is not None), 0, 1, 0
    return b"".join(
        [
            _string(""),
            _words(tty, x11, agent, subsystem, NO_ESCAPE),
            _string(term or ""),
            _string(command),
            *(_string(setting) for setting in environment),
        ]
    )


class _Wire:
    """A connection to a master, past its hello. Keeps what was read of a packet when a deadline cuts it."""

    def __init__(self, path: Path, deadline: float) -> None:
        self._socket = _connect(path, deadline)
        self._read = bytearray()
        try:
            self.send(HELLO, _words(VERSION), deadline)
            kind, body = self.receive(deadline)
            if kind != HELLO or _word(body) != VERSION:
                raise _Broken("protocol", "the control socket does not speak version 4 of the protocol")
        except _Broken:
            self.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> _Wire:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def send(self, kind: int, body: bytes, deadline: float) -> None:
        self._within(deadline)
        try:
            self._socket.sendall(_words(4 + len(body), kind) + body)
        except OSError as error:
            raise _failed(error) from None

    def send_fd(self, fd: int, deadline: float) -> None:
        self._within(deadline)
        try:
            # One message for each: that is how the master receives them.
            socket.send_fds(self._socket, [b"\0"], [fd])
        except OSError as error:
            raise _failed(error) from None

    def receive(self, deadline: float) -> tuple[int, bytes]:
        """The next packet as its type and the rest of its body."""
        self._fill(4, deadline)
        length = _word(self._read)
        if not 4 <= length <= MAX_PACKET:
            raise _Broken("protocol", f"a packet of {length} bytes")
        self._fill(4 + length, deadline)
        packet = bytes(self._read[4 : 4 + length])
        del self._read[: 4 + length]
        return _word(packet), packet[4:]

    def ask(self, kind: int, body: bytes, wanted: int, deadline: float) -> bytes:
        self.send(kind, _words(REQUEST) + body, deadline)
        return self.answer(wanted, deadline)

    def answer(self, wanted: int, deadline: float) -> bytes:
        """What follows the request's id in the answer of the wanted type."""
        kind, body = self.receive(deadline)
        number, rest = _word(body), body[4:]
        if number != REQUEST:
            raise _Broken("protocol", f"an answer to request {number}")
        if kind == wanted:
            return rest
        reason = _text(rest) if kind in (S_FAILURE, S_PERMISSION_DENIED) else f"an answer of type {kind:#x}"
        raise _Broken({S_FAILURE: "refused", S_PERMISSION_DENIED: "denied"}.get(kind, "protocol"), reason)

    def _fill(self, length: int, deadline: float) -> None:
        while len(self._read) < length:
            self._within(deadline)
            try:
                data = self._socket.recv(65536)
            except OSError as error:
                raise _failed(error) from None
            if not data:
                raise _Gone("gone", "the master closed the connection")
            self._read += data

    def _within(self, deadline: float) -> None:
        # Zero would mean "do not wait" with another error; what is there already may always be read.
        self._socket.settimeout(max(0.000001, deadline - time.monotonic()))


def _connect(path: Path, deadline: float) -> socket.socket:
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as error:
        raise _failed(error) from None
    # Not blocking: the system would wait for ever for a place in a stopped master's queue.
    connection.settimeout(0)
    while True:
        try:
            connection.connect(str(path))
            return connection
        except BlockingIOError:
            # The queue is full: the master is stopped, or many come at once.
            if time.monotonic() < deadline:
                time.sleep(0.01)
                continue
            connection.close()
            raise _Broken("timeout", "the master takes no connection") from None
        except OSError as error:
            connection.close()
            raise _failed(error) from None


def _inode(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except OSError:
        return None


def _failed(error: OSError) -> _Broken:
    if isinstance(error, TimeoutError):
        return _Broken("timeout", "the master did not answer in time")
    if error.errno in SCARCE:
        return _Broken("scarce", error.strerror or str(error))
    return _Gone("gone", error.strerror or str(error))


def _words(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def _word(data: bytes | bytearray) -> int:
    if len(data) < 4:
        raise _Broken("protocol", "a packet is cut short")
    return int.from_bytes(data[:4], "big")


def _string(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return _words(len(data)) + data


def _text(data: bytes) -> str:
    return data[4 : 4 + _word(data)].decode("utf-8", "replace")
