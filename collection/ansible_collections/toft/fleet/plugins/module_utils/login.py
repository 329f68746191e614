# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The environment that the user has after logging in, which is what a job gets.

The login shell is run once, interactive as well, since nvm and its like sit behind an rc file's
"interactive only" line; between two markers it runs a program that prints its environment, so a noisy
rc file does not matter. The result is kept (0600) for a day or until a start-up file changes.
A shell that fails or hangs costs its time limit once, and is not asked again for ten minutes.
"""

from __future__ import annotations

import fcntl
import os
import select
import sys
import time

from ansible_collections.toft.fleet.plugins.module_utils import frames, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Optional

    from ansible_collections.toft.fleet.plugins.module_utils.account import Account

    Environment = Dict[bytes, bytes]

FORMAT = 1
LIMIT_S = 10.0
KEPT_S, KEPT_FAILURE_S = 24 * 3600.0, 600.0
CSH = ("csh", "tcsh", "bsd-csh")

# Belongs to one session, so today's value counts and not the one of the session that was captured.
SESSION = (
    b"SSH_AUTH_SOCK",
    b"XDG_SESSION_ID",
    b"XDG_SESSION_TYPE",
    b"XDG_SESSION_CLASS",
    b"XDG_RUNTIME_DIR",
    b"DBUS_SESSION_BUS_ADDRESS",
)
# Describes the shell or the connection, not the user.
DROPPED = (b"SHLVL", b"_", b"PWD", b"OLDPWD", b"TERM", b"SSH_CLIENT", b"SSH_CONNECTION", b"SSH_TTY")
DROPPED_TOO = (b"SSH_ORIGINAL_COMMAND", b"SUDO_COMMAND", b"SUDO_USER", b"SUDO_UID", b"SUDO_GID")
# What a session that ssh did not make passes on.
AMBIENT = (b"LANG", b"LANGUAGE", b"TZ", b"http_proxy", b"https_proxy", b"no_proxy", b"all_proxy")

PLAIN_PATH = b"/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
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

# Printed by a Python, because no `env -0` is everywhere; from /proc, where it is untouched by Python, which
# sets LC_CTYPE to one of three values when it finds the C locale.
COERCED = ("C.UTF-8", "C.utf8", "UTF-8")
DUMP = (
    "import os,sys;m=sys.argv[1].encode();e=os.umask(0);p=sys.argv[2];"
    "d=open(p,sys.argv[3]).read()if os.path.exists(p)else "
    "bytes(1).join(k+bytes([61])+v for k,v in os.environb.items());"
    "sys.stdout.buffer.write(m+oct(e)[2:].encode()+bytes(1)+d+m)"
)


class Login:
    """What a login gives a command, and whence we know: `captured`, `cached` or `fallback: why`."""

    def __init__(self, env: Environment, umask: Optional[int], note: str) -> None:
        self.env = env
        self.umask = umask
        self.note = note


def login(user: Account, current: Mapping[bytes, bytes], state: str) -> Login:
    """The user's login, from the file in the directory `state` if it is still good."""
    key = _key(user)
    path = os.path.join(state, "login.json")
    kept = _kept(path, key)
    if kept is None:
        with _Alone(os.path.join(state, "login.lock")):
            kept = _kept(path, key)
            if kept is None:
                fresh = dict(_ask(user, current), key=key, taken_at=time.time())
                _keep(path, fresh)
                return _merged(user, current, fresh, "captured")
    return _merged(user, current, kept, "cached")


def _merged(user: Account, current: Mapping[bytes, bytes], kept: Dict[str, Any], source: str) -> Login:
    why = kept["why"]
    if why is None:
        env = {_bytes(name): _bytes(value) for name, value in kept["env"].items()}
    else:
        env = _fallback(current)
    env.update({name: current[name] for name in SESSION if name in current})
    for name in DROPPED + DROPPED_TOO:
        env.pop(name, None)
    _identify(env, user)
    return Login(env, kept["umask"], source if why is None else "fallback: %s" % why)


def _identify(env: Environment, user: Account) -> None:
    for name, value in ((b"USER", user.name), (b"LOGNAME", user.name), (b"SHELL", user.shell)):
        env.setdefault(name, _bytes(value))
    if user.home:
        env[b"HOME"] = os.fsencode(user.home)
    else:
        env.pop(b"HOME", None)


def _fallback(current: Mapping[bytes, bytes]) -> Environment:
    env = dict(current)
    known = env.get(b"PATH") or PLAIN_PATH
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


# The shell.


def _ask(user: Account, current: Mapping[bytes, bytes]) -> Dict[str, Any]:
    """{env, umask, why}: why is None, or what went wrong with the last attempt."""
    why = "no login shell"
    if not os.access(user.shell, os.X_OK) or os.path.basename(user.shell) in ("nologin", "false"):
        return {"env": {}, "umask": None, "why": why}
    deadline = time.monotonic() + LIMIT_S
    for argv in shell_forms(user.shell):
        marker = b"toft-%s-" % os.urandom(8).hex().encode()
        said = _run(user, argv, _base(user, current), marker, deadline)
        found = parse(said, marker)
        if found is not None:
            return dict(found, why=None)
        if time.monotonic() >= deadline:
            why = "%s took longer than %g s" % (user.shell, LIMIT_S)
            break
        why = "%s gave no environment" % user.shell
    return {"env": {}, "umask": None, "why": why}


def shell_forms(shell: str) -> List[List[str]]:
    """The argv (but for its last word, the command) of a login of that shell, the fuller one first."""
    name = os.path.basename(shell)
    if name in CSH:
        # -l must stand alone there; a name that begins with a dash means the same.
        return [["-" + name, "-c"]]
    return [[name, "-i", "-l", "-c"], [name, "-l", "-c"]]


def _base(user: Account, current: Mapping[bytes, bytes]) -> Environment:
    """What the login shell starts from: what sshd gave us, or little where a program of the user's did."""
    if b"SSH_CONNECTION" in current:
        env = dict(current)
    else:
        env = {name: current[name] for name in AMBIENT if name in current}
        env.update({name: value for name, value in current.items() if name.startswith(b"LC_")})
        env[b"PATH"] = PLAIN_PATH
    for name in DROPPED + DROPPED_TOO + SESSION:
        env.pop(name, None)
    _identify(env, user)
    env[b"TERM"] = b"dumb"
    return env


def _run(user: Account, argv: List[str], env: Environment, marker: bytes, deadline: float) -> bytes:
    """What the shell prints up to the second marker, or up to its end or the deadline."""
    words = [sys.executable, "-I", "-S", "-c", DUMP, marker.decode(), "/proc/self/environ", "rb"]
    if any(set(word) & set("'\\!\n") for word in words):
        return b""
    command = " ".join("'%s'" % word for word in words)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become_shell(user, [*argv, command], env, writer)
    os.close(writer)
    said = _until(reader, marker, deadline)
    os.close(reader)
    _end(pid, finished=said.count(marker) >= 2)
    return said


def _become_shell(user: Account, argv: List[str], env: Environment, stdout: int) -> None:
    try:
        os.setsid()
        processes.reset_signals()
        null = os.open(os.devnull, os.O_RDWR)
        for target, fd in enumerate((null, stdout, null)):
            os.dup2(fd, target)
        os.chdir(user.home if user.home and os.path.isdir(user.home) else "/")
        os.execve(user.shell, argv, env)
    finally:
        os._exit(127)


def _until(reader: int, marker: bytes, deadline: float) -> bytes:
    said = b""
    while said.count(marker) < 2:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            break
        data = os.read(reader, 1 << 16)
        if not data:
            break
        said += data
    return said


def _end(pid: int, finished: bool) -> None:
    """Let a shell that has answered leave by itself, with whatever it started for the user; kill another."""
    for _ in range(100 if finished else 0):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.01)
    try:
        os.killpg(pid, 9)
    except ProcessLookupError:
        os.kill(pid, 9)  # so early that it has no group of its own yet
    os.waitpid(pid, 0)


def parse(said: bytes, marker: bytes) -> Optional[Dict[str, Any]]:
    """{env, umask} out of what a shell printed."""
    parts = said.split(marker)
    if len(parts) < 3:
        return None
    mask, _nul, listed = parts[1].partition(b"\0")
    pairs = [entry.partition(b"=") for entry in listed.split(b"\0") if b"=" in entry]
    env = {_text(name): _text(value) for name, _equals, value in pairs if name}
    if not sys.platform.startswith("linux") and env.get("LC_CTYPE") in COERCED:
        del env["LC_CTYPE"]
    return {"env": env, "umask": int(mask, 8)} if env else None


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
