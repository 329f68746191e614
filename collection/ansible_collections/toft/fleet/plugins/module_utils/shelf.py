# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The mirrors that stand beside each other on a node, and which of them may go.

Trees are deleted, renamed and moved where they come from, and nobody tells the node. So each mirror knows where
its tree is from, when it was used last (synced, run in, or pulled from) and how long it is to be kept unused;
after a sync, once a day, those whose time is over are removed, and of the trees of one machine those used longest
ago if they are more than that machine wants kept. What was used within a day always stays.

A mirror is in use while a client visits it, a job runs in it or is about to; whoever looks holds a lock that says
so (see slots). What goes is renamed first, so half a mirror is never taken for one.
"""

from __future__ import annotations

import os
import time

from ansible_collections.toft.fleet.plugins.module_utils import frames, jobs, slots
from ansible_collections.toft.fleet.plugins.module_utils.stage import remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Tuple

DAY_S = 86400.0
PULSE_S = 2.0
LEAVING_S = 1.0
"""A visit lasts a moment longer than its client."""
GONE = ".#gone-"
"""No mirror's name begins so: # is in none."""
SWEPT = ".#swept"


def serve(channel: frames.Channel, request: Dict[str, Any], base: str, kept: jobs.Jobs) -> None:
    """Remove the mirrors that are named, or tell of all."""
    here = Shelf(base, kept)
    answer: Dict[str, Any] = {"ok": True, "removed": [], "refused": {}}
    for name in request.get("forget") or ():
        try:
            here.forget(str(name))
            answer["removed"].append(name)
        except jobs.Refused as why:
            answer["refused"][name] = {"code": why.code, "message": why.message}
    if not request.get("forget"):
        answer["mirrors"] = here.described(lambda: _pulse(channel))
    channel.send(frames.message(frames.ANSWER, answer))


def _pulse(channel: frames.Channel) -> None:
    if time.monotonic() - channel.sent_at > PULSE_S:
        channel.send(frames.frame(frames.HEARTBEAT))


def tidy(base: str, kept: jobs.Jobs, about: Dict[str, Any], keep: Dict[str, Any]) -> None:
    """Sweep once a day, in a process of its own: nobody waits for it, and nobody shall feel it."""
    here = Shelf(base, kept)
    if not (keep.get("most") or keep.get("days")) or not here.due(time.time()):
        return
    child = os.fork()
    if child:
        os.setpgid(child, child)  # what ends the visit does not end the sweep
        return
    try:
        os.closerange(0, 256)  # a lock of ours must not outlive the visit, nor a client wait for us
        os.nice(10)
        here.sweep(str(about.get("machine") or ""), int(keep["most"]), float(keep["days"]), time.time())
    finally:
        os._exit(0)


class Shelf:
    """All mirrors below `base`."""

    def __init__(self, base: str, kept: jobs.Jobs) -> None:
        self._base = base
        self._kept = kept

    def places(self) -> List[slots.Place]:
        try:
            names = sorted(os.listdir(self._base))
        except FileNotFoundError:
            return []
        owns = [name[1:] for name in names if name[:1] == "." and slots.plain(name[1:])]
        found = [slots.Place(self._base, name) for name in owns]
        return [place for place in found if os.path.isdir(place.own)]

    def described(self, pulse: Callable[[], None]) -> List[Dict[str, Any]]:
        """What a person is told of each. `pulse` is called now and then, because counting takes long."""
        return [self._described(place, pulse) for place in self.places()]

    def _described(self, place: slots.Place, pulse: Callable[[], None]) -> Dict[str, Any]:
        found = place.slots()
        told = place.about()
        return {
            "name": place.name,
            "path": place.slot(1).root,
            "machine": told.get("machine"),
            "root": told.get("root"),
            "used_at": jobs.stamp(place.used_at()),
            "slots": len(found),
            "busy": any(slot.busy(self._kept, None) for slot in found),
            "bytes": sum(_size(slot.root, pulse) for slot in found),
        }

    def forget(self, name: str) -> None:
        """Remove a mirror now. Raises Refused while it is in use, or when there is none."""
        place = slots.Place(self._base, name)
        if not os.path.isdir(place.own):
            raise jobs.Refused("no_mirror", "there is no mirror %s here" % name)
        deadline = time.monotonic() + LEAVING_S
        while not self._remove(place):
            if time.monotonic() > deadline:
                raise jobs.Refused("mirror_busy", "the mirror %s is in use" % name)
            time.sleep(0.05)
        self._clear()

    def due(self, now: float) -> bool:
        """Whether nobody has swept today."""
        try:
            return not 0 <= now - os.stat(os.path.join(self._base, SWEPT)).st_mtime < DAY_S
        except FileNotFoundError:
            return True

    def sweep(self, machine: str, most: int, days: float, now: float) -> List[str]:
        """Remove those whose time is over. Their names.

        `days` is for mirrors that do not say how long they are to be kept; 0 is for ever, and a `most` of 0 is all.
        """
        os.close(os.open(os.path.join(self._base, SWEPT), os.O_WRONLY | os.O_CREAT, 0o600))
        os.utime(os.path.join(self._base, SWEPT), (now, now))
        ages = [(now - place.used_at(), place) for place in self.places()]
        going = overdue([(age, place.name, place.about()) for age, place in ages], machine, most, days)
        removed = [place.name for _age, place in ages if place.name in going and self._remove(place)]
        self._clear()
        return removed

    def _remove(self, place: slots.Place) -> bool:
        """Out of sight at once; False if it is in use."""
        if not place.alone():
            return False
        try:
            found = place.slots()
            if any(slot.busy(self._kept, None) for slot in found):
                return False
            for folder in [slot.root for slot in found] + [place.own]:
                if os.path.lexists(folder):
                    os.rename(folder, os.path.join(self._base, GONE + os.urandom(8).hex()))
            return True
        finally:
            place.leave()

    def _clear(self) -> None:
        for name in os.listdir(self._base):
            if name.startswith(GONE):
                _delete(os.path.join(self._base, name))


def overdue(found: List[Tuple[float, str, Dict[str, Any]]], machine: str, most: int, days: float) -> List[str]:
    """Names of those that may go, from (seconds unused, name, what it knows of itself)."""
    going = []
    for age, name, about in found:
        allowed = about.get("days", days)
        if allowed and age > max(1, allowed) * DAY_S:
            going.append(name)
    theirs = sorted((age, name) for age, name, about in found if about.get("machine") == machine)
    spare = theirs[most:] if most else []
    return going + [name for age, name in spare if age > DAY_S and name not in going]


def _size(root: str, pulse: Callable[[], None]) -> int:
    """Bytes on the disk."""
    found = 0
    for folder, _folders, files in os.walk(root):
        pulse()
        for name in files:
            try:
                found += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except OSError:
                continue  # a build goes on in there
    return found


def _delete(path: str) -> None:
    """All of it, read-only directories (as Go's modules are) too. What resists stays, out of sight."""
    for folder, _folders, _files in os.walk(path):
        try:
            os.chmod(folder, 0o700)
        except OSError:
            continue
    remove(path)
