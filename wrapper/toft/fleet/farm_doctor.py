"""What is wrong with the compile farm: its scheduler's word beside the inventory's, and this machine as its client."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ansible_collections.toft.fleet.plugins.plugin_utils.icecream import Farm, Node

from toft.fleet import farm_compile
from toft.fleet.check import Check
from toft.fleet.failures import Failure
from toft.fleet.farm import GROUP, PATIENCE_S, Plan, heard
from toft.fleet.farm_client import Client, client

FULL = 1000
"""The load at which a node is given nothing."""
COMPILE = "toft farm doctor --compile"


def looked(plan: Plan, patience_s: float = PATIENCE_S, *, compiles: bool = False) -> list[Check]:
    """The scheduler asked, this machine looked at; with `compiles` tried out as well."""
    place, farm = heard(plan.place, patience_s)
    plan, here = replace(plan, place=place), client(plan.envs)
    tried = farm_compile.checks(plan, farm, here) if compiles else []
    return [*checks(plan, farm, here), *tried]


def checks(plan: Plan, farm: Farm | Failure, client: Client) -> list[Check]:
    """The scheduler first, then each node that should be there, then those that should not, then this machine."""
    if isinstance(farm, Failure):
        return [Check("scheduler", "fail", farm.message, farm.hint), *_client(client, None)]
    return [_scheduler(plan, farm), *_members(plan, farm), *_strangers(plan, farm), *_client(client, farm)]


def _scheduler(plan: Plan, farm: Farm) -> Check:
    where = f"{plan.place.host}:{plan.place.port}" if plan.place else ""
    version = farm.scheduler.version if farm.scheduler else "?"
    return Check("scheduler", "ok", f"icecream {version} at {where}, {len(farm.nodes)} nodes")


def _members(plan: Plan, farm: Farm) -> Iterator[Check]:
    if not plan.members:
        yield Check("inventory", "warn", f"it has no group {GROUP}", f"name the farm's nodes in a group {GROUP}")
    there = {node.name: node for node in farm.nodes}
    for name in plan.members:
        node = there.get(name)
        if node is None:
            found = "the inventory has it in the farm, the scheduler has not"
            yield Check(name, "fail", found, f"toft provision {GROUP} --limit {name}")
        else:
            yield _member(node, submits_only=name in plan.submit_only)


def _member(node: Node, *, submits_only: bool) -> Check:
    if not node.remote and not submits_only:
        found = "it takes no work of others (port 0): its iceccd is not root, or was told --no-remote"
        return Check(node.name, "fail", found, f"toft exec --become {node.name} systemctl restart iceccd")
    if node.remote and submits_only:
        found = "the inventory says icecream_remote: false, but it takes work of others"
        return Check(node.name, "warn", found, f"toft provision {GROUP} --limit {node.name}")
    if node.load >= FULL:
        return Check(node.name, "warn", "it is given nothing: its load is full", f"toft status {node.name}")
    kind = "submits only" if submits_only else f"{node.running} of {node.slots} slots in use"
    return Check(node.name, "ok", f"{node.platform}, {kind}")


def _strangers(plan: Plan, farm: Farm) -> Iterator[Check]:
    """A farm trusts its members: whoever is in it has programs run, and sees sources."""
    for node in farm.nodes:
        if plan.members and node.name not in plan.members:
            found = f"in the farm, from {node.address}, but not in the inventory's group {GROUP}"
            yield Check(node.name, "warn", found, "add it there, or keep it off the farm's network")


def _client(client: Client, farm: Farm | None) -> Iterator[Check]:
    fix = f"toft provision {GROUP}"
    if client.icecc is None:
        yield Check("icecc", "warn", "there is none here: this machine compiles for itself", fix)
        return
    version = farm.scheduler.version if farm and farm.scheduler else client.icecc
    if _release(version) != _release(client.icecc):
        yield Check("icecc", "warn", f"{client.icecc} here, the scheduler is {version}", fix)
    else:
        yield Check("icecc", "ok", client.icecc)
    if not client.own:
        found = "none of a compiler that is here today: icecc makes one itself, for this platform alone"
        yield Check("toolchain", "warn", found, fix)
        return
    yield Check("toolchain", "ok", client.version)
    covered = {one.platform for one in client.all} | {client.platform}
    for node in farm.nodes if farm else ():
        if node.remote and node.platform not in covered:
            yield Check(node.name, "warn", f"no toolchain runs on its platform {node.platform}", fix)


def _release(version: str) -> list[str]:
    return version.split(".")[:2]
