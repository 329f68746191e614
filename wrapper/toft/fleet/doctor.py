"""`doctor`: every check that we know, each with what to type when it fails.

It covers what a fleet is to be checked for, as far as that can be seen at once and without sudo: all nodes there, over
the tailnet where there is one; a job runs on each; the agents answer; the farm's scheduler has all its nodes. No job
is left: the one on each node is `true`, and removed again.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from toft.engine.inventory import Listed
from toft.engine.runner import collections_path
from toft.fleet import farm, farm_doctor, hook_file, node_checks
from toft.fleet.check import Check, Verdict
from toft.fleet.examine import examine
from toft.fleet.failures import Failure
from toft.fleet.fleet import Fleet
from toft.fleet.warmth import warmth

SCHEDULER_S = 5.0


def doctor(fleet: Fleet) -> list[Check]:
    """This machine first, then the configuration, then every node, then the compile farm."""
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
        found = examine(fleet)
    except Failure as failure:
        yield Check("nodes", "fail", failure.message, failure.hint)
        return
    yield from node_checks.checks(found.nodes)
    if any(one.node.state == "offline" for one in found.nodes):
        yield from _tailscale()
    if any(farm.GROUP in one.node.groups for one in found.nodes):
        yield from _farm(found.inventory)


def _farm(inventory: Listed) -> Iterator[Check]:
    """The same as `toft farm doctor`, from the examination's own word on the inventory."""
    try:
        found = farm_doctor.looked(farm.plan(inventory), SCHEDULER_S)
    except Failure as failure:
        found = [Check("scheduler", "fail", failure.message, failure.hint)]
    for check in found:
        yield replace(check, subject=f"farm {check.subject}")
    yield Check("farm", "ok", f"whether compiles are distributed: {farm_doctor.COMPILE} tries it")


def _tailscale() -> Iterator[Check]:
    if shutil.which("tailscale") is None:
        return
    told = subprocess.run(["tailscale", "status", "--json"], capture_output=True, text=True, check=False)
    up = told.returncode == 0 and '"BackendState": "Running"' in told.stdout
    yield Check("tailscale", "ok" if up else "fail", "running" if up else "not running", "" if up else "tailscale up")
