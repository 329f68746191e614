from dataclasses import replace
from pathlib import Path

import pytest
from toft.fleet.failures import Failure
from toft.fleet.joblog import HEAD, JobLog, of_job, read
from toft.store.records import Job

JOB = Job(
    "jx", ("make",), "2026-01-01T00:00:00.000Z", node="n1", state="exited", exit_code=0,
    started_at="2026-01-01T00:00:01.500Z", duration_s=2.25, stdout_bytes=7, stderr_bytes=3,
)  # fmt: skip


def test_a_line_has_the_columns_of_gnu_parallel(tmp_path: Path) -> None:
    log = JobLog(tmp_path / "log")
    line = of_job(3, "make", JOB, 0)
    assert line is not None
    log.add(line)
    head, row, _ = (tmp_path / "log").read_text().split("\n")
    assert head == HEAD
    assert row == "3\tn1\t1767225601.500\t     2.250\t0\t10\t0\t0\tmake"


def test_what_was_never_started_has_no_line() -> None:
    assert of_job(1, "make", replace(JOB, state="not_started"), 125) is None


@pytest.mark.parametrize(
    ("state", "code", "signal", "fate"),
    [
        ("exited", 0, None, "done"),
        ("exited", 3, None, "failed"),
        ("signaled", 137, 9, "failed"),
        ("timed_out", 124, None, "failed"),
        ("lost", 254, None, "failed"),
        ("unknown", 255, None, "unknown"),
        ("running", 255, None, "unknown"),
    ],
)
def test_what_a_line_says(tmp_path: Path, state: str, code: int, signal: int | None, fate: str) -> None:
    line = of_job(1, "make", replace(JOB, state=state, signal=signal), code)
    assert line is not None
    JobLog(tmp_path / "log").add(line)
    assert read(tmp_path / "log", ["make"])[1].fate == fate


def test_the_last_line_of_a_number_counts(tmp_path: Path) -> None:
    for code in (1, 0):
        line = of_job(1, "make", JOB, code)
        assert line is not None
        JobLog(tmp_path / "log").add(line)
    assert read(tmp_path / "log", ["make"])[1].fate == "done"


def test_a_command_of_several_lines_is_one_line(tmp_path: Path) -> None:
    command = "echo a\necho\tb \\n \udcff"
    line = of_job(1, command, JOB, 0)
    assert line is not None
    JobLog(tmp_path / "log").add(line)
    assert read(tmp_path / "log", [command]).keys() == {1}


def test_no_file_is_an_empty_log(tmp_path: Path) -> None:
    assert read(tmp_path / "none", ["make"]) == {}


def test_gnu_parallels_own_log_is_understood(tmp_path: Path) -> None:
    rows = ["2\t:\t1700000000.123\t     0.003\t0\t5\t1\t0\tfalse", "1\t:\t1700000000.121\t     0.002\t0\t0\t0\t0\ttrue"]
    (tmp_path / "log").write_text("\n".join([HEAD, *rows, ""]))
    assert {n: line.fate for n, line in read(tmp_path / "log", ["true", "false"]).items()} == {2: "failed", 1: "done"}


NONE = (
    "nonsense\n",
    "1\tn1\tx\t1\t0\t0\t0\t0\tmake\n",
    "1\tn1\t1\t1\t0\t0\t0\t0\tother\n",
    "9\tn1\t1\t1\t0\t0\t0\t0\tmake\n",
)


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_log_of_these_commands_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "log").write_text(text)
    with pytest.raises(Failure):
        read(tmp_path / "log", ["make"])
