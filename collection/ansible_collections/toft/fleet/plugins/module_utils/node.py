# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The node program: reads requests, does them, answers.

It is sent along with each connection and installed nowhere, so the two ends never differ in version.
One channel may carry several requests, one after the other (a `start`, then a `follow` of it). Each is
answered by one ANSWER frame, `{ok: true, …}` or `{ok: false, error: {code, message}}`; only `follow`
goes on after that.

A Raspberry Pi feels every import, so each verb brings its own.
"""

from __future__ import annotations

import os
import time

from ansible_collections.toft.fleet.plugins.module_utils import frames, jobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signals
    from typing import Any, Dict, List, Optional, Tuple

    from ansible_collections.toft.fleet.plugins.module_utils.account import Account
    from ansible_collections.toft.fleet.plugins.module_utils.intake import Intake

    Answer = Dict[str, Any]
else:
    import _signal as signals  # without `enum`, which `signal` brings

PROTOCOL = 1
STARTING_S, LOOK_S = 20.0, 0.01
SIGNAL_S = 5.0


def main(stdin: int, stdout: int) -> int:
    """Serve one channel until its end. Returns an exit code."""
    for number in (signals.SIGHUP, signals.SIGINT, signals.SIGQUIT):
        signals.signal(number, signals.SIG_IGN)  # a client's Ctrl-C comes as a frame
    node = Node(frames.Channel(stdin, stdout), dict(os.environb), os.umask(0o077))
    try:
        node.serve()
    except frames.Gone:
        return 0  # what the client asked for is done all the same
    return 0


class Node:
    """One channel, and what the session it came by is like."""

    def __init__(self, channel: frames.Channel, env: Dict[bytes, bytes], umask: int) -> None:
        self._channel = channel
        self._env = env
        self._umask = umask
        self._boot = jobs.boot_id()
        self._user: Optional[Account] = None

    def serve(self) -> None:
        self._channel.send(frames.MARKER)
        while True:
            arrived = self._channel.next()
            if arrived is None:
                return
            if arrived[0] == frames.REQUEST and not self._serve_one(arrived[1]):
                return

    def _serve_one(self, payload: bytes) -> bool:
        """Answer one request. False when the client has gone meanwhile."""
        try:
            request = frames.loads(payload)
            verb = request.get("verb")
            if verb == "follow":
                return self._follow(request)
            if verb in ("mirror", "fetch", "mirrors"):
                return self._exchange_tree(str(verb), request)
            self._channel.send(frames.message(frames.ANSWER, self._answer(verb, request)))
        except jobs.Refused as refused:
            self._refuse(refused)
        except OSError as error:
            self._refuse(jobs.refusal(error, str(error.filename or "the node")))
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            self._refuse(jobs.Refused("bad_request", "%s: %s" % (type(error).__name__, error)))
        return True

    def _refuse(self, why: jobs.Refused) -> None:
        error = {"code": why.code, "message": why.message}
        self._channel.send(frames.message(frames.ANSWER, {"ok": False, "error": error}))

    def _answer(self, verb: object, request: Dict[str, Any]) -> Answer:
        verbs = {
            "ping": self._ping,
            "start": self._start,
            "state": self._state_of,
            "cancel": self._cancel,
            "signal": self._signal,
            "remove": self._remove,
            "list": self._list,
            "look": self._look,
        }
        if verb not in verbs:
            raise jobs.Refused("bad_request", "no such verb: %r" % (verb,))
        return dict({"ok": True}, **verbs[str(verb)](request))

    # Whose jobs, and where they are.

    def _account(self) -> Account:
        from ansible_collections.toft.fleet.plugins.module_utils.account import account

        if self._user is None:
            self._user = account(self._env)
        return self._user

    def _state_directory(self) -> str:
        from ansible_collections.toft.fleet.plugins.module_utils.account import state_directory

        return state_directory(self._account(), self._env)

    def _jobs(self) -> jobs.Jobs:
        return jobs.Jobs(os.path.join(self._state_directory(), "jobs"))

    def _intake(self) -> Intake:
        from ansible_collections.toft.fleet.plugins.module_utils.intake import Intake

        return Intake(self._jobs().root)

    # Verbs.

    def _ping(self, _request: Dict[str, Any]) -> Answer:
        import sys

        return {
            "protocol": PROTOCOL,
            "python": "%d.%d.%d" % sys.version_info[:3],
            "boot_id": self._boot,
            "time": jobs.stamp(time.time()),
            "jobs": self._jobs().root,
        }

    def _look(self, request: Dict[str, Any]) -> Answer:
        from ansible_collections.toft.fleet.plugins.module_utils.look import look

        return {"found": look(request, self._env)}

    def _start(self, request: Dict[str, Any]) -> Answer:
        from ansible_collections.toft.fleet.plugins.module_utils import orders

        order = orders.Order(request["job"])
        kept = self._jobs()
        while True:
            record = self._under_way(kept, order.id)
            if record is not None:
                return self._already(record)
            answer = self._start_new(order, request["job"])
            if answer is not None:
                return answer

    def _start_new(self, order: Any, asked: Dict[str, Any]) -> Optional[Answer]:
        """None when another start of the same id was faster."""
        from ansible_collections.toft.fleet.plugins.module_utils import brief, claim, login

        intake = self._intake()
        intake.prepare()
        entry = login.login(self._account(), self._env, os.path.dirname(intake.root), self._umask)
        with claim.Claim(self._jobs(), order.id, order.slots):
            if asked.get("lease"):
                self._take_up(asked)
            launched = self._launched(intake, order, entry)
        if launched is None:
            return None
        job, ended = launched
        output = brief.output(job, ended, order.brief) if order.brief else None
        os.close(ended)
        return {"record": job.record(self._boot), "already": False, "login": entry.note, "output": output}

    def _launched(self, intake: Intake, order: Any, entry: Any) -> Optional[Tuple[jobs.Job, int]]:
        from ansible_collections.toft.fleet.plugins.module_utils.launch import launch

        user = self._account()
        job = intake.draft(order.accepted(user, time.time(), self._boot))
        if not intake.accept(job, order.id):
            return None
        number, ended = launch(job, order.command(user, entry, self._umask), order, self._boot)
        if number:
            os.close(ended)
            intake.discard(job)
            raise jobs.refusal(OSError(number, os.strerror(number)), intake.root)
        return job, ended

    def _take_up(self, job: Dict[str, Any]) -> None:
        """A job in a mirror: its tree must still be what was synced for it."""
        lease = job["lease"]
        self._mirror(lease).hold(int(lease["slot"]), str(job["id"]), str(lease["digest"]))

    def _mirror(self, request: Dict[str, Any]) -> Any:
        from ansible_collections.toft.fleet.plugins.module_utils import slots

        return slots.place(self._account(), request.get("workdir"), request.get("name"))

    def _exchange_tree(self, verb: str, request: Dict[str, Any]) -> bool:
        """A tree to its mirror, or results from there; or what mirrors there are."""
        if verb == "mirrors":
            from ansible_collections.toft.fleet.plugins.module_utils import shelf, slots

            base = slots.base(self._account(), request.get("workdir"))
            shelf.serve(self._channel, request, base, self._jobs())
        elif verb == "fetch":
            from ansible_collections.toft.fleet.plugins.module_utils import fetch

            fetch.serve(self._channel, request, self._mirror(request))
        else:
            from ansible_collections.toft.fleet.plugins.module_utils import mirror

            mirror.serve(self._channel, request, self._mirror(request), self._jobs(), self._boot)
        return True

    def _under_way(self, kept: jobs.Jobs, job_id: str) -> Optional[jobs.Record]:
        """The record of a job with that id, once its own start has come to something."""
        deadline = time.monotonic() + STARTING_S
        while True:
            record = kept.record(job_id, self._boot)
            if record is None or record["state"] != "running" or record["pid"] is not None:
                return record
            if time.monotonic() > deadline:
                return record
            time.sleep(LOOK_S)

    def _already(self, record: jobs.Record) -> Answer:
        error = record["error"]
        if error and error["code"] == "cancelled":
            return {"ok": False, "error": error, "record": record}
        return {"record": record, "already": True}

    def _follow(self, request: Dict[str, Any]) -> bool:
        from ansible_collections.toft.fleet.plugins.module_utils.attach import Follower

        job_id = _one(request.get("id"))
        job = self._jobs().job(job_id)
        record = job.record(self._boot)
        if record is None:
            raise jobs.Refused("never_seen", "no job has this id here")
        follower = Follower(self._channel, job, self._boot, request)
        self._channel.send(frames.message(frames.ANSWER, {"ok": True, "record": record}))
        return follower.run(record)

    def _record_of(self, kept: jobs.Jobs, job_id: str) -> jobs.Record:
        return kept.record(job_id, self._boot) or jobs.never_seen(job_id)

    def _state_of(self, request: Dict[str, Any]) -> Answer:
        kept = self._jobs()
        return {"records": [self._record_of(kept, job_id) for job_id in _ids(request)]}

    def _cancel(self, request: Dict[str, Any]) -> Answer:
        kept, intake = self._jobs(), self._intake()
        ids = _ids(request)
        intake.prepare()
        for job_id in ids:
            if kept.record(job_id, self._boot) is None:
                intake.cancel(job_id, time.time(), self._boot)
        return {"records": [self._record_of(kept, job_id) for job_id in ids]}

    def _signal(self, request: Dict[str, Any]) -> Answer:
        from ansible_collections.toft.fleet.plugins.module_utils import control, processes

        job_id = _one(request.get("id"))
        name = str(request.get("signal"))
        processes.number_of(name)
        kept = self._jobs()
        fd = control.connect(kept.job(job_id).path)
        if fd is None or not control.deliver(control.Link(fd), name, SIGNAL_S):
            raise jobs.Refused("not_running", "job %s is not running" % job_id)
        return {"record": self._record_of(kept, job_id)}

    def _remove(self, request: Dict[str, Any]) -> Answer:
        intake = self._intake()
        removed: List[str] = []
        refused: Dict[str, Dict[str, str]] = {}
        for job_id in _ids(request):
            try:
                intake.remove(job_id)
                removed.append(job_id)
            except jobs.Refused as why:
                refused[job_id] = {"code": why.code, "message": why.message}
        return {"removed": removed, "refused": refused}

    def _list(self, _request: Dict[str, Any]) -> Answer:
        kept = self._jobs()
        self._intake().tidy(time.time())
        records = [kept.record(job_id, self._boot) for job_id in kept.ids()]
        return {"records": [record for record in records if record and not _tombstone(record)]}


def _one(job_id: object) -> str:
    if not jobs.valid(job_id):
        raise jobs.Refused("bad_id", "not a job id: %r" % (job_id,))
    return str(job_id)


def _ids(request: Dict[str, Any]) -> List[str]:
    return [_one(job_id) for job_id in request["ids"]]


def _tombstone(record: jobs.Record) -> bool:
    return bool(record["error"]) and record["error"]["code"] == "cancelled"
