# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who the jobs run as, and where toft keeps its state for that user."""

from __future__ import annotations

import os
import pwd
import stat

from ansible_collections.toft.fleet.plugins.module_utils import jobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Mapping, Optional


SHARED = "/var/tmp/toft-%d"


class Account:
    """Who the jobs run as."""

    def __init__(self, name: str, home: Optional[str], shell: str) -> None:
        self.name = name
        self.home = home
        self.shell = shell


def account(env: Mapping[bytes, bytes]) -> Account:
    """The effective user. HOME counts, unless it is somebody else's (sudo without -H)."""
    uid = os.geteuid()
    try:
        entry = pwd.getpwuid(uid)
        name, listed, shell = entry.pw_name, entry.pw_dir, entry.pw_shell
    except KeyError:
        name, listed, shell = str(uid), "", ""
    home = os.fsdecode(env.get(b"HOME", b""))
    if not _own_directory(home, uid) and home != listed:
        home = listed
    return Account(name, home or None, shell or "/bin/sh")


def _own_directory(path: str, uid: int) -> bool:
    try:
        return os.path.isabs(path) and os.stat(path).st_uid == uid
    except OSError:
        return False


def state_directory(user: Account, env: Mapping[bytes, bytes]) -> str:
    """Where toft keeps what it knows on this node, for this user.

    The choice must come out the same each time, whatever is full or broken just now: a job that is
    looked for elsewhere would count as never seen.
    """
    given = os.fsdecode(env.get(b"XDG_STATE_HOME", b""))
    if os.path.isabs(given):
        return os.path.join(given, "toft")
    kept = os.path.join(user.home or "/nonexistent", ".local", "state", "toft")
    if os.path.isdir(kept) or (user.home and _usable(user.home)):
        return kept
    return _shared_directory(SHARED % os.geteuid())


def _usable(home: str) -> bool:
    """Whether a directory of ours can be there: it is writable, or only its disk's state forbids it now."""
    if not os.path.isdir(home):
        return False
    return os.access(home, os.W_OK | os.X_OK) or bool(os.statvfs(home).f_flag & os.ST_RDONLY)


def _shared_directory(path: str) -> str:
    """A directory among everybody's: it must be ours alone. Raises Refused when somebody else made it."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise jobs.Refused("unsafe_state", "%s is not this user's own" % path) from None
    return path
