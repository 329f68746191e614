"""The warm engine's state, asked of itself; and its end, when that is wished for."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from toft.warm import door


@dataclass(frozen=True)
class Warmth:
    """`path` is its socket, None where there can be none (then `why`); `told` what it says of itself, if it runs.

    told: pid, since (epoch seconds), served, running, modules, changed (a loaded file that is no longer what is
    installed, or ""), memory_bytes, idle_s.
    """

    path: str | None
    why: str = ""
    told: Mapping[str, Any] | None = None


def warmth(environment: Mapping[str, str]) -> Warmth:
    """Of the engine that a command with these surroundings would use."""
    return _ask(environment, "status")


def stop(environment: Mapping[str, str]) -> Warmth:
    """Ends it; commands that run in it go on to their end. One that is still getting ready is ended too."""
    found = _ask(environment, "stop")
    pid = _getting_ready(found.path) if found.path and not found.told else None
    if pid is None:
        return found
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    return Warmth(found.path, told={"pid": pid})


def _getting_ready(path: str) -> int | None:
    """The process that holds the engine's lock."""
    try:
        with open(door.lock(path), encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read())
    except (OSError, ValueError):
        return None
    return None


def _ask(environment: Mapping[str, str], what: str) -> Warmth:
    path = door.path(environment)
    if path is None:
        return Warmth(None, "no directory of ours alone is fit for sockets; set XDG_RUNTIME_DIR")
    sock = door.connect(path)
    if sock is None:
        return Warmth(path)
    try:
        door.send(sock, {"kind": what})
        told, _descriptors = door.receive(sock)
    except OSError:
        told = None
    finally:
        sock.close()
    return Warmth(path, told=told)
