"""Where the engine is found, and what is said through its socket.

The client opens with one message: a marshalled header, and its descriptors beside it. The engine answers with
messages of its own: the worker's process id, then how that ended. Both ends are the same Python (the socket's
name says which), so marshal is safe to use; both are the same user (the directory is private, and the kernel is
asked).
"""

from __future__ import annotations

import _socket
import _struct
import marshal
import os
import sys
import zlib

from toft.warm.surroundings import surroundings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

LONGEST = 4 << 20
"""Bytes of a header: an argv and an environment."""
DESCRIPTORS = 4
"""stdin, stdout, stderr and the working directory."""


def path(environ: Mapping[str, str]) -> str | None:
    """The socket of the engine for such surroundings, or None if there is no place for one."""
    from ansible_collections.toft.fleet.plugins.plugin_utils import private_directory

    try:
        where = private_directory.find(environ, os.getuid())
    except private_directory.NotOurs:
        return None
    return None if where is None else f"{where}/{name(environ)}"


def name(environ: Mapping[str, str]) -> str:
    return f"e-{zlib.crc32(repr(surroundings(environ)).encode()):08x}"


def lock(socket_path: str) -> str:
    """The file that an engine holds locked from its start to its end; in it is its process id."""
    return f"{socket_path}.lock"


def connect(socket_path: str) -> _socket.socket | None:
    """A connected socket, or None where nobody of ours listens."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.connect(socket_path)
    except OSError:
        sock.close()
        return None
    if peer(sock) == os.getuid():
        return sock
    sock.close()
    return None


def peer(sock: _socket.socket) -> int:
    """The user at the other end."""
    if sys.platform == "darwin":
        return int(_struct.unpack_from("=II", sock.getsockopt(0, 1, 76))[1])  # LOCAL_PEERCRED: struct xucred
    return int(_struct.unpack("=iII", sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12))[1])


def send(sock: _socket.socket, value: Any, descriptors: Sequence[int] = ()) -> None:
    data = marshal.dumps(value)
    head = len(data).to_bytes(4, "big")
    rights = _struct.pack(f"={len(descriptors)}i", *descriptors)
    beside = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if descriptors else []
    sock.sendmsg([head], beside)
    sock.sendall(data)


def receive(sock: _socket.socket) -> tuple[Any, list[int]]:
    """A value and the descriptors beside it; None when the other end is gone."""
    head, beside, _flags, _address = sock.recvmsg(4, _socket.CMSG_SPACE(DESCRIPTORS * 4))
    passed = (data[: len(data) & ~3] for _level, _kind, data in beside)
    descriptors = [each for data in passed for (each,) in _struct.iter_unpack("=i", data)]
    data = _exactly(sock, head, 4)
    size = int.from_bytes(data, "big")
    if len(data) < 4 or size > LONGEST:
        return None, descriptors
    data = _exactly(sock, b"", size)
    return (marshal.loads(data) if len(data) == size else None), descriptors


def _exactly(sock: _socket.socket, begun: bytes, size: int) -> bytes:
    data = bytearray(begun)
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            break
        data += piece
    return bytes(data)
