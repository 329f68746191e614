"""What became of a job whose toft was killed: it is found out, never guessed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.intent import Cancelled, Intent, declare
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport
from toft.engine.nodes import ask_all
from toft.engine.requests import Request
from toft.engine.runner import Engine, Refused
from toft.fleet import jobs, owners
from toft.fleet.commands import Words
from toft.fleet.execute import start_all
from toft.fleet.failures import Failure
from toft.fleet.fleet import Fleet, assemble, new_id, now
from toft.fleet.offload import Offload, start
from toft.store.records import Job

HERE = Transport("here", "local", "here")
DEAD = "999999999 1"


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    for kind in ("CONFIG", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind.lower()))
    made = assemble(dict(os.environ), tmp_path)
    yield made
    made.store.close()


def killed(fleet: Fleet, **more: object) -> Job:
    """A job as a toft leaves it that was killed with -9."""
    job = Job(new_id(), ("true",), now(), owner=DEAD)
    run_dir = fleet.engine.runs / job.id
    run_dir.mkdir(parents=True)
    job = replace(job, run_dir=str(run_dir), **more)  # type: ignore[arg-type]
    fleet.store.add(job)
    return job


def node_job(job_id: str, argv: list[str]) -> dict:
    blank = {"shell": None, "cwd": None, "workdir": None, "env": {}, "timeout_s": None, "stdin": "none", "tty": None}
    return {"id": job_id, "argv": argv, **blank}


def start_on_node(job_id: str, argv: list[str]) -> dict:
    (answer,) = ask_all([(HERE, {"verb": "start", "job": node_job(job_id, argv)})], 20)
    assert isinstance(answer, dict)
    return answer


def intent(job: Job) -> Intent:
    return Intent(job.id, "here", HERE.to_dict(), job.command, now())


def test_killed_before_anything_was_declared(fleet: Fleet) -> None:
    job = killed(fleet)
    (found,) = jobs.listed(fleet)
    assert (found.state, found.exit_code, found.origin) == ("not_started", 125, "toft")
    with pytest.raises(Cancelled):
        declare(Path(job.run_dir or ""), [intent(job)])


def test_killed_between_the_declaration_and_the_start(fleet: Fleet) -> None:
    job = killed(fleet)
    declare(Path(job.run_dir or ""), [intent(job)])
    (found,) = jobs.listed(fleet)
    assert (found.node, found.state, found.exit_code) == ("here", "not_started", 125)
    assert start_on_node(job.id, ["true"])["ok"] is False, "the node refuses it for ever"


def test_killed_after_the_start(fleet: Fleet) -> None:
    job = killed(fleet)
    declare(Path(job.run_dir or ""), [intent(job)])
    assert start_on_node(job.id, ["sh", "-c", "exit 9"])["ok"]
    found = jobs.find(fleet, job.id)
    while not found.final:
        found = jobs.find(fleet, job.id)
    assert (found.state, found.exit_code, found.node) == ("exited", 9, "here")
    assert not Path(job.run_dir or "").exists()


def test_a_job_whose_toft_lives_is_left_to_it(fleet: Fleet) -> None:
    killed(fleet, owner=owners.me())
    (found,) = jobs.listed(fleet)
    assert found.state == "queued"


def test_an_exec_that_was_killed_is_adopted(fleet: Fleet) -> None:
    run_dir = fleet.engine.runs / "xabc"
    run_dir.mkdir(parents=True)
    (run_dir / "owner").write_text(DEAD)
    (run_dir / "request.json").write_text('{"words": ["true"]}')
    declare(run_dir, [Intent("xabc-1", "here", HERE.to_dict(), ("true",), now())])
    (found,) = jobs.listed(fleet)
    assert (found.id, found.node, found.state) == ("xabc-1", "here", "not_started")


def test_a_silent_node_changes_nothing(fleet: Fleet) -> None:
    gone = replace(HERE, kind="other", reason="for this test").to_dict()
    killed(fleet, transport=gone, node="gone", state="running")
    (found,) = jobs.listed(fleet)
    assert found.state == "running"


def test_short_ids(fleet: Fleet) -> None:
    job = killed(fleet, state="exited", exit_code=0)
    assert jobs.find(fleet, job.id[:5]).id == job.id
    with pytest.raises(Failure, match="there is no job"):
        jobs.find(fleet, "nope")
    killed(fleet, state="exited", exit_code=0)
    with pytest.raises(Failure, match="beginning of 2 job ids"):
        jobs.find(fleet, "j")


def test_signal_and_remove_on_the_wrong_state(fleet: Fleet) -> None:
    done = killed(fleet, state="exited", exit_code=0)
    with pytest.raises(Failure, match="has ended already"):
        jobs.signal(fleet, done, "TERM")
    running = killed(fleet, state="running", transport=HERE.to_dict())
    with pytest.raises(Failure, match="still running"):
        jobs.remove(fleet, running)


def test_owners() -> None:
    assert owners.alive(owners.me())
    assert not owners.alive(DEAD)
    assert not owners.alive(None)
    assert not owners.alive(f"{os.getpid()} 1"), "a process id that is another's by now"


@pytest.mark.parametrize("use", ["offload", "exec"])
def test_a_job_that_was_started_when_its_run_was_broken_off_is_kept(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    def broken_off(self: object, request: Request) -> Refused:
        job_id = str(request.label) + ("-1" if use == "exec" else "")
        (fleet.engine.runs / str(request.label)).mkdir(parents=True)
        declare(
            fleet.engine.runs / str(request.label), [Intent(job_id, "here", HERE.to_dict(), ("sleep", "60"), now())]
        )
        assert start_on_node(job_id, ["sleep", "60"])["ok"]
        return Refused("cancelled", "stopped")

    monkeypatch.setattr(Engine, "run", broken_off)
    asked = Offload(Words(("sleep", "60")))
    job = start(fleet, asked, print).job if use == "offload" else start_all(fleet, "all", asked)[0].job
    try:
        assert (job.state, job.node) == ("running", "here")
        assert [j.state for j in jobs.listed(fleet)] == ["running"]
    finally:
        jobs.signal(fleet, job, "KILL")


@pytest.mark.parametrize("use", ["offload", "exec"])
def test_a_run_broken_off_before_its_start_leaves_nothing_that_could_start(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, use: str
) -> None:
    runs: list[Path] = []

    def broken_off(self: object, request: Request) -> Refused:
        runs.append(fleet.engine.runs / str(request.label))
        runs[0].mkdir(parents=True)
        job_id = str(request.label) + ("-1" if use == "exec" else "")
        declare(runs[0], [Intent(job_id, "here", HERE.to_dict(), ("true",), now())])
        return Refused("cancelled", "stopped")

    monkeypatch.setattr(Engine, "run", broken_off)
    asked = Offload(Words(("true",)))
    with pytest.raises(Failure):
        start(fleet, asked, print) if use == "offload" else start_all(fleet, "all", asked)
    assert not runs[0].exists()
    assert start_on_node(runs[0].name + ("-1" if use == "exec" else ""), ["true"])["ok"] is False
