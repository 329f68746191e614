"""`exec`: one command on every node that matches, each a job; equal output folded under its nodes."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from toft.engine.control import Control, Order
from toft.engine.requests import Request, Step
from toft.fleet import owners
from toft.fleet.failures import NOT_STARTED, Failure
from toft.fleet.fleet import Fleet, new_id, now
from toft.fleet.follow import UNKNOWN, Brief, Followed, Wishes, exit_code, follow
from toft.fleet.interrupted import perhaps_started
from toft.fleet.offload import Offload
from toft.store.records import Job

IN_MEMORY = 1 << 20


@dataclass(frozen=True)
class Result:
    """What came of one node: its job, the exit code, and its output, kept in a file when it is large."""

    job: Job
    code: int
    output: dict[str, IO[bytes]]
    error: dict[str, Any] | None = None

    @property
    def digest(self) -> tuple[str, ...]:
        """Equal for equal outputs and codes."""
        return (str(self.code), *(_sha(self.output[s]) for s in ("stdout", "stderr")))


@dataclass(frozen=True)
class Begun:
    """A node's job, what kept it from starting, and all of it when it is over already."""

    job: Job
    error: dict[str, Any] | None
    brief: Brief | None

    @property
    def over(self) -> bool:
        """Whether there is nothing to follow."""
        return self.brief is not None or self.job.state == "not_started"


def start_all(fleet: Fleet, pattern: str, offload: Offload) -> list[Begun]:
    """A job on each node that matches."""
    base = new_id("x")
    body = fleet.body(**offload.words.to_body(), job=offload.job(base))
    request = Request(pattern, (Step("dispatch"),), body, label=base, keep=True, owner=owners.me())
    try:
        told = fleet.ask(request)["dispatch"]["jobs"]
    except Failure:
        told = _broken_off(fleet.engine.runs / base)
        if not told:
            raise
    started = []
    for one in told:
        job = Job(one["id"], tuple(one["command"]), now(), node=one["node"], reason="explicit", owner=owners.me())
        job = replace(job, transport=one["transport"], run_dir=str(fleet.engine.runs / base))
        if one["outcome"] == "refused":
            why = one["error"]["message"]
            job = replace(job, state="not_started", exit_code=NOT_STARTED, origin="toft", error=why)
        elif one["record"]:
            job = job.with_node_record(one["record"])
        started.append(Begun(job, one["error"], Brief.told(one.get("output"))))
    fleet.store.add_all(one.job for one in started)
    return started


def _broken_off(run_dir: Path) -> list[dict[str, Any]]:
    """The jobs that were started in the last moment, as the action would have told of them."""
    jobs = perhaps_started(run_dir)
    if not jobs:
        owners.forget(run_dir)
    return [
        {"id": i.id, "node": i.node, "command": i.command, "transport": i.transport}
        | {"record": record, "outcome": "started" if record else "unsure", "error": None}
        for i, record in jobs
    ]


def follow_all(
    fleet: Fleet,
    started: list[Begun],
    control: Control,
    done: Callable[[Result], None],
    files: ExitStack,
) -> list[Result]:
    """All at once, each in a thread that is not over yet; `done` is called as each ends, one at a time."""
    results: dict[str, Result] = {}
    lock = threading.Lock()
    over = [one for one in started if one.over]
    left = {one.job.id: (one, Control()) for one in started if not one.over}

    def end(fleet: Fleet, one: Begun, control: Control) -> None:
        output = {stream: _file(files) for stream in ("stdout", "stderr")}
        followed = Followed(one.job, exit_code(one.job))
        if one.job.state != "not_started":
            wishes = Wishes(lambda s, data: _put(output[s], data), lambda text: None, control)
            followed = follow(fleet, one.job, wishes, one.brief)
        result = Result(followed.job, followed.code, output, one.error)
        with lock:
            results[one.job.id] = result
            done(result)

    for one in over:
        end(fleet, one, control)
    with _passed_on(control, [each for _one, each in left.values()]) if left else nullcontext():
        threads = [
            threading.Thread(target=lambda pair=pair: end(fleet_of_thread(fleet), *pair), daemon=True)
            for pair in left.values()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    owners.forget(fleet.engine.runs / started[0].job.id.rpartition("-")[0])
    return [results[one.job.id] for one in started]


def fleet_of_thread(fleet: Fleet) -> Fleet:
    """The same fleet with a connection to the records of its own: SQLite's belong to one thread."""
    return replace(fleet, store=type(fleet.store)(fleet.store.path))


def folded(results: list[Result]) -> list[list[Result]]:
    """Results with the same output and code together, in the order of their first node."""
    groups: dict[tuple[str, ...], list[Result]] = {}
    for result in results:
        why = result.error["message"] if result.error else ""
        groups.setdefault((*result.digest, why if result.job.state == "not_started" else ""), []).append(result)
    return list(groups.values())


def overall(results: list[Result]) -> int:
    """On one node the command's own code; on many 0, 1, 125 if nothing started, 255 if any is unknown."""
    codes = [result.code for result in results]
    if len(codes) == 1:
        return codes[0]
    if all(result.job.state == "not_started" for result in results):
        return NOT_STARTED
    if any(result.job.state in ("unknown", "running") for result in results):
        return UNKNOWN
    return int(any(codes))


@contextmanager
def _passed_on(control: Control, others: list[Control]) -> Iterator[None]:
    """What a person orders goes to every job."""
    stop = threading.Event()

    def pump() -> None:
        import select

        while not stop.is_set():
            if select.select([control.fd], [], [], 0.2)[0]:
                _give(control.take(), others)

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _give(orders: list[Order], others: list[Control]) -> None:
    for order in orders:
        for other in others:
            other.give(order)


def _file(files: ExitStack) -> IO[bytes]:
    file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  # closed by `files`
    return files.enter_context(file)


def _put(file: IO[bytes], data: bytes) -> None:
    file.write(data)


def _sha(file: IO[bytes]) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()
