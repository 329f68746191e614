"""The job directory: what state follows from what stands in it, and who gets an id."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.module_utils import intake, jobs

CASES = json.loads((Path(__file__).parent / "cases" / "job_states.json").read_text())
NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def stay_here() -> Any:
    """Binding the socket moves the process to / and the umask is the node program's."""
    here, mask = Path.cwd(), os.umask(0o077)
    yield
    os.chdir(here)
    os.umask(mask)


@pytest.fixture
def inbox(tmp_path: Path) -> intake.Intake:
    made = intake.Intake(str(tmp_path / "toft" / "jobs"))
    made.prepare()
    return made


def accepted(job_id: str) -> dict[str, Any]:
    return {"id": job_id, "boot_id": "b1", "command": "true", "cwd": "/"}


def record(inbox: intake.Intake, job_id: str, boot: str = "b1") -> dict[str, Any] | None:
    return jobs.Jobs(inbox.root).record(job_id, boot)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_state_follows_from_the_files(case: dict[str, Any]) -> None:
    found = jobs.judge(accepted("j123"), case["spawned"], case["result"], case["alive"], case["boot"])
    assert found["state"] == case["state"]
    assert (found["error"] or {}).get("code") == case["error"]
    assert found["id"] == "j123"
    if case["state"] in ("lost", "unknown", "not_started", "running"):
        assert found["exit_code"] is None


@pytest.mark.parametrize("job_id", ["abc", "j0123456789", "0-0", "a" * 41])
def test_ids_that_are(job_id: str) -> None:
    assert jobs.valid(job_id)


@pytest.mark.parametrize("job_id", ["ab", "a" * 42, "-ab", "Abc", "a.b", "../x", "a b", "äbc", "abc\n", "", None, 5])
def test_ids_that_are_not(job_id: object) -> None:
    assert not jobs.valid(job_id)


def test_times_have_milliseconds() -> None:
    assert jobs.stamp(0.0) == "1970-01-01T00:00:00.000Z"
    assert jobs.stamp(1_700_000_000.1239) == "2023-11-14T22:13:20.123Z"


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (errno.ENOSPC, "disk_full", "disk full on /x"),
        (errno.EDQUOT, "disk_full", "disk full on /x (quota)"),
        (errno.EROFS, "read_only", "read-only file system: /x"),
        (errno.EMFILE, "no_files", "too many open files: /x"),
        (errno.EAGAIN, "no_process", "no more processes: /x"),
        (errno.EIO, "os_error", "/x: Input/output error"),
    ],
)
def test_the_systems_refusals_have_names(number: int, code: str, message: str) -> None:
    found = jobs.refusal(OSError(number, os.strerror(number)), "/x")
    assert (found.code, found.message) == (code, message)


def test_a_draft_becomes_a_job_by_its_id(inbox: intake.Intake) -> None:
    job = inbox.draft(accepted("j123"))
    assert jobs.Jobs(inbox.root).ids() == []
    assert inbox.accept(job, "j123")
    assert jobs.Jobs(inbox.root).ids() == ["j123"]
    found = record(inbox, "j123")
    assert found is not None
    assert found["state"] == "running"
    job.release()
    found = record(inbox, "j123")
    assert found is not None
    assert (found["state"], found["error"]["code"]) == ("not_started", "never_spawned")


def test_everything_is_its_owners_alone(inbox: intake.Intake) -> None:
    job = inbox.draft(accepted("j123"))
    inbox.accept(job, "j123")
    job.release()
    for path in (Path(inbox.root), *Path(inbox.root).rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode & 0o077 == 0, path


def test_one_of_many_gets_the_id(inbox: intake.Intake) -> None:
    drafts = [inbox.draft(accepted("j123")) for _ in range(20)]
    won: list[bool] = []
    threads = [threading.Thread(target=lambda d=d: won.append(inbox.accept(d, "j123"))) for d in drafts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 19 + [True]
    assert os.listdir(inbox.root) == ["j123"]
    for draft in drafts:
        draft.release()


def test_a_result_needs_no_new_room(inbox: intake.Intake) -> None:
    job = inbox.draft(accepted("j123"))
    inbox.accept(job, "j123")
    before = Path(job.file("result.tmp")).stat()
    assert before.st_blocks * 512 >= intake.RESULT_BYTES
    job.finish({"state": "exited", "exit_code": 4})
    assert Path(job.file(jobs.RESULT)).stat().st_ino == before.st_ino
    assert not Path(job.file(jobs.RESERVE)).exists()
    job.release()
    found = record(inbox, "j123", "b2")
    assert found is not None
    assert (found["state"], found["exit_code"]) == ("exited", 4)


def test_output_that_a_power_cut_took_is_counted(inbox: intake.Intake) -> None:
    job = inbox.draft(accepted("j123"))
    inbox.accept(job, "j123")
    Path(job.file("stdout")).write_bytes(b"12345")
    job.finish({"state": "exited", "exit_code": 0, "stdout_bytes": 9, "stderr_bytes": 0, "lost_bytes": 1})
    job.release()
    found = record(inbox, "j123")
    assert found is not None
    assert (found["stdout_bytes"], found["lost_bytes"]) == (5, 5)


@pytest.mark.parametrize("left", [b"", b"{", b"\0\0\0\0", b'"text"'])
def test_a_result_cut_by_a_power_failure_is_none(inbox: intake.Intake, left: bytes) -> None:
    job = inbox.draft(accepted("j123"))
    inbox.accept(job, "j123")
    Path(job.file(jobs.RESULT)).write_bytes(left)
    job.release()
    found = record(inbox, "j123", "b2")
    assert found is not None
    assert found["state"] == "lost"


def test_a_dead_job_is_no_longer_counted_as_live(inbox: intake.Intake) -> None:
    job = inbox.draft(accepted("j123"))
    inbox.accept(job, "j123")
    live = Path(job.file(jobs.LIVE))
    live.write_text("b1\n")
    record(inbox, "j123")
    assert live.exists()
    job.release()
    record(inbox, "j123")
    assert not live.exists()


def test_a_cancelled_id_is_taken(inbox: intake.Intake) -> None:
    assert inbox.cancel("j123", NOW, "b1")
    assert not inbox.cancel("j123", NOW, "b1")
    assert not inbox.accept(inbox.draft(accepted("j123")), "j123")
    found = record(inbox, "j123")
    assert found is not None
    assert (found["state"], found["error"]["code"]) == ("not_started", "cancelled")
    assert os.listdir(inbox.root) == ["j123"]


def test_only_what_has_ended_is_removed(inbox: intake.Intake) -> None:
    job = inbox.draft(accepted("j123"))
    inbox.accept(job, "j123")
    with pytest.raises(jobs.Refused) as refused:
        inbox.remove("j123")
    assert refused.value.code == "still_running"
    job.release()
    inbox.remove("j123")
    assert os.listdir(inbox.root) == []
    with pytest.raises(jobs.Refused) as refused:
        inbox.remove("j123")
    assert refused.value.code == "never_seen"


def test_what_killed_programs_left_is_tidied_after_an_hour(inbox: intake.Intake) -> None:
    kept = inbox.draft(accepted("j123"))
    dead = inbox.draft(accepted("j124"))
    dead.release()
    made = Path(dead.path).stat().st_mtime
    inbox.tidy(made + 60)
    assert len(os.listdir(inbox.root)) == 2
    inbox.tidy(made + 2 * intake.ABANDONED_S)
    assert os.listdir(inbox.root) == [Path(kept.path).name]
    kept.release()


def test_a_root_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(jobs.Refused):
        intake.Intake(str(tmp_path / "file" / "jobs")).prepare()
