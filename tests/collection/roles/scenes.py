"""Tasks of a role, played against recorded facts with stand-ins for what would change or ask the machine.

Each scene is a play with a host of its own name and a directory of its own, which is ROOM to the stand-ins; all are
played by one run of Ansible.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COLLECTION = Path(__file__).parents[3] / "collection"
ROLES = COLLECTION / "ansible_collections/toft/fleet/roles"


@dataclass(frozen=True)
class Scene:
    name: str
    room: str
    tasks: Sequence[tuple[str, str]]
    """Roles, and which of their tasks."""
    facts: Mapping[str, Any]
    variables: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    changed: Mapping[str, int]
    failed: Mapping[str, bool]
    said: Mapping[str, str]
    """What Ansible printed for the scene."""


def stand_in(place: Path, **programs: str) -> None:
    (place / "bin").mkdir(exist_ok=True)
    for name, does in programs.items():
        (place / "bin" / name).write_text(f"#!/bin/sh\n{does}\n")
        (place / "bin" / name).chmod(0o755)


def play(scene: Scene, place: Path) -> dict[str, Any]:
    room = place / scene.room
    room.mkdir(exist_ok=True)
    environment = {"PATH": f"{place}/bin:{os.environ['PATH']}", "ROOM": str(room), "SCENE": scene.name}
    return {
        "name": scene.name,
        # Where all hosts of a play fail, no other play follows.
        "hosts": f"{scene.name}:rest",
        "gather_facts": False,
        "environment": environment | dict(scene.environment),
        "tasks": [
            {"ansible.builtin.meta": "end_host", "when": "inventory_hostname == 'rest'"},
            {"ansible.builtin.set_fact": dict(scene.facts) | {"cacheable": True}},
            {"ansible.builtin.set_fact": {"scene": scene.name} | dict(scene.variables)},
            *(
                {"ansible.builtin.include_role": {"name": f"toft.fleet.{role}", "tasks_from": tasks}}
                for role, tasks in scene.tasks
            ),
        ],
    }


def run(place: Path, scenes: Sequence[Scene], *options: str) -> Told:
    plays = [play(scene, place) for scene in scenes]
    return read(perform(place, plays, hosts_of(plays), *options))


def hosts_of(plays: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Those that the plays are for, without variables."""
    names = [name for play in plays for name in str(play["hosts"]).split(":")]
    return {name: {} for name in names}


def perform(
    place: Path,
    plays: Sequence[Mapping[str, Any]],
    hosts: Mapping[str, Mapping[str, Any]],
    *options: str,
    groups: Mapping[str, Iterable[str]] | None = None,
    inside: Sequence[str] = (),
) -> str:
    """What Ansible printed. `hosts` by name, with their variables; `inside` is what the run stands inside of, as the
    beginning of an argv."""
    (place / "play.json").write_text(json.dumps(plays))
    children = {group: {"hosts": dict.fromkeys(names)} for group, names in (groups or {}).items()}
    (place / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "children": children}}))
    argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-c", "local", "-i", str(place / "hosts.json")]
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "SUDO_"))}
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTION),
        "ANSIBLE_HOME": str(place / "home"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    argv = [*inside, *argv, *options, str(place / "play.json")]
    done = subprocess.run(argv, env=mine | settings, capture_output=True, text=True, timeout=280)
    assert "PLAY RECAP" in done.stdout, done.stdout + done.stderr
    return done.stdout + done.stderr


def read(text: str) -> Told:
    recap = re.findall(r"^(\w+) .*changed=(\d+) .*failed=(\d+)", text, re.M)
    # Long lines of what it says are folded.
    parts = re.findall(r"^PLAY \[(\w+)\] (.*?)(?=^PLAY )", text, re.M | re.S)
    return Told(
        {host: int(changed) for host, changed, _ in recap},
        {host: failed != "0" for host, _, failed in recap},
        {name: " ".join(part.split()) for name, part in parts},
    )


def asked(place: Path, scene: str) -> list[str]:
    """What stand-ins have written down in ROOM/asked, each line beginning with SCENE."""
    lines = [line for file in place.glob("*/asked") for line in file.read_text().splitlines()]
    return [line.partition(" ")[2] for line in lines if line.startswith(f"{scene} ")]
