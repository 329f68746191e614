# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A job as the controller asks for it, checked, and as the node will run it.

Text on the wire is UTF-8 with surrogate escapes, so every byte string of the controller's arrives as
it was. Nothing is split, expanded or joined on the way, but for `~` in the two directories.
"""

from __future__ import annotations

import os

from ansible_collections.toft.fleet.plugins.module_utils import jobs, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

    from ansible_collections.toft.fleet.plugins.module_utils.account import Account
    from ansible_collections.toft.fleet.plugins.module_utils.login import Login

SHOWN = 4096
LONGEST_BRIEF_S = 5.0
PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_")


class Order:
    """One checked job request. Raises Refused (`bad_request`, `bad_id`) for what is none."""

    def __init__(self, job: Dict[str, Any]) -> None:
        if not jobs.valid(job.get("id")):
            raise jobs.Refused("bad_id", "not a job id: %r" % (job.get("id"),))
        self.id: str = job["id"]
        self.argv: Optional[List[str]] = job.get("argv")
        self.shell: Optional[str] = job.get("shell")
        self.cwd: Optional[str] = job.get("cwd")
        self.workdir: Optional[str] = job.get("workdir")
        self.env: Dict[str, str] = job.get("env") or {}
        self.timeout: Optional[float] = job.get("timeout_s")
        self.stdin: str = job.get("stdin") or "none"
        self.tty: Optional[Dict[str, Any]] = job.get("tty")
        self.slots: Optional[int] = job.get("slots")
        self.awaited = job.get("awaited") is True
        self.brief: float = job.get("brief_s") or 0
        wrong = self._wrong()
        if wrong:
            raise jobs.Refused("bad_request", wrong)

    def _wrong(self) -> str:
        if (self.argv is None) == (self.shell is None):
            return "a job has either argv or shell"
        if self.argv is not None and not (self.argv and isinstance(self.argv, list)):
            return "argv is a list of at least one word"
        words = [self.shell] if self.argv is None else list(self.argv)
        words += [word for word in (self.cwd, self.workdir) if word is not None]
        if not isinstance(self.env, dict) or not all(_name(name) for name in self.env):
            return "env is an object; its names have no = and are not empty"
        words += [*self.env, *self.env.values()]
        if not all(isinstance(word, str) and "\0" not in word for word in words):
            return "arguments, directories and variables are text without NUL"
        if self.timeout is not None and not (isinstance(self.timeout, (int, float)) and self.timeout > 0):
            return "timeout_s is a number above 0"
        if self.stdin not in ("none", "pipe"):
            return "stdin is none or pipe"
        if self.tty is not None and not _window(self.tty):
            return "tty is null, or an object with a term and whole numbers of rows and cols"
        if not (isinstance(self.brief, (int, float)) and 0 <= self.brief <= LONGEST_BRIEF_S):
            return "brief_s is a number of seconds, %g at most" % LONGEST_BRIEF_S
        number = isinstance(self.slots, int) and not isinstance(self.slots, bool)
        if self.slots is not None and not (number and self.slots > 0):
            return "slots is null, or a whole number above 0"
        return ""

    def directory(self, user: Account) -> str:
        """Where the command runs. Only a home that is not there gives way to /."""
        if self.workdir is None and self.cwd is None and not os.path.isdir(user.home or ""):
            return "/"
        base = os.path.join(user.home or "/", _expand(self.workdir or "", user))
        return os.path.normpath(base) if self.cwd is None else os.path.join(base, _expand(self.cwd, user))

    def command(self, user: Account, login: Login, umask: int) -> spawn.Command:
        env = dict(login.env)
        if self.tty:
            env[b"TERM"] = _bytes(self.tty.get("term") or "xterm")
        env.update({_bytes(name): _bytes(value) for name, value in self.env.items()})
        if self.argv is None:
            argv = spawn.shell_argv(_bytes(self.shell or ""), env.get(b"PATH"))
        else:
            argv = [_bytes(word) for word in self.argv]
        mask = umask if login.umask is None else login.umask
        return spawn.Command(argv, env, _bytes(self.directory(user)), mask, self.stdin == "pipe", self.tty)

    def accepted(self, user: Account, now: float, boot: str) -> Dict[str, Any]:
        """What is written down before anything starts; of the environment only the names."""
        return {
            "id": self.id,
            "command": self.shown()[:SHOWN],
            "cwd": self.directory(user),
            "env": sorted(self.env),
            "timeout_s": self.timeout,
            "stdin": self.stdin,
            "tty": self.tty is not None,
            "accepted_at": jobs.stamp(now),
            "boot_id": boot,
        }

    def shown(self) -> str:
        """The command as one line for people."""
        return self.shell if self.argv is None else " ".join(map(_quoted, self.argv))  # type: ignore[return-value]


def _name(name: object) -> bool:
    return isinstance(name, str) and name != "" and "=" not in name


def _window(tty: object) -> bool:
    if not isinstance(tty, dict):
        return False
    sizes = (tty.get("rows") or 0, tty.get("cols") or 0)
    return isinstance(tty.get("term") or "", str) and all(isinstance(size, int) for size in sizes)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _quoted(word: str) -> str:
    if word and PLAIN.issuperset(word):
        return word
    return "'" + word.replace("'", "'\"'\"'") + "'"


def _expand(path: str, user: Account) -> str:
    """`~` and `~name` at the start of a path."""
    if not path.startswith("~"):
        return path
    name, _slash, rest = path[1:].partition("/")
    if not name:
        return os.path.join(user.home or "/", rest)
    import pwd

    try:
        return os.path.join(pwd.getpwnam(name).pw_dir, rest)
    except KeyError:
        return path
