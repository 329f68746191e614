"""Sentences from what the rules take a command for; the programs that show or speak them."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils import rules, shell
from toft.fleet.announcements import announce, kind, sentence, together

from tests.command import until

CAPABILITY = {"node": "macpro51", "reason": "capability", "why": "`x` needs it, and macpro51 is the only one."}
HEAVY = {"node": "macpro51", "reason": "heavy_computation"}
NAMED = {"node": "n1", "reason": "explicit"}
TEXT = "Running it on n1; `touch /tmp/x` $(true) {{ 7 }}"


def needs(command: str) -> rules.Requirement:
    return rules.requirement(shell.parse(command), rules.built_in())


@pytest.mark.parametrize(
    ("command", "decision", "said"),
    [
        ("docker build -t x .", CAPABILITY, "Routing build to macpro51 for Docker execution."),
        ("docker ps", CAPABILITY, "Routing a command to macpro51 for Docker execution."),
        ("make -j8", HEAVY, "Heavy compilation detected, offloading to builder node."),
        ("cargo test", HEAVY, "Heavy testing detected, offloading to builder node."),
        ("ffmpeg -i a b", HEAVY, "Heavy computation detected, offloading to builder node."),
        ("uptime", {"node": "n1", "reason": "local_overloaded"}, "This machine is busy, routing a command to n1."),
        ("pytest", {"node": "n2", "reason": "preference"}, "Routing tests to n2, as preferred."),
        ("uptime", {"node": "n1", "reason": "something_new"}, "Routing a command to n1."),
        # The words of a command are no work, and none of them is said.
        ("$(touch /tmp/x) {node} \x1b[31m", NAMED, "Running a command on n1."),
        ("git commit -m 'build and test'", NAMED, "Running a command on n1."),
        ("cat docker.log", NAMED, "Running a command on n1."),
    ],
)
def test_sentences(command: str, decision: dict[str, str], said: str) -> None:
    assert sentence(needs(command), decision) == said


def test_several() -> None:
    assert together(3, kind(needs("cargo test"))) == "Running three test suites in parallel across the cluster."
    assert together(2, "build") == "Running two builds in parallel across the cluster."
    assert together(12) == "Running 12 commands in parallel across the cluster."


@pytest.fixture
def voice(tmp_path: Path) -> Callable[..., Path]:
    """A program of this name that writes down its argv, then does as told; where it writes."""

    def made(name: str, then: str = "") -> Path:
        heard = tmp_path / "heard"
        script = f'#!/bin/sh\nprintf "%s\\0" "$0" "$@" > {heard}.new && mv {heard}.new {heard}\n{then}\n'
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
        return heard

    return made


def path(tmp_path: Path) -> dict[str, str]:
    return {"PATH": f"{tmp_path}:/usr/bin:/bin"}


@pytest.mark.parametrize(
    ("how", "program", "words"),
    [
        ("speech", "say", []),
        ("speech", "espeak-ng", []),
        ("notification", "notify-send", ["--app-name=toft", "toft"]),
        ("notification", "terminal-notifier", ["-title", "toft", "-message"]),
    ],
)
def test_the_text_is_one_word_of_its_argv(
    tmp_path: Path, voice: Callable[..., Path], how: str, program: str, words: list[str]
) -> None:
    heard = voice(program)
    assert announce(TEXT, how, path(tmp_path)).aloud
    until(heard.exists, what="the announcement")
    assert heard.read_text().split("\0")[:-1] == [str(tmp_path / program), *words, TEXT]


def test_text_starts_nothing(tmp_path: Path) -> None:
    said = announce("a", "text", path(tmp_path))
    assert (said.text, said.aloud) == ("a", False)


@pytest.mark.parametrize("how", ["speech", "notification"])
def test_without_a_program_it_is_text(tmp_path: Path, how: str) -> None:
    assert not announce("a", how, {"PATH": str(tmp_path)}).aloud
    assert not announce("a", how, {}).aloud


def test_a_program_that_does_not_start_is_none(tmp_path: Path) -> None:
    (tmp_path / "say").write_text("#!/nonexistent/interpreter\n")
    (tmp_path / "say").chmod(stat.S_IRWXU)
    assert not announce("a", "speech", path(tmp_path)).aloud


def written(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def test_a_program_that_does_not_end_is_not_waited_for(tmp_path: Path, voice: Callable[..., Path]) -> None:
    """It writes its process id, and is still there after the call."""
    heard = voice("say", f"mkfifo {tmp_path}/fifo; echo $$ > {tmp_path}/pid; read line < {tmp_path}/fifo")
    assert announce("a", "speech", path(tmp_path)).aloud
    until(heard.exists)
    pid = int(until(lambda: written(tmp_path / "pid"), what="its id"))
    with open(tmp_path / "fifo", "w") as fifo:  # somebody reads: it is still there
        fifo.write("go\n")
    until(lambda: not Path(f"/proc/{pid}").exists(), what="its end, and that its exit code was taken")
