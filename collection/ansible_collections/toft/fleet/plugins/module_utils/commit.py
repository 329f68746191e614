# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A slot brought to a manifest, or left as it was.

Every file is prepared beside the slot, then what is to come is written down, then there are only renames,
and these can be taken back. So a full disk leaves the mirror as it was; and when the machine stops in the
middle, `state` is not there and the next sync reads what is.

A file that is new to an empty slot keeps its time. One that changes later gets this node's time, so that
make here finds it newer than everything that was built before, whatever the other clock says.
"""

from __future__ import annotations

import os
import time

from ansible_collections.toft.fleet.plugins.module_utils import frames, jobs, manifest, slots, upkeep
from ansible_collections.toft.fleet.plugins.module_utils.stage import Stage, remove
from ansible_collections.toft.fleet.plugins.module_utils.switch import Switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping

    from ansible_collections.toft.fleet.plugins.module_utils.manifest import Entries


class Commit:
    """One slot brought to one manifest, or left as it was."""

    def __init__(self, stage: Stage, slot: slots.Slot, plan: upkeep.Plan, entries: Entries, pulse: Any) -> None:
        self._stage = stage
        self._slot = slot
        self._plan = plan
        self._entries = entries
        self._pulse = pulse
        self._trash = slot.file("trash")
        self._prepared: Dict[str, str] = {}
        self._times = self._new_times(time.time_ns())

    def run(self, digest: str, boot: str) -> None:
        try:
            seen = self._prepare()
            state = {"digest": digest, "entries": self._entries, "seen": seen, "boot": boot}
            slots.write(self._slot.file(slots.NEXT), frames.dumps(state))
            self._set_state_aside()
            self._switch()
            os.rename(self._slot.file(slots.NEXT), self._slot.file(slots.STATE))
        finally:
            self._stage.tidy(set(self._prepared.values()))
            remove(self._trash)
        _unlink(self._slot.file(slots.BEFORE))

    def _new_times(self, now: int) -> Dict[str, int]:
        """Times for what is written or touched, in the order that they have where they come from."""
        plan = self._plan
        changed = [path for path in plan.write + plan.touch if self._entries[path][0] == manifest.FILE]
        if plan.fresh:
            return {path: min(now, self._entries[path][manifest.MTIME] or now) for path in changed}
        changed.sort(key=lambda path: int(self._entries[path][manifest.MTIME]))
        return {path: now + rank for rank, path in enumerate(changed)}

    def _prepare(self) -> Dict[str, List[int]]:
        """Every file and link made ready beside the slot; the stat data of all files as it will be."""
        files = [path for path in self._plan.write if self._entries[path][0] == manifest.FILE]
        left: Dict[str, int] = {}
        for path in files:
            content = self._entries[path][manifest.CONTENT]
            left[content] = left.get(content, 0) + 1
        seen = dict(self._plan.seen)
        for path in files:
            self._pulse()
            seen[path] = self._prepare_file(path, left)
        for path in self._plan.write:
            if self._entries[path][0] == manifest.LINK:
                self._prepared[path] = self._stage.link(self._entries[path][manifest.TARGET])
        for path in self._plan.touch:
            if path in self._times:
                inode, size, _time, mode = seen[path]
                kind = mode & ~0o7777
                seen[path] = [inode, size, self._times[path], kind | self._entries[path][manifest.MODE]]
        return seen

    def _prepare_file(self, path: str, left: Dict[str, int]) -> List[int]:
        entry = self._entries[path]
        content = entry[manifest.CONTENT]
        left[content] -= 1
        made = self._stage.file(content, not left[content])
        if made is None:
            raise jobs.Refused("mirror_changed", "content for the mirror has gone: try again")
        self._prepared[path] = made
        os.chmod(made, entry[manifest.MODE])
        os.utime(made, ns=(self._times[path], self._times[path]))
        return upkeep.seen(os.lstat(made))

    def _set_state_aside(self) -> None:
        """From here on nobody takes the slot for what it was."""
        state, before = self._slot.file(slots.STATE), self._slot.file(slots.BEFORE)
        try:
            os.rename(state, before)
        except FileNotFoundError:
            slots.write(before, frames.dumps({"entries": self._plan.had}))

    def _switch(self) -> None:
        remove(self._trash)
        os.mkdir(self._trash, 0o700)
        made_root = not os.path.isdir(self._slot.root)
        if made_root:
            remove(self._slot.root)
            os.mkdir(self._slot.root)
            os.chmod(self._slot.root, 0o755)
        switch = Switch(self._slot.root, self._trash)
        try:
            self._change(switch)
        except BaseException:
            switch.undo()
            if made_root:
                os.rmdir(self._slot.root)
            self._state_back()
            raise
        finally:
            switch.close()

    def _state_back(self) -> None:
        _unlink(self._slot.file(slots.NEXT))
        if self._plan.fresh:
            _unlink(self._slot.file(slots.BEFORE))
        else:
            os.rename(self._slot.file(slots.BEFORE), self._slot.file(slots.STATE))

    def _change(self, switch: Switch) -> None:
        plan, entries = self._plan, self._entries
        for path in plan.drop:
            if plan.had[path][0] != manifest.DIRECTORY:
                switch.drop(path)
        gone = manifest.directories({path: plan.had[path] for path in plan.drop})
        for path in sorted(gone - manifest.directories(entries), reverse=True):
            switch.drop_directory(path)
        for path in sorted(plan.write):
            self._pulse()
            if path in self._prepared:
                switch.put(path, self._prepared[path])
        for path in [*plan.touch, *sorted(plan.write)]:
            if entries[path][0] == manifest.DIRECTORY:
                switch.directory(path, entries[path][manifest.MODE])
            elif path not in self._prepared:
                switch.touch(path, entries[path][manifest.MODE], self._times[path])


def refresh_indexes(root: str, entries: Mapping[str, Any]) -> Dict[str, List[int]]:
    """Let git fill in its indexes what it wants to know of the files here. Their stat data then."""
    git = _git()
    refreshed = {}
    paths = [path for path in entries if ("/" + path).endswith("/" + upkeep.INDEX)]
    for path in sorted(paths, reverse=True) if git else ():
        top = os.path.join(root, path[: -len(upkeep.INDEX)])
        null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        argv = [git, "-C", top, "update-index", "-q", "--refresh"]
        os.waitpid(os.posix_spawn(git, argv, os.environ, file_actions=null), 0)
        refreshed[path] = upkeep.seen(os.lstat(os.path.join(root, path)))
    return refreshed


def _git() -> str:
    """A git that is really there: Apple's /usr/bin/git opens a window when the tools are missing."""
    import sys

    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if sys.platform == "darwin":
        tools = "/Library/Developer/CommandLineTools/usr/bin"
        folders = [folder for folder in folders if folder != "/usr/bin"] + ["/opt/homebrew/bin", tools]
    found = (os.path.join(folder, "git") for folder in folders if os.path.isabs(folder))
    return next((path for path in found if os.access(path, os.X_OK)), "")


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
