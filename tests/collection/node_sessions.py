"""The node program as its tests use it: sessions on this machine, with a home and a state of their own."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.toft.fleet.plugins.module_utils import frames
from ansible_collections.toft.fleet.plugins.plugin_utils import program

Frame = tuple[bytes, bytes]
PATIENCE_S = 30.0


@dataclass
class Outcome:
    """What a follower was told: both streams from the asked offsets on, and the last record."""

    stdout: bytes
    stderr: bytes
    record: dict[str, Any]
    kinds: list[bytes] = field(default_factory=list)


class Session:
    """One running node program."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self._out = self.process.stdin, self.process.stdout
        self._reader = program.Reader()
        self._arrived: list[Frame] = []

    def send(self, data: bytes) -> None:
        self._in.write(data)
        self._in.flush()

    def boot(self, *requests: dict[str, Any]) -> Session:
        """Send the whole program, for any later request too, and the first requests."""
        every = program.bundle(frozenset(program.MODULES))
        self.send(every + b"".join(frames.message(frames.REQUEST, request) for request in requests))
        return self

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self.send(frames.message(frames.REQUEST, request))
        return self.answer()

    def next(self, patience: float = PATIENCE_S) -> Frame | None:
        """The next frame; None at the end. Fails when none comes in time."""
        deadline = time.monotonic() + patience
        while not self._arrived:
            left = deadline - time.monotonic()
            assert left > 0, "the node program says nothing"
            if select.select([self._out], [], [], left)[0]:
                data = os.read(self._out.fileno(), 1 << 20)
                if not data:
                    return None
                self._arrived += self._reader.feed(data)
        return self._arrived.pop(0)

    def until(self, *kinds: bytes, patience: float = PATIENCE_S) -> Frame:
        """The next frame of one of these kinds; others are dropped."""
        deadline = time.monotonic() + patience
        while True:
            found = self.next(max(0.01, deadline - time.monotonic()))
            assert found is not None, "the node program ended"
            if found[0] in kinds:
                return found

    def answer(self) -> dict[str, Any]:
        value = frames.loads(self.until(frames.ANSWER)[1])
        assert isinstance(value, dict)
        return value

    def outcome(self, patience: float = PATIENCE_S) -> Outcome:
        """Everything up to the last word of a follow, whose answer has been read."""
        streams: dict[bytes, list[bytes]] = {frames.STDOUT: [], frames.STDERR: []}
        kinds = []
        deadline = time.monotonic() + patience
        while True:
            found = self.next(max(0.01, deadline - time.monotonic()))
            assert found is not None, "the node program ended"
            kind, payload = found
            kinds.append(kind)
            if kind in streams:
                streams[kind].append(payload)
            if kind == frames.FINAL:
                out, err = (b"".join(streams[kind]) for kind in (frames.STDOUT, frames.STDERR))
                return Outcome(out, err, frames.loads(payload), kinds)

    def close(self) -> int:
        with contextlib.suppress(BrokenPipeError):
            self._in.close()
        self._out.close()
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        self.process.kill()
        self.close()


def boot_argv(python: str, env: Mapping[str, str]) -> list[str]:
    """What the node's shell makes of the boot command, without a shell between."""
    return [python, *program.FLAGS, "-c", program.BOOT, "rb", program.MARKER, "set" if "LC_CTYPE" in env else ""]


class Node:
    """A node whose home and state are under one directory; `prefix` goes before each program's argv."""

    def __init__(
        self, folder: Path, prefix: Sequence[str] = (), python: str | None = None, state: Path | None = None
    ) -> None:
        self.home = folder / "home"
        self.home.mkdir(exist_ok=True)
        self.root = (state or folder / "state") / "toft" / "jobs"
        # Another Python for the whole run, to try one by hand.
        self.python = python or os.environ.get("TOFT_TEST_PYTHON") or sys.executable
        self.prefix = list(prefix)
        self.env = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "XDG_STATE_HOME": str(state or folder / "state"),
        }
        self._count = 0
        self._sessions: list[Session] = []

    def id(self) -> str:
        self._count += 1
        return f"j{self._count:010d}"

    def job(self, *argv: str, **more: Any) -> dict[str, Any]:
        job: dict[str, Any] = {"id": self.id(), "argv": list(argv) or None, **more}
        # By this its processes are found again.
        job["env"] = {"TOFT_TEST": str(self.root), **(job.get("env") or {})}
        return job

    def session(self, *requests: dict[str, Any]) -> Session:
        session = Session([*self.prefix, *boot_argv(self.python, self.env)], self.env).boot(*requests)
        self._sessions.append(session)
        return session

    def ask(self, **request: Any) -> dict[str, Any]:
        session = self.session(request)
        try:
            return session.answer()
        finally:
            session.close()

    def start(self, job: dict[str, Any]) -> dict[str, Any]:
        return self.ask(verb="start", job=job)

    def follow(self, job_id: str, **more: Any) -> Session:
        """A session that follows; its answer has been read."""
        session = self.session({"verb": "follow", "id": job_id, **more})
        assert session.answer()["ok"]
        return session

    def run(self, *argv: str, **more: Any) -> Outcome:
        return self.run_job(self.job(*argv, **more))

    def run_job(self, job: dict[str, Any]) -> Outcome:
        session = self.session({"verb": "start", "job": job}, {"verb": "follow", "id": job["id"]})
        try:
            answer = session.answer()
            assert answer["ok"], answer
            assert session.answer()["ok"]
            return session.outcome()
        finally:
            session.close()

    def record(self, job_id: str) -> dict[str, Any]:
        record = self.ask(verb="state", ids=[job_id])["records"][0]
        assert isinstance(record, dict)
        return record

    def supervisor(self, job_id: str) -> int:
        """The pid of the program that holds that job's lock."""
        held = (self.root / job_id / "lock").stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5].endswith(f":{held}"):
                found = [pid for pid in processes(str(self.root.parent.parent)) if holds(pid, held)]
                return next(pid for pid in found if Path(f"/proc/{pid}/cmdline").read_bytes())
        raise AssertionError("nobody holds the lock")

    def end(self) -> None:
        for session in self._sessions:
            if session.process.poll() is None:
                session.kill()


def holds(pid: int, inode: int) -> bool:
    """Whether a process has that file open."""
    with contextlib.suppress(OSError):  # it may end meanwhile
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if link.stat().st_ino == inode and link.resolve().name == "lock":
                    return True
    return False


def processes(text: str) -> list[int]:
    """Living processes whose environment names that text."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if text.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def eventually(true: Any, what: str, seconds: float = 10.0) -> None:
    """Waits for something that another process does."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def node_for(folder: Path, **more: Any) -> Iterator[Node]:
    """A node that must end with no process left."""
    node = Node(folder, **more)
    try:
        yield node
        node.end()
        eventually(lambda: not processes(str(folder)), "no process is left", 5.0)
    finally:
        node.end()
        for pid in processes(str(folder)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
