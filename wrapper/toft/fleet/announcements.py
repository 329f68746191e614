"""One sentence when work is sent away: shown, as a notification, or spoken.

Off unless the owner's configuration says otherwise (`announce: text`). A sentence is made of templates, a node's
name and what kind of work the rules take the command for; no word of the command gets into it, so nothing in it
can surprise a screen or a speech program. That program is started and left alone: it gets no shell, no input and
no time of ours, and what becomes of it changes nothing.

The use cases announce (`start` for a job, `run` for several); a face only shows what no program says.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import rules, shell

from toft.fleet.fleet import Fleet
from toft.fleet.unattended import begin

TEMPLATES: Mapping[str, str] = {
    "docker": "Routing {work} to {node} for Docker execution.",
    "podman": "Routing {work} to {node} for container execution.",
    "gpu": "Routing {work} to {node} for its GPU.",
    "linux_required": "Routing {work} to {node}, which runs Linux.",
    "macos_required": "Routing {work} to {node}, which runs macOS.",
    "capability": "Routing {work} to {node}, which has what it needs.",
    "heavy_computation": "Heavy {load} detected, offloading to builder node.",
    "local_overloaded": "This machine is busy, routing {work} to {node}.",
    "preference": "Routing {work} to {node}, as preferred.",
    "specialization": "Routing {work} to {node}, its specialist.",
    "explicit": "Running {work} on {node}.",
    "least_loaded": "Routing {work} to {node}, the least loaded.",
}
TOPICS = {"tests": "tests", "builds": "build"}
"""In this order: `cargo test` is about both."""
LOAD = {"build": "compilation", "tests": "testing"}
SEVERAL = {"build": "build", "tests": "test suite"}
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
PROGRAMS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "speech": (("say",), ("espeak-ng",), ("espeak",), ("spd-say",)),
    "notification": (
        ("notify-send", "--app-name=toft", "toft"),
        ("terminal-notifier", "-title", "toft", "-message"),
    ),
}
"""For each way, what may be there; the text becomes the last word. The first that is found is taken."""


@dataclass(frozen=True)
class Announcement:
    """`aloud`: a program shows or speaks it. Otherwise it is for the face to show."""

    text: str
    aloud: bool = False

    def show(self, say: Callable[[str], None]) -> None:
        if not self.aloud:
            say(self.text)


def of_job(fleet: Fleet, command: Sequence[str], decision: Mapping[str, Any]) -> Announcement | None:
    """A command that runs on another machine. None if announcing is off."""
    if fleet.settings.announce == "off":
        return None
    return announce(sentence(needs(fleet, command), decision), fleet.settings.announce, fleet.engine.environment)


def of_several(fleet: Fleet, commands: Sequence[str]) -> Announcement | None:
    """Shell lines that run at once, some of them on other machines. None if announcing is off."""
    if fleet.settings.announce == "off":
        return None
    kinds = {kind(needs(fleet, [command])) for command in commands}
    text = together(len(commands), kinds.pop() if len(kinds) == 1 else "")
    return announce(text, fleet.settings.announce, fleet.engine.environment)


def needs(fleet: Fleet, command: Sequence[str]) -> rules.Requirement:
    """What routing takes the command for; one word is a shell line, several are an argv."""
    line = shell.parse(command[0]) if len(command) == 1 else shell.parse_argv(command)
    known = rules.with_user_rules(rules.built_in(), [dict(rule) for rule in fleet.settings.rules])
    return rules.requirement(line, known)


def sentence(needed: rules.Requirement, decision: Mapping[str, Any]) -> str:
    """What went where, and why."""
    reason, work = decision["reason"], kind(needed) or "a command"
    special = next((each for each in ("docker", "podman", "gpu") if each in needed.capabilities), reason)
    template = TEMPLATES.get(special if reason == "capability" else reason, "Routing {work} to {node}.")
    return template.format(work=work, node=decision["node"], load=LOAD.get(work, "computation"))


def together(count: int, work: str = "") -> str:
    """`Running three test suites in parallel across the cluster.`"""
    number = NUMBERS[count] if count < len(NUMBERS) else str(count)
    plural = "" if count == 1 else "s"
    return f"Running {number} {SEVERAL.get(work, 'command')}{plural} in parallel across the cluster."


def kind(needed: rules.Requirement) -> str:
    """`build`, `tests` or nothing that has a name."""
    return next((name for topic, name in TOPICS.items() if topic in needed.topics), "")


def announce(text: str, how: str, env: Mapping[str, str]) -> Announcement:
    """`how` is the setting, not `off`. A program that is missing or does not start costs a line of text."""
    for name, *words in PROGRAMS.get(how, ()):
        if program := shutil.which(name, path=env.get("PATH", os.defpath)):
            return Announcement(text, aloud=begin((program, *words, text), env))
    return Announcement(text)
