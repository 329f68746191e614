"""The control port of an icecream scheduler, asked over the network: one above its own, lines of text, no password."""

from __future__ import annotations

import socket
import time

WHO_SCHEDULES = bytes([43])
MOST = 4 << 20
"""Bytes of an answer: the largest of farms has a thousandth of that."""


def ask(host: str, port: int, timeout_s: float) -> str:
    """What it says to `listcs` and `listjobs`, greeting and all. Raises OSError, TimeoutError among them.

    `port` is the scheduler's own. It takes up to half a minute until it looks for new connections, unless something
    else comes in: so it is asked by a datagram who it is, before and after.
    """
    deadline = time.monotonic() + timeout_s
    with socket.create_connection((host, port + 1), timeout_s) as wire:
        _wake(wire, port)
        wire.sendall(b"listcs\nlistjobs\nquit\n")
        _wake(wire, port)
        heard = bytearray()
        while len(heard) < MOST:
            wire.settimeout(max(0.01, deadline - time.monotonic()))
            data = wire.recv(65536)
            if not data:
                break
            heard += data
        return heard.decode(errors="replace")


def _wake(wire: socket.socket, port: int) -> None:
    where = (wire.getpeername()[0], port, *wire.getpeername()[2:])
    with socket.socket(wire.family, socket.SOCK_DGRAM) as datagram:
        datagram.sendto(WHO_SCHEDULES, where)
