"""What is announced when the command line sends work away, by recorded stand-ins for the programs that say it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.command import Toft, until

MAKE = "make -f /dev/null all || true"
HEAVY = "Heavy compilation detected, offloading to builder node."
THREE = ["true", "echo 2", "echo 3"]
TOGETHER = "Running three commands in parallel across the cluster."


@pytest.fixture
def recorder(lab_toft: Toft, tmp_path: Path) -> Path:
    """Where `notify-send` and `say` write what they were called with: a directory, a file for each call."""
    programs, calls = tmp_path / "programs", tmp_path / "calls"
    programs.mkdir()
    calls.mkdir()
    for name in ("notify-send", "say"):
        (programs / name).write_text(f'#!/bin/sh\nprintf "%s\\0" "$@" > {calls}/.$$ && mv {calls}/.$$ {calls}/$$\n')
        (programs / name).chmod(0o755)
    lab_toft.env["PATH"] = f"{programs}:{os.environ['PATH']}"
    return calls


def said(calls: Path) -> list[list[str]]:
    return [file.read_text().split("\0")[:-1] for file in calls.iterdir() if not file.name.startswith(".")]


def configure(toft: Toft, how: str) -> None:
    path = toft.home / "config/toft/config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"announce: {how}\n")


def no_program_has_said_anything(toft: Toft, recorder: Path) -> None:
    """Nobody waits for a program: so one more announcement is made, and is to be the only one that arrives."""
    configure(toft, "speech")
    toft("offload", "n3", "true")
    until(lambda: said(recorder), what="the announcement")
    assert said(recorder) == [["Running a command on n3."]]


def test_off_by_default(lab_toft: Toft, recorder: Path) -> None:
    done = lab_toft("offload", MAKE)
    assert b"Heavy" not in done.stderr
    assert b"Running" not in lab_toft("parallel", *THREE).stderr
    no_program_has_said_anything(lab_toft, recorder)


def test_as_text_before_the_first_byte(lab_toft: Toft, recorder: Path) -> None:
    configure(lab_toft, "text")
    done = lab_toft("offload", f"echo first >&2; {MAKE}")
    lines = done.stderr.decode().splitlines()
    assert lines[:2] == [f"toft: {HEAVY}", "first"]
    assert lab_toft("offload", "n3", "hostname").stderr == b"toft: Running a command on n3.\n"
    assert b"Running" not in lab_toft("-q", "offload", "n3", "hostname").stderr
    several = lab_toft("parallel", *THREE).stderr.decode().splitlines()
    assert several[0] == f"toft: {TOGETHER}"
    assert lab_toft("parallel", MAKE).stderr.decode().splitlines()[0] == f"toft: {HEAVY}"
    # JSON stays one document on stdout.
    assert lab_toft.json("offload", "n3", "hostname")["exit_code"] == 0
    no_program_has_said_anything(lab_toft, recorder)


@pytest.mark.parametrize(
    ("how", "words"), [("notification", ["--app-name=toft", "toft"]), ("speech", [])], ids=["notification", "speech"]
)
def test_a_program_says_it_and_stderr_does_not(lab_toft: Toft, recorder: Path, how: str, words: list[str]) -> None:
    configure(lab_toft, how)
    hostile = "true $(touch /tmp/canary) {{ 7 * 7 }} \x1b[31m"
    assert lab_toft("offload", "n3", hostile).stderr == b""
    until(lambda: said(recorder), what="the announcement")
    assert said(recorder) == [[*words, "Running a command on n3."]]
    assert b"across" not in lab_toft("parallel", *THREE).stderr
    until(lambda: len(said(recorder)) == 2, what="the second announcement")
    assert [*words, TOGETHER] in said(recorder)


def test_one_that_is_missing_or_fails_changes_nothing(lab_toft: Toft, recorder: Path) -> None:
    configure(lab_toft, "speech")
    say = recorder.with_name("programs") / "say"
    say.write_text("#!/bin/sh\nexit 1\n")
    done = lab_toft("offload", "n3", "sh", "-c", "echo out; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"")
    say.write_text("#!/nonexistent\n")
    done = lab_toft("offload", "n3", "true")
    assert (done.returncode, done.stderr) == (0, b"toft: Running a command on n3.\n")
    lab_toft.env["PATH"] = os.environ["PATH"]
    assert lab_toft("offload", "n3", "true").stderr == b"toft: Running a command on n3.\n"


def test_a_repository_cannot_make_it_speak(lab_toft: Toft, tmp_path: Path) -> None:
    (tmp_path / ".toft.yaml").write_text("announce: speech\n")
    done = lab_toft("offload", "n3", "true")
    assert done.returncode == 2
    assert b"may not be set by a repository" in done.stderr


def test_what_stays_here_is_not_announced(toft: Toft) -> None:
    configure(toft, "text")
    assert toft("offload", "echo", "here").stderr == b""
    assert b"across" not in toft("parallel", "true", "echo").stderr
