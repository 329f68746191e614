"""What a client meets at a host's door, told from a plain socket."""

from __future__ import annotations

import socket
import time

PATIENCE = 10.0
"""Seconds for a word that is to come, however busy the machine is."""
SILENCE = 0.5
"""Seconds after which nothing is expected to come any more: for a host that is to be mute or silent."""


def knock(address: str, port: int = 22, patience: float = PATIENCE) -> str:
    """What a client meets that connects: a banner, refused, reset, mute (connected, but no word), silent."""
    try:
        with socket.create_connection((address, port), patience) as connection:
            return first_words(connection, patience)
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "silent"


def first_words(connection: socket.socket, patience: float = PATIENCE) -> str:
    connection.settimeout(patience)
    try:
        return "banner" if connection.recv(64).startswith(b"SSH-2.0") else "closed"
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "mute"


def connect_time(address: str) -> float:
    """Seconds: one round trip."""
    began = time.monotonic()
    socket.create_connection((address, 22), 5).close()
    return time.monotonic() - began
