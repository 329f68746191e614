# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The node's side of a sync: one client that brings a tree to a mirror.

The request names the tree and the digest of its manifest. If a slot holds just that, it is the answer.
Else the client offers the manifest (as a change of one that we hold) and we say what content we lack;
it sends that, and offers again with `commit` (see commit). Nothing is locked while content travels; what
another client took or changed meanwhile shows as content that we lack again.
"""

from __future__ import annotations

import os
import time
import zlib

from ansible_collections.toft.fleet.plugins.module_utils import frames, jobs, manifest, shelf, slots, upkeep
from ansible_collections.toft.fleet.plugins.module_utils.commit import Commit, refresh_indexes
from ansible_collections.toft.fleet.plugins.module_utils.stage import Stage, remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

    Answer = Dict[str, Any]

    from ansible_collections.toft.fleet.plugins.module_utils.manifest import Entries

PULSE_S = 2.0
LARGEST_OFFER = 512 << 20


def serve(channel: frames.Channel, request: Dict[str, Any], place: slots.Place, kept: jobs.Jobs, boot: str) -> None:
    """Until the client has gone. Raises Refused and OSError, which become its answer."""
    visit = Visit(channel, request, place, kept, boot)
    try:
        visit.run()
    except OSError as error:
        if jobs.NAMED.get(error.errno or 0, ("",))[0] == "disk_full":
            visit.stage.clear()
            raise jobs.refusal(error, place.base) from None
        raise
    finally:
        visit.stage.abandon()
        place.leave()


class Visit:
    """One client and what it has told us so far."""

    def __init__(
        self,
        channel: frames.Channel,
        request: Dict[str, Any],
        place: slots.Place,
        kept: jobs.Jobs,
        boot: str,
    ) -> None:
        self.stage = Stage(place.stage, boot)
        self._channel = channel
        self._place = place
        self._kept = kept
        self._boot = boot
        self._digest = str(request["digest"])
        self._job: Optional[str] = request.get("job")
        self._cwd = str(request.get("cwd") or "")
        self._dry = bool(request.get("dry"))
        self._about: Dict[str, Any] = request.get("about") or {}
        self._keep: Dict[str, Any] = request.get("keep") or {}
        self._manifests: Dict[str, Entries] = {}
        if (self._job and not jobs.valid(self._job)) or (self._cwd and manifest.unsafe(self._cwd)):
            raise jobs.Refused("bad_request", "not a job's id, or not a path in the tree")

    def run(self) -> None:
        if not self._dry:
            self._place.visit()
            self.stage.prepare()
        self._tell(self._greeting())
        while True:
            arrived = self._channel.next()
            if arrived is None:
                return
            if arrived[0] == manifest.DATA:
                self.stage.take(arrived[1])
            elif arrived[0] == manifest.OFFER:
                self._tell(self._offered(frames.loads(_unpacked(arrived[1]))))

    def _tell(self, answer: Answer) -> None:
        self._channel.send(frames.message(frames.ANSWER, dict({"ok": True}, **answer)))
        self._channel.finish()

    def _pulse(self) -> None:
        if time.monotonic() - self._channel.sent_at > PULSE_S:
            self._channel.send(frames.frame(frames.HEARTBEAT))

    # What is asked.

    def _greeting(self) -> Answer:
        """`done` if a slot holds that very tree; else the manifests that a change may be of."""
        if not os.path.isdir(self._place.own):
            return {"have": []}
        if self._dry:
            return self._same() or {"have": sorted(self._manifests)}
        with self._place:
            return self._same() or {"have": sorted(self._manifests)}

    def _same(self) -> Optional[Answer]:
        for slot in self._place.slots():
            state = slot.state()
            if state is not None:
                self._manifests[state["digest"]] = state["entries"]
                if state["digest"] == self._digest and self._plan(slot, state["entries"]).nothing:
                    return self._lease(slot)
            if not slot.busy(self._kept, self._job):
                return None  # this is the one to be brought up to date
        return None

    def _offered(self, offer: Dict[str, Any]) -> Answer:
        entries = self._entries(offer)
        if self._dry:
            slot, plan = self._choose(entries)
            return {"need": self._lacking(plan, entries), "write": plan.write, "drop": plan.drop}
        with self._place:
            slot, plan = self._choose(entries)
            need = self._lacking(plan, entries)
            if need or not offer["commit"]:
                return {"need": need}
            return self._commit(slot, plan, entries)

    def _entries(self, offer: Dict[str, Any]) -> Entries:
        """The whole manifest that a change gives. Raises Refused if it is not what was announced."""
        base = self._manifests.get(offer["base"] or "", {})
        if any(manifest.unsafe(path) for path in offer["put"]):
            raise jobs.Refused("bad_request", "a path leads out of the tree")
        entries = manifest.patched(base, offer["put"], offer["drop"])
        self._digest = manifest.digest(entries)
        if self._digest != offer["digest"]:
            raise jobs.Refused("bad_manifest", "the manifest is not what was announced")
        self._manifests = {self._digest: entries}
        return entries

    # Which slot, and what for.

    def _plan(self, slot: slots.Slot, entries: Entries) -> upkeep.Plan:
        return upkeep.plan(slot, entries, self._boot, self._pulse)

    def _choose(self, entries: Entries) -> Tuple[slots.Slot, upkeep.Plan]:
        """The first slot that nobody uses, or that needs no change."""
        for number in range(1, slots.MOST_SLOTS + 1):
            slot = self._place.slot(number)
            plan = self._plan(slot, entries)
            if plan.nothing or not slot.busy(self._kept, self._job):
                return slot, plan
        raise jobs.Refused("mirrors_busy", "jobs run in %d versions of this tree" % slots.MOST_SLOTS)

    def _lacking(self, plan: upkeep.Plan, entries: Entries) -> List[str]:
        """Content that is neither staged nor to be had on this node."""
        files = (entries[path] for path in plan.write if entries[path][0] == manifest.FILE)
        wanted = dict.fromkeys(entry[manifest.CONTENT] for entry in files)
        absent = [content for content in wanted if self._dry or not self.stage.has(content)]
        here = self._here(set(absent)) if absent else {}
        need = []
        for content in absent:
            self._pulse()
            if content not in here or not (self._dry or self.stage.adopt(here[content], content)):
                need.append(content)
        return need

    def _here(self, contents: Any) -> Dict[str, str]:
        """Files in any slot that have one of these contents, as far as their stat data tells."""
        found: Dict[str, str] = {}
        for slot in self._place.slots():
            state = slot.state() or {"entries": {}, "seen": {}}
            for path, entry in state["entries"].items():
                if entry[0] != manifest.FILE or entry[manifest.CONTENT] not in contents:
                    continue
                file = os.path.join(slot.root, path)
                if path in state["seen"] and upkeep.unchanged(entry, state["seen"][path], file):
                    found[entry[manifest.CONTENT]] = file
        return found

    # The change itself.

    def _commit(self, slot: slots.Slot, plan: upkeep.Plan, entries: Entries) -> Answer:
        if not (plan.nothing and plan.settled):
            os.makedirs(slot.own, 0o700, exist_ok=True)
            Commit(self.stage, slot, plan, entries, self._pulse).run(self._digest, self._boot)
            slot.forget_leases(self._job)
            refreshed = refresh_indexes(slot.root, entries)
            slots.write(slot.file(slots.INDEXES), frames.dumps(refreshed))
            self._prune(slot)
        return self._lease(slot, plan)

    def _lease(self, slot: slots.Slot, plan: Optional[upkeep.Plan] = None) -> Answer:
        counts = {"written": _ours(plan.write), "dropped": _ours(plan.drop)} if plan else {}
        if not self._dry:
            self._place.used(self._about)
            shelf.tidy(self._place.base, self._kept, self._about, self._keep)
            if self._job:
                slot.give(self._job, self._digest)
            if self._cwd:
                os.makedirs(os.path.join(slot.root, self._cwd), 0o755, exist_ok=True)
        return dict({"done": True, "path": slot.root, "slot": slot.number, "digest": self._digest}, **counts)

    def _prune(self, used: slots.Slot) -> None:
        """Further slots that nobody has used for a day."""
        for slot in self._place.slots():
            spare = slot.number > max(1, used.number) and slot.idle_s() > slots.KEPT_S
            if spare and not slot.busy(self._kept, None):
                remove(slot.root)
                remove(slot.own)


def _ours(paths: List[str]) -> int:
    """How many of them a person would count: git's own do not."""
    return sum(".git" not in path.split("/") for path in paths)


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    made = unpacker.decompress(data, LARGEST_OFFER)
    if not unpacker.eof:
        raise jobs.Refused("bad_request", "an offer cannot be unpacked")
    return made
