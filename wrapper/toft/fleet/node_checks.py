"""What an examination says of the nodes, judged: is each there, does a job run on it, is it reached over the tailnet,
does its agent answer.

What a node told is text from another machine. Of it only what fits a pattern becomes part of something to type.
"""

from __future__ import annotations

import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import agent_status, tailnet_status
from ansible_collections.toft.fleet.plugins.plugin_utils.examining import AGENTS, TAILNET

from toft.fleet.check import Check
from toft.fleet.examine import Examined
from toft.fleet.nodes import Node

TAILNETS = tuple(map(ipaddress.ip_network, ("100.64.0.0/10", "fd7a:115c:a1e0::/48")))
"""Where every tailnet has its addresses, headscale's too."""
OLDEST_PYTHON = (3, 8)
SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9@_.-]{0,63}")
FALLBACK = "fallback: "
"""A node's word for a login shell that did not come to its end, or not in time."""
BUSY = "it may be busy with a message (up to 17 s), or hang"


def checks(nodes: Iterable[Examined]) -> Iterator[Check]:
    nodes = list(nodes)
    for one in nodes:
        yield from _node(one.node)
        if one.trial is not None:
            yield _job(one.node, one.trial)
            yield from _tailnet(one)
            yield from _agent(one)
    yield from _twins([one.node for one in nodes])


def _node(node: Node) -> Iterator[Check]:
    if node.cause is not None:
        yield Check(node.name, "fail", node.cause["message"], node.cause["fix"])
        return
    yield Check(node.name, "ok", f"{node.known('os')} {node.known('arch')}, answered in {node.latency_ms or 0:.0f} ms")
    version = node.load("python")
    if version is not None and _version(version) < OLDEST_PYTHON:
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


def _job(node: Node, trial: Mapping[str, Any]) -> Check:
    """`status` needs an sh there; a job is what shows whether a node is of any use."""
    subject, fix = f"{node.name} job", f"toft exec {node.name} true"
    record, cause, error = (trial.get(key) or {} for key in ("record", "cause", "error"))
    if cause:
        return Check(subject, "fail", f"`status` works, jobs do not: {cause['message']}", cause["fix"])
    if not record:
        if error.get("code") == "disk_full":
            fix = f"ssh {node.name} df -h"
        return Check(subject, "fail", f"`true` was not started: {error.get('message') or 'it did not say why'}", fix)
    if record.get("exit_code") != 0:
        why = (record.get("error") or {}).get("message") or f"exit code {record.get('exit_code')}"
        return Check(subject, "fail", f"`true` was started and came to nothing: {record.get('state')}, {why}", fix)
    if str(trial.get("login")).startswith(FALLBACK):
        why = str(trial["login"]).removeprefix(FALLBACK)
        found = f"`true` ran, but without what a login gives (PATH and the like): {why}"
        return Check(subject, "warn", found, f"ssh {node.name}")
    if not trial.get("removed"):
        found = f"`true` ran, and what is kept of it could not be removed: {record.get('id')}"
        return Check(subject, "warn", found, f"ssh {node.name} df -h")
    return Check(subject, "ok", f"`true` was started there, ran and was removed in {trial['seconds'] * 1000:.0f} ms")


def _tailnet(one: Examined) -> Iterator[Check]:
    """Over the tailnet: the connection's own end there says it, whatever the inventory calls the node."""
    node, told = one.node, one.look.get("tailnet")
    if TAILNET not in node.groups or told is None:
        return
    subject, provision = f"{node.name} tailnet", f"toft provision tailscale --limit {node.name}"
    if not told["there"]:
        yield Check(subject, "warn", "in the group tailnet, but without Tailscale", provision)
        return
    addresses, wrong = _own_addresses(node, told, provision)
    if wrong is not None:
        yield Check(subject, "warn", *wrong)
        return
    used = None if node.local else _address(told.get("address"))
    if used is None or used.is_loopback:
        # This machine; or tailscaled without a network device of its own, which hands connections on by loopback.
        yield Check(subject, "ok", f"Tailscale runs, {', '.join(addresses) or 'without an address'}")
    elif str(used) in addresses or any(used in net for net in TAILNETS):
        yield Check(subject, "ok", f"reached at {used}")
    else:
        fix = f"ansible_host: {addresses[0]}" if addresses else f"ssh {node.name} tailscale ip"
        yield Check(subject, "warn", f"reached at {used}, which is no address of the tailnet", fix)


def _own_addresses(
    node: Node, told: Mapping[str, Any], provision: str
) -> tuple[tuple[str, ...], tuple[str, str] | None]:
    """Those that Tailscale gave it; or what is wrong with its Tailscale, and what to type."""
    if not told.get("status"):
        said = (told.get("said") or "nothing").splitlines()[0]
        return (), (f"its Tailscale says: {said}", provision)
    try:
        peers = tailnet_status.parse(told["status"]).peers
    except tailnet_status.BadStatus as error:
        if not error.state:
            return (), (f"its Tailscale gives no status: {error.why}", provision)
        typed = error.fix.startswith("tailscale ")
        fix = f"ssh -t {node.name} sudo {error.fix}" if typed else provision
        return (), (f"its Tailscale is not running ({error.state})", fix)
    return next((peer.addresses for peer in peers if peer.is_self), ()), None


def _address(text: object) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(str(text).partition("%")[0])
    except ValueError:
        return None


def _agent(one: Examined) -> Iterator[Check]:
    node, told = one.node, one.look.get("agent")
    if AGENTS not in node.groups:
        return
    subject = f"{node.name} agent"
    if told is None:
        yield Check(
            subject, "fail", "its /status cannot be asked for, as no job runs there", f"toft exec {node.name} true"
        )
        return
    where = f"/status at its port {told['port']}"
    fix = _service(node, told)
    try:
        found = agent_status.parse(told["answer"])
    except agent_status.NoStatus as error:
        yield _no_status(subject, told, where, error, fix)
        return
    kind = f" ({found.kind})" if found.kind else ""
    if found.known:
        yield Check(subject, "ok", f"{found.status}{kind}, by {where}")
    else:
        yield Check(subject, "warn", f"{where} says {found.status!r}, which is neither running nor stable", fix)


def _no_status(subject: str, told: Mapping[str, Any], where: str, error: agent_status.NoStatus, fix: str) -> Check:
    if told["answer"]:
        return Check(subject, "fail", f"{where} is somebody else's: {error.why}", fix)
    if told["error"] == "timeout":
        # AgentAPI holds a lock while it types a message: a node is not called dead for that.
        return Check(subject, "warn", f"{where} took the question and has not answered: {BUSY}", fix)
    found = "nobody listens" if told["error"] == "refused" else told["error"] or error.why
    return Check(subject, "fail", f"{where} does not answer: {found}", fix)


def _service(node: Node, told: Mapping[str, Any]) -> str:
    """The service by the name that the role has written down there, else by the role's own."""
    mac = node.known("os") == "macos"
    name = told["service"] if SERVICE.fullmatch(told["service"]) else "fleet.toft.agent" if mac else "toft-agent"
    shown = f"sudo launchctl print system/{name}" if mac else f"systemctl status {name}"
    return f"ssh {node.name} {shown}"


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


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
