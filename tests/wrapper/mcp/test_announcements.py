from __future__ import annotations

from pathlib import Path

import pytest
from toft.fleet.announcements import announce, sentence, together

DOCKER = {"node": "macpro51", "reason": "capability", "why": "`docker` needs docker"}
HEAVY = {"node": "macpro51", "reason": "heavy_computation"}
HEAVY_ON = "Heavy {} detected, offloading to {} node."


@pytest.mark.parametrize(
    ("command", "decision", "groups", "said"),
    [
        ("docker build -t x .", DOCKER, (), "Routing build to macpro51 for Docker execution."),
        ("make -j8", HEAVY, ("builders",), HEAVY_ON.format("compilation", "builder")),
        ("pytest", HEAVY, (), HEAVY_ON.format("testing", "macpro51")),
        ("uptime", {"node": "n1", "reason": "local_overloaded"}, (), "This machine is busy, routing a command to n1."),
        ("make", {"node": "here", "reason": "local"}, (), None),
        ("make", {"node": None, "reason": "none_eligible"}, (), None),
        ("$(touch /tmp/x) {node}", {"node": "n1", "reason": "explicit"}, (), "Running a command on n1."),
    ],
)
def test_sentences(command: str, decision: dict, groups: tuple[str, ...], said: str | None) -> None:
    assert sentence([command], decision, groups) == said


def test_several() -> None:
    assert together(3, "tests") == "Running three test suites in parallel across the cluster."
    assert together(12) == "Running 12 commands in parallel across the cluster."
    assert together(1, "build") == "Running one build in parallel across the cluster."


def test_off_says_nothing_and_a_missing_voice_is_text() -> None:
    shown: list[str] = []
    announce("a", "off", shown.append)
    announce("b", "text", shown.append)
    announce("c", "speech", shown.append, find=lambda program: None)
    assert shown == ["b", "c"]


@pytest.mark.parametrize(("how", "program"), [("speech", "espeak-ng"), ("notification", "notify-send")])
def test_a_program_speaks_and_the_text_is_one_word_of_its_argv(
    tmp_path: Path, monkeypatch, how: str, program: str
) -> None:
    heard = tmp_path / "heard"
    voice = tmp_path / program
    voice.write_text(f'#!/bin/sh\nfor last; do :; done\nprintf %s "$last" > {heard}.new\nmv {heard}.new {heard}\n')
    voice.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    announce("Running it on n1; `x`", how, pytest.fail)
    from tests.command import until

    until(heard.exists, what="the announcement")
    assert heard.read_text() == "Running it on n1; `x`"
