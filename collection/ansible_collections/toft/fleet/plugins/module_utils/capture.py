# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asking a login shell for its environment.

It runs interactive first, since nvm and its like sit behind an rc file's "interactive only" line. In a
session of its own, without a terminal and without input, it runs a program that prints its environment
between two markers, so that a noisy rc file does not matter; and not longer than ten seconds.
"""

from __future__ import annotations

import os
import select
import sys
import time

from ansible_collections.toft.fleet.plugins.module_utils import environment, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Optional

    from ansible_collections.toft.fleet.plugins.module_utils.account import Account
    from ansible_collections.toft.fleet.plugins.module_utils.environment import Environment

LIMIT_S = 10.0
CSH = ("csh", "tcsh", "bsd-csh")

# What a session that ssh did not make passes on.
AMBIENT = (b"LANG", b"LANGUAGE", b"TZ", b"http_proxy", b"https_proxy", b"no_proxy", b"all_proxy")

# Printed by a Python, because no `env -0` is everywhere; from /proc, where it is untouched by Python, which
# sets LC_CTYPE to one of three values when it finds the C locale.
COERCED = ("C.UTF-8", "C.utf8", "UTF-8")
DUMP = (
    "import os,sys;m=sys.argv[1].encode();e=os.umask(0);p=sys.argv[2];"
    "d=open(p,sys.argv[3]).read()if os.path.exists(p)else "
    "bytes(1).join(k+bytes([61])+v for k,v in os.environb.items());"
    "sys.stdout.buffer.write(m+oct(e)[2:].encode()+bytes(1)+d+m)"
)


def ask(user: Account, current: Mapping[bytes, bytes], umask: int) -> Dict[str, Any]:
    """{env, umask, why}: why is None, or what went wrong with the last attempt. `umask` is the session's own."""
    why = "no login shell"
    if not os.access(user.shell, os.X_OK) or os.path.basename(user.shell) in ("nologin", "false"):
        return {"env": {}, "umask": None, "why": why}
    deadline = time.monotonic() + LIMIT_S
    for argv in shell_forms(user.shell):
        marker = b"toft-%s-" % os.urandom(8).hex().encode()
        said = _run(user, argv, _base(user, current), umask, marker, deadline)
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
        env[b"PATH"] = environment.PLAIN_PATH
    for name in environment.DROPPED + environment.SESSION:
        env.pop(name, None)
    environment.identify(env, user)
    env[b"TERM"] = b"dumb"
    return env


def _run(user: Account, argv: List[str], env: Environment, umask: int, marker: bytes, deadline: float) -> bytes:
    """What the shell prints up to the second marker, or up to its end or the deadline."""
    words = [sys.executable, "-I", "-S", "-c", DUMP, marker.decode(), "/proc/self/environ", "rb"]
    if any(set(word) & set("'\\!\n") for word in words):
        return b""
    command = " ".join("'%s'" % word for word in words)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become_shell(user, [*argv, command], env, umask, writer)
    os.close(writer)
    said = _until(reader, marker, deadline)
    os.close(reader)
    _end(pid, finished=said.count(marker) >= 2)
    return said


def _become_shell(user: Account, argv: List[str], env: Environment, umask: int, stdout: int) -> None:
    try:
        os.umask(umask)
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
    for _look in range(100 if finished else 0):
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
