# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where mirrors are on a node, and who uses them.

A tree's mirror is a directory with a stable path, `<workdir>/.toft/mirror/<tree>-<hash>`: builds keep
absolute paths, and what commands build in it stays there. It is brought up to date in place, but never
under a running job: then the next slot takes the tree, `<tree>-<hash>.2` and so on. Jobs that want the
very same content share a slot. What we keep about a mirror stands beside it:

    .<tree>-<hash>/lock        flock'ed while a slot is chosen and switched
    .<tree>-<hash>/visit       flock'ed by all who are at it, together; by who removes the mirror, alone
    .<tree>-<hash>/about       whose tree it is; its time is when the mirror was used last
    .<tree>-<hash>/stage/      content that has arrived; survives a broken connection
    .<tree>-<hash>/<n>/state   what slot n holds, and by which stat data that is seen
    .<tree>-<hash>/<n>/next    what it is being switched to (then `state` is called `before`)
    .<tree>-<hash>/<n>/leases/ one file a job: its name is the job's id, its content the manifest's digest

A lease counts for RESERVED_S after it was given or taken up, and then for as long as its job's supervisor
lives. So between a sync and the start of its job nobody else can switch the slot.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time

from ansible_collections.toft.fleet.plugins.module_utils import frames, jobs, manifest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

    from ansible_collections.toft.fleet.plugins.module_utils.account import Account

RESERVED_S = 120.0
KEPT_S = 86400.0
MOST_SLOTS = 32
NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
STATE, NEXT, BEFORE, INDEXES = "state", "next", "before", "indexes"
VISIT, ABOUT = "visit", "about"


class Slot:
    """One copy of the tree. `root` is where commands run, `own` what we keep about it."""

    def __init__(self, root: str, own: str, number: int) -> None:
        self.root = root
        self.own = own
        self.number = number

    def file(self, name: str) -> str:
        return os.path.join(self.own, name)

    @property
    def there(self) -> bool:
        return os.path.isdir(self.own)

    def state(self) -> Optional[Dict[str, Any]]:
        """`{digest, entries, seen, boot}`, or None when a switch was cut off, or never was one."""
        return _read(self.file(STATE))

    def indexes(self) -> Dict[str, List[int]]:
        """The stat data of git's indexes since git has filled them in."""
        return _read(self.file(INDEXES)) or {}

    def leftovers(self) -> manifest.Entries:
        """Everything that may have come from us when a switch was cut off in the middle."""
        found: manifest.Entries = {}
        for name in (BEFORE, NEXT):
            found.update((_read(self.file(name)) or {}).get("entries") or {})
        return found

    def lease(self, job_id: str) -> str:
        return os.path.join(self.own, "leases", job_id)

    def give(self, job_id: str, digest: str) -> None:
        os.makedirs(self.file("leases"), 0o700, exist_ok=True)
        write(self.lease(job_id), digest.encode())

    def busy(self, kept: jobs.Jobs, mine: Optional[str]) -> bool:
        """Whether a job runs here, or is about to."""
        return any(job_id != mine and _held(kept, job_id, path) for job_id, path in self._leases())

    def forget_leases(self, mine: Optional[str]) -> None:
        for job_id, path in self._leases():
            if job_id != mine:
                os.unlink(path)

    def idle_s(self) -> float:
        try:
            return time.time() - os.stat(self.file("leases")).st_mtime
        except FileNotFoundError:
            return KEPT_S

    def _leases(self) -> List[Any]:
        folder = self.file("leases")
        try:
            return [(name, os.path.join(folder, name)) for name in os.listdir(folder) if jobs.valid(name)]
        except FileNotFoundError:
            return []


def _held(kept: jobs.Jobs, job_id: str, lease: str) -> bool:
    job = kept.job(job_id)
    if job.alive():
        return True
    if os.path.isdir(job.path):
        return False
    try:
        return abs(time.time() - os.stat(lease).st_mtime) < RESERVED_S
    except FileNotFoundError:
        return False


class Place:
    """The slots of one tree on this node."""

    def __init__(self, base: str, name: str) -> None:
        if not plain(name):
            raise jobs.Refused("bad_request", "not a mirror's name: %r" % (name,))
        self.base = base
        self.own = os.path.join(base, "." + name)
        self.name = name
        self._lock = -1
        self._visit = -1

    @property
    def stage(self) -> str:
        return os.path.join(self.own, "stage")

    def slot(self, number: int) -> Slot:
        root = os.path.join(self.base, self.name if number == 1 else "%s.%d" % (self.name, number))
        return Slot(root, os.path.join(self.own, str(number)), number)

    def slots(self) -> List[Slot]:
        """Those that exist."""
        return [slot for slot in map(self.slot, range(1, MOST_SLOTS + 1)) if slot.there]

    # Who is at it.

    def visit(self) -> None:
        """Make the mirror if there is none; until `leave` (or our end) nobody can remove it."""
        while True:
            self.prepare()
            try:
                if self._enter(fcntl.LOCK_SH):
                    return
            except FileNotFoundError:
                continue  # it was removed in this moment

    def stay(self) -> bool:
        """The same without making it; False when there is none."""
        try:
            return self._enter(fcntl.LOCK_SH)
        except FileNotFoundError:
            return False

    def alone(self) -> bool:
        """Whether nobody else is at it, and nobody can be until `leave`."""
        try:
            return self._enter(fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (FileNotFoundError, BlockingIOError):
            return False

    def leave(self) -> None:
        if self._visit >= 0:
            os.close(self._visit)
        self._visit = -1

    def _enter(self, how: int) -> bool:
        """False if what we have locked is not there any more."""
        path = os.path.join(self.own, VISIT)
        self._visit = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._visit, how)
            if os.path.samestat(os.fstat(self._visit), os.stat(path)):
                return True
        except OSError:
            self.leave()
            raise
        self.leave()
        return False

    # Since when nobody needs it.

    def used(self, about: Optional[Dict[str, Any]] = None) -> None:
        """Note that it is used now, and whose it is if that is known."""
        path = os.path.join(self.own, ABOUT)
        if about is not None:
            write(path, frames.dumps(about))
        elif os.path.exists(path):
            os.utime(path)

    def about(self) -> Dict[str, Any]:
        """`{machine, root, days}`; empty for a mirror that nobody has described."""
        return _read(os.path.join(self.own, ABOUT)) or {}

    def used_at(self) -> float:
        """Seconds since the epoch."""
        for name in (ABOUT, "lock"):
            try:
                return os.stat(os.path.join(self.own, name)).st_mtime
            except FileNotFoundError:
                continue
        return os.stat(self.own).st_mtime

    def prepare(self) -> None:
        """Private all the way, for a tree may hold secrets. The work directory must be there already."""
        for folder in (os.path.dirname(self.base), self.base, self.own, self.stage):
            try:
                os.mkdir(folder, 0o700)
            except FileExistsError:
                found = os.lstat(folder)
                if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                    why = "%s is not this user's own directory: set toft_workdir" % folder
                    raise jobs.Refused("unsafe_state", why) from None

    def __enter__(self) -> Place:
        self._lock = os.open(os.path.join(self.own, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_raised: object) -> None:
        os.close(self._lock)
        self._lock = -1

    def hold(self, number: int, job_id: str, digest: str) -> None:
        """Take up the lease that a sync gave. Raises Refused when the slot was switched since."""
        lease = self.slot(number).lease(job_id)
        try:
            with self, open(lease, "rb") as file:
                if self.stay() and file.read() == digest.encode():
                    os.utime(lease)
                    self.used()
                    return
        except FileNotFoundError:
            pass
        finally:
            self.leave()
        raise jobs.Refused("mirror_changed", "the mirror was given to another command meanwhile: try again")


def plain(name: str) -> bool:
    """Whether a mirror may have that name."""
    return bool(name) and name[0] not in ".-" and NAME_CHARACTERS.issuperset(name) and len(name) <= 100


def place(user: Account, workdir: object, name: object) -> Place:
    return Place(base(user, workdir), str(name))


def base(user: Account, workdir: object) -> str:
    """The directory of all mirrors. `workdir` as in the inventory: absolute, relative to the home, or with `~`;
    None is the home.
    """
    given = str(workdir or "")
    if given == "~" or given.startswith("~/"):
        given = given[2:]
    if not user.home and not os.path.isabs(given):
        raise jobs.Refused("no_home", "there is no home for a mirror: set toft_workdir")
    folder = os.path.join(user.home or "/", os.path.expanduser(given))
    return os.path.join(os.path.normpath(folder), ".toft", "mirror")


def write(path: str, data: bytes) -> None:
    """Whole or not at all."""
    draft = path + ".new"
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        jobs.write_all(fd, data)
    finally:
        os.close(fd)
    os.rename(draft, path)


def _read(path: str) -> Optional[Dict[str, Any]]:
    try:
        with open(path, "rb") as file:
            value = frames.loads(file.read())
    except (FileNotFoundError, ValueError):
        return None
    return value if isinstance(value, dict) else None
