# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The environment that the user has after logging in, which is what a job gets.

The login shell is asked once (see `capture`); what it says is kept (0600) for a day or until a start-up
file changes. A shell that fails or hangs costs its time limit once, and is not asked again for ten
minutes; until then a job gets the session's own environment, and its client is told so.
"""

from __future__ import annotations

import fcntl
import os
import time

from ansible_collections.toft.fleet.plugins.module_utils import environment, frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Optional

    from ansible_collections.toft.fleet.plugins.module_utils.account import Account
    from ansible_collections.toft.fleet.plugins.module_utils.environment import Environment

FORMAT = 2
KEPT_S, KEPT_FAILURE_S = 24 * 3600.0, 600.0

EXTRA_PATH = (b"/opt/homebrew/bin", b"/usr/local/bin")

STARTUP_FILES = (
    "/etc/profile",
    "/etc/profile.d",
    "/etc/bash.bashrc",
    "/etc/bashrc",
    "/etc/environment",
    "/etc/zshenv",
    "/etc/zprofile",
    "/etc/zshrc",
    "/etc/zsh/zshenv",
    "/etc/zsh/zprofile",
    "/etc/zsh/zshrc",
    "/etc/csh.cshrc",
    "/etc/csh.login",
    "/etc/fish/config.fish",
    "/etc/fish/conf.d",
    "/etc/paths",
    "/etc/paths.d",
    "~/.profile",
    "~/.bash_profile",
    "~/.bash_login",
    "~/.bashrc",
    "~/.zshenv",
    "~/.zprofile",
    "~/.zshrc",
    "~/.zlogin",
    "~/.config/fish/config.fish",
    "~/.config/fish/conf.d",
    "~/.config/fish/fish_variables",
    "~/.cshrc",
    "~/.tcshrc",
    "~/.login",
    "~/.kshrc",
)


class Login:
    """What a login gives a command, and whence we know: `captured`, `cached` or `fallback: why`."""

    def __init__(self, env: Environment, umask: Optional[int], note: str) -> None:
        self.env = env
        self.umask = umask
        self.note = note


def login(user: Account, current: Mapping[bytes, bytes], state: str, umask: int = 0o022) -> Login:
    """The user's login, from the file in the directory `state` if it is still good.

    `umask` is the session's, from which the login shell starts: ours keeps everybody out of our files.
    """
    key = _key(user)
    path = os.path.join(state, "login.json")
    kept = _kept(path, key)
    if kept is None:
        with _Alone(os.path.join(state, "login.lock")):
            kept = _kept(path, key)
            if kept is None:
                from ansible_collections.toft.fleet.plugins.module_utils import capture

                fresh = dict(capture.ask(user, current, umask), key=key, taken_at=time.time())
                _keep(path, fresh)
                return _merged(user, current, fresh, "captured")
    return _merged(user, current, kept, "cached")


def _merged(user: Account, current: Mapping[bytes, bytes], kept: Dict[str, Any], source: str) -> Login:
    why = kept["why"]
    if why is None:
        env = {_bytes(name): _bytes(value) for name, value in kept["env"].items()}
    else:
        env = _fallback(current)
    env.update({name: current[name] for name in environment.SESSION if name in current})
    for name in environment.DROPPED:
        env.pop(name, None)
    environment.identify(env, user)
    return Login(env, kept["umask"], source if why is None else "fallback: %s" % why)


def _fallback(current: Mapping[bytes, bytes]) -> Environment:
    env = dict(current)
    known = env.get(b"PATH") or environment.PLAIN_PATH
    more = [path for path in EXTRA_PATH if path not in known.split(b":")]
    env[b"PATH"] = b":".join([known, *more])
    return env


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


# The file.


def _key(user: Account) -> List[Any]:
    """Everything the capture depends on that can be looked at."""
    home = user.home or "/nonexistent"
    return [FORMAT, user.shell, home, [_trace(name.replace("~", home, 1)) for name in STARTUP_FILES]]


def _trace(path: str) -> List[int]:
    try:
        found = os.stat(path)
    except OSError:
        return []
    return [found.st_mtime_ns, found.st_size]


def _kept(path: str, key: List[Any]) -> Optional[Dict[str, Any]]:
    try:
        with open(path, "rb") as file:
            kept = frames.loads(file.read())
        limit = KEPT_S if kept["why"] is None else KEPT_FAILURE_S
        good = kept["key"] == key and 0 <= time.time() - kept["taken_at"] < limit
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return kept if good else None


def _keep(path: str, fresh: Dict[str, Any]) -> None:
    """Best effort: a disk that cannot keep it costs the next job another capture."""
    try:
        fd = os.open(path + ".tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "wb") as file:
            file.write(frames.dumps(fresh))
        os.rename(path + ".tmp", path)
    except OSError:
        return


class _Alone:
    """One capture at a time; the others wait for it and use it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> None:
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        except OSError:
            return

    def __exit__(self, *_error: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
