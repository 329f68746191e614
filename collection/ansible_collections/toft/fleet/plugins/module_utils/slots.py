# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where mirrors are on a node, and who uses them.

A tree's mirror is a directory with a stable path, `<workdir>/.toft/mirror/<tree>-<hash>`: builds keep
absolute paths, and what commands build in it stays there. It is brought up to date in place, but never
under a running job: then the next slot takes the tree, `<tree>-<hash>.2` and so on. Jobs that want the
very same content share a slot. What we keep about a mirror stands beside it:

    .<tree>-<hash>/lock        flock'ed while a slot is chosen and switched
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
        if not name or name[0] in ".-" or not NAME_CHARACTERS.issuperset(name) or len(name) > 100:
            raise jobs.Refused("bad_request", "not a mirror's name: %r" % (name,))
        self.base = base
        self.own = os.path.join(base, "." + name)
        self._name = name
        self._lock = -1

    @property
    def stage(self) -> str:
        return os.path.join(self.own, "stage")

    def slot(self, number: int) -> Slot:
        root = os.path.join(self.base, self._name if number == 1 else "%s.%d" % (self._name, number))
        return Slot(root, os.path.join(self.own, str(number)), number)

    def slots(self) -> List[Slot]:
        """Those that exist."""
        return [slot for slot in map(self.slot, range(1, MOST_SLOTS + 1)) if slot.there]

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
                if file.read() == digest.encode():
                    os.utime(lease)
                    return
        except FileNotFoundError:
            pass
        raise jobs.Refused("mirror_changed", "the mirror was given to another command meanwhile: try again")


def place(user: Account, workdir: object, name: object) -> Place:
    """`workdir` as in the inventory: absolute, relative to the home, or with `~`; None is the home."""
    given = str(workdir or "")
    if given == "~" or given.startswith("~/"):
        given = given[2:]
    if not user.home and not os.path.isabs(given):
        raise jobs.Refused("no_home", "there is no home for a mirror: set toft_workdir")
    folder = os.path.join(user.home or "/", os.path.expanduser(given))
    return Place(os.path.join(os.path.normpath(folder), ".toft", "mirror"), str(name))


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
