# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A directory of this user alone for sockets: short enough for them, and nobody else's.

Every start of a command asks for it, so nothing is imported here that Python has not loaded by itself.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SUN_PATH = 103
"""The shortest limit for a socket's path (macOS)."""
PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-")
"""ssh expands % and ${} in a control path."""


class NotOurs(Exception):
    """Somebody else has prepared the place: it is refused, not passed over."""


def find(environ: Mapping[str, str], uid: int, room: int = 20) -> str | None:
    """The directory, made if need be; None if no place is fit. `room` is how long a name in it may be.

    A place that cannot be used is passed over. Raises NotOurs.
    """
    for parent, name in _places(environ, uid):
        path = f"{parent.rstrip('/')}/{name}"
        if len(os.fsencode(path)) + 1 + room > SUN_PATH or not PLAIN.issuperset(path):
            continue
        try:
            if not os.path.isdir(path):
                _made(path)  # or another has, just now
            if _is_private(path, uid):
                return path
        except OSError:
            continue
        raise NotOurs(path)
    return None


def _places(environ: Mapping[str, str], uid: int) -> Iterator[tuple[str, str]]:
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        yield runtime, "toft"
    home = environ.get("HOME", "")
    cache = environ.get("XDG_CACHE_HOME", "") or (f"{home}/.cache" if home.startswith("/") else "")
    if cache.startswith("/"):
        _made(cache)
        yield cache, "toft-ssh"
    yield "/tmp", f"toft-{uid}"


def _made(directory: str) -> None:
    try:
        os.mkdir(directory, 0o700)
    except OSError:
        return


def _is_private(path: str, uid: int) -> bool:
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o022:
        return False
    if found.st_mode & 0o077:
        os.chmod(path, 0o700)
    return True
