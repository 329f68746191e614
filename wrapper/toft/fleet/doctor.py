"""`doctor`: every check that we know, each with what to type when it fails.

A check is a value; nothing is changed. `fail` keeps toft from working, `warn` will bite one day.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from toft.engine.runner import collections_path
from toft.fleet import hook_file
from toft.fleet.failures import Failure
from toft.fleet.fleet import Fleet
from toft.fleet.nodes import Node
from toft.fleet.status import status
from toft.fleet.warmth import warmth

Verdict = Literal["ok", "warn", "fail"]
OLDEST_NODE_PYTHON = (3, 8)


@dataclass(frozen=True)
class Check:
    """`subject` is what was looked at, `found` what was found there, `fix` what to type."""

    subject: str
    verdict: Verdict
    found: str
    fix: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def doctor(fleet: Fleet) -> list[Check]:
    """This machine first, then the configuration, then every node."""
    return [*_machine(fleet), *_configuration(fleet), _hook(fleet), *_nodes(fleet)]


def _machine(fleet: Fleet) -> Iterator[Check]:
    yield Check("python", "ok", sys.version.split()[0])
    for package in ("ansible-core", "ansible-runner"):
        yield Check(package, "ok", importlib.metadata.version(package))
    yield _ssh()
    yield _state(fleet.store.path.parent)
    yield _collection(fleet)
    yield _engine(fleet)


def _ssh() -> Check:
    ssh = shutil.which("ssh")
    if ssh is None:
        return Check("ssh", "fail", "there is no ssh on the PATH", "apt install openssh-client")
    told = subprocess.run([ssh, "-V"], capture_output=True, text=True, check=False)
    return Check("ssh", "ok", (told.stderr or told.stdout).strip())


def _state(directory: Path) -> Check:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        return Check("records", "fail", f"{directory}: {error.strerror}", "export XDG_STATE_HOME=DIR")
    if not os.access(directory, os.W_OK):
        return Check("records", "fail", f"{directory} cannot be written", f"chown $USER {directory}")
    free = shutil.disk_usage(directory).free
    verdict: Verdict = "ok" if free > 100 << 20 else "warn"
    return Check(
        "records", verdict, f"{directory}, {free >> 20} MiB free", "" if verdict == "ok" else f"df {directory}"
    )


def _collection(fleet: Fleet) -> Check:
    """Ours is put first on the path; another copy is harmless to toft but not to plain ansible."""
    ours, *others = collections_path(fleet.engine.environment)
    copies = [place for place in others if (Path(place) / "ansible_collections/toft/fleet").is_dir() and place != ours]
    if copies:
        fix = f"rm -r {copies[0]}/ansible_collections/toft/fleet"
        return Check("collection", "warn", f"{ours} is used; there is another copy in {', '.join(copies)}", fix)
    return Check("collection", "ok", ours)


def _engine(fleet: Fleet) -> Check:
    found = warmth(fleet.engine.environment)
    if found.path is None:
        return Check("engine", "warn", f"commands cannot start warm: {found.why}", "export XDG_RUNTIME_DIR=DIR")
    if found.told is None:
        return Check("engine", "ok", "none runs; the next command starts one")
    told = found.told
    return Check("engine", "ok", f"process {told['pid']}, {told['served']} served, {told['memory_bytes'] >> 20} MiB")


def _configuration(fleet: Fleet) -> Iterator[Check]:
    where = ", ".join(map(str, fleet.inventory.paths)) or "the embedded default"
    yield Check("inventory", "ok", f"{where} ({fleet.inventory.source})", "" if fleet.inventory.paths else "toft init")
    for file in fleet.settings.files:
        yield Check("configuration", "ok", str(file))
    for note in fleet.settings.notes:
        yield Check("configuration", "warn", note)


def _hook(fleet: Fleet) -> Check:
    hook = hook_file.state(fleet.engine.environment)
    if not hook.on:
        return Check("hook", "ok", f"off ({hook_file.ON})")
    if hook.stale:
        return Check("hook", "warn", f"on, but it says nothing: {hook.stale}", hook_file.ON)
    return Check("hook", "ok", f"on, as of {hook.made_at}: {hook.text}")


def _nodes(fleet: Fleet) -> Iterator[Check]:
    try:
        nodes = status(fleet).nodes
    except Failure as failure:
        yield Check("nodes", "fail", failure.message, failure.hint)
        return
    for node in nodes:
        yield from _node(node)
    yield from _twins(nodes)
    if any(node.state == "offline" for node in nodes):
        yield from _tailscale()


def _node(node: Node) -> Iterator[Check]:
    if node.cause is not None:
        yield Check(node.name, "fail", node.cause["message"], node.cause["fix"])
        return
    yield Check(node.name, "ok", f"{node.known('os')} {node.known('arch')}, answered in {node.latency_ms or 0:.0f} ms")
    version = node.load("python")
    if version is None:
        yield Check(
            node.name, "warn", "no python3: `status` works, jobs do not", f"ssh {node.name} sudo apt install python3"
        )
    elif _version(version) < OLDEST_NODE_PYTHON:
        yield Check(node.name, "warn", f"python3 is {version}; jobs need 3.8", f"ssh {node.name} python3 -V")
    if "git" not in (node.load("capabilities") or ()):
        fix = f"ssh {node.name} sudo apt install git"
        yield Check(node.name, "warn", "no git: nothing in a mirror there can ask for its version", fix)
    if (node.load("disk_percent") or 0) >= 95:
        yield Check(
            node.name, "warn", f"its disk is {node.load('disk_percent'):.0f}% full", f"toft exec {node.name} df -h"
        )
    for key in ("os", "arch"):
        declared, probed = node.declared.get(key), node.load(key)
        if declared and probed and declared != probed:
            yield Check(
                node.name, "warn", f"the inventory says {key} {declared}, the node {probed}", f"toft_{key}: {probed}"
            )


def _twins(nodes: Iterable[Node]) -> Iterator[Check]:
    """One machine under two names would get twice the work."""
    names = defaultdict(list)
    for node in nodes:
        if node.load("machine_id"):
            names[node.load("machine_id")].append(node.name)
    for same in names.values():
        if len(same) > 1:
            found = f"{', '.join(same)} have the same machine id: one machine listed twice, or a cloned disk"
            yield Check(same[0], "warn", found, "systemd-machine-id-setup, if it is a clone")


def _tailscale() -> Iterator[Check]:
    if shutil.which("tailscale") is None:
        return
    told = subprocess.run(["tailscale", "status", "--json"], capture_output=True, text=True, check=False)
    up = told.returncode == 0 and '"BackendState": "Running"' in told.stdout
    yield Check("tailscale", "ok" if up else "fail", "running" if up else "not running", "" if up else "tailscale up")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
