# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The control sockets of ssh masters: the private directory, a socket's name there, and the lock beside it.

The name is a hash of everything that decides where a connection goes and how.

A `deadline` is a value of time.monotonic().
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.toft.fleet.plugins.plugin_utils import private_directory
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause, cause
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

NAME = re.compile(r"m-[0-9a-f]{16}\Z")
SUFFIX = 17
"""ssh binds the socket under its name, a dot and 16 letters first, and then links it."""


def socket_path(transport: Transport) -> Path | Cause:
    """Where this node's control socket is or would be."""
    where = directory()
    if isinstance(where, str):
        return cause("no_control_socket", transport, detail=where)
    return where / f"m-{_fingerprint(transport)}"


def directory() -> Path | str:
    """The private directory of the sockets, made if need be, or why there is none.

    A place that cannot be used is passed over; a place that someone else has prepared is refused.
    """
    try:
        found = private_directory.find(os.environ, os.getuid(), len("m-") + 16 + SUFFIX)
    except private_directory.NotOurs as error:
        return f"{error} is not ours alone"
    return Path(found) if found else "no directory is fit for sockets"


def _fingerprint(transport: Transport) -> str:
    """What decides where a connection goes: the destination, the options, and the configuration they refer
    to.
    """
    config = config_file(transport.options)
    try:
        found = config.stat()
        version = [str(config), found.st_mtime_ns, found.st_size]
    except OSError:
        version = [str(config)]
    facts = [transport.destination, transport.options, working_directory(transport), version]
    return hashlib.sha256(json.dumps(facts).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def config_file(options: tuple[str, ...]) -> Path:
    for i, word in enumerate(options):
        if word == "-F" and i + 1 < len(options):
            return Path(options[i + 1])
        if word.startswith("-F"):
            return Path(word[2:])
    return Path(os.path.expanduser("~/.ssh/config"))


def working_directory(transport: Transport) -> str:
    """The root, so that a master holds no directory busy; the present one if an option's file is relative
    to it.
    """
    options = transport.options
    files = [options[i + 1] for i, word in enumerate(options[:-1]) if word in ("-F", "-i")]
    return os.getcwd() if any(file[:1] not in ("/", "~") for file in files) else "/"


def seen(path: Path) -> int | None:
    """Which socket is there now, as a number for `drop`; None if there is none."""
    try:
        return path.lstat().st_ino
    except OSError:
        return None


@contextlib.contextmanager
def lock(path: Path, deadline: float) -> Iterator[bool]:
    """Holds the lock beside a socket; False if others held it until the deadline."""
    beside = Path(f"{path}.lock")
    fd = -1
    try:
        while fd < 0 and time.monotonic() < deadline:
            fd = _try_lock(beside)
            if fd < 0:
                time.sleep(0.02)
        yield fd >= 0
    finally:
        if fd >= 0:
            os.close(fd)


def _try_lock(file: Path) -> int:
    """A descriptor that holds the lock, or -1."""
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Somebody may have removed the file between our opening and locking it.
        if os.fstat(fd).st_ino == seen(file):
            return fd
    except BlockingIOError:
        pass
    os.close(fd)
    return -1


def remove_lock(file: Path) -> None:
    fd = _try_lock(file)
    if fd >= 0:
        file.unlink(missing_ok=True)
        os.close(fd)
