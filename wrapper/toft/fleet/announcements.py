"""One sentence when work is sent away: shown, as a notification, or spoken.

Off unless the owner's configuration says otherwise (`announce: text`). The sentence is made of templates, a
node's name and a topic; no word of a command's arguments gets into it, so nothing in it can surprise a speech program.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

TEMPLATES: Mapping[str, str] = {
    "docker": "Routing {work} to {node} for Docker execution.",
    "podman": "Routing {work} to {node} for container execution.",
    "gpu": "Routing {work} to {node} for its GPU.",
    "linux_required": "Routing {work} to {node}, which runs Linux.",
    "macos_required": "Routing {work} to {node}, which runs macOS.",
    "capability": "Routing {work} to {node}, which has what it needs.",
    "heavy_computation": "Heavy {load} detected, offloading to {role} node.",
    "local_overloaded": "This machine is busy, routing {work} to {node}.",
    "preference": "Routing {work} to {node}, as preferred.",
    "specialization": "Routing {work} to {node}, its specialist.",
    "explicit": "Running {work} on {node}.",
    "least_loaded": "Routing {work} to {node}, the least loaded.",
}
WORK = (
    (r"docker(?:\s+\S+)*?\s+build\b|podman\s+build\b|\bbuild\b|\bmake\b|\bninja\b|\bcompile", "build"),
    (r"\bpytest\b|\btests?\b|\bjest\b|\bvitest\b|\bcheck\b", "tests"),
)
LOAD = {"build": "compilation", "tests": "testing"}
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
SPEAKERS: tuple[tuple[str, ...], ...] = (("say",), ("espeak-ng",), ("espeak",), ("spd-say",))
NOTIFIERS: tuple[tuple[str, ...], ...] = (
    ("notify-send", "--app-name=toft", "toft"),
    ("terminal-notifier", "-title", "toft", "-message"),
)


def sentence(words: Sequence[str], decision: Mapping[str, Any], groups: Sequence[str] = ()) -> str | None:
    """What went where, and why; None when it stays here."""
    reason, node = decision["reason"], decision["node"]
    if node is None or reason == "local":
        return None
    work = kind(" ".join(words))
    needed = str(decision.get("why", "")).lower()
    key = next((need for need in ("docker", "podman", "gpu") if reason == "capability" and need in needed), reason)
    role = "builder" if any(group in ("builder", "builders") for group in groups) else node
    return TEMPLATES.get(key, "Routing {work} to {node}.").format(
        work=work, node=node, role=role, load=LOAD.get(work, "computation")
    )


def together(count: int, work: str = "") -> str:
    """Several at once: `Running three test suites in parallel across the cluster.`"""
    number = NUMBERS[count] if count < len(NUMBERS) else str(count)
    what = {"tests": "test suite", "build": "build"}.get(work, "command")
    return f"Running {number} {what}{'' if count == 1 else 's'} in parallel across the cluster."


def kind(command: str) -> str:
    """`build`, `tests` or `a command`, from the words of a command."""
    return next((name for pattern, name in WORK if re.search(pattern, command)), "a command")


def announce(
    text: str, how: str, show: Callable[[str], None], find: Callable[[str], str | None] = shutil.which
) -> None:
    """`how` is the setting: off, text, notification or speech. A program that is missing costs a line, nothing else."""
    if how == "off":
        return
    programs = {"speech": SPEAKERS, "notification": NOTIFIERS}.get(how, ())
    argv = next((program for program in programs if find(program[0])), None)
    if argv is None:
        show(text)
        return
    quiet = subprocess.DEVNULL
    settings: dict[str, Any] = {
        "stdin": quiet,
        "stdout": quiet,
        "stderr": quiet,
        "start_new_session": True,
        "check": False,
    }
    # A thread waits for it: nobody else should, and nobody else would take its exit code.
    threading.Thread(target=subprocess.run, args=([*argv, text],), kwargs=settings, daemon=True).start()
