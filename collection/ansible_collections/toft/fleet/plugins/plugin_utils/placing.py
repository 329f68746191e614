# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a command finds the tree that the person stands in, on each node: brought there if it has to be.

This machine has it. Where `toft_paths` says that the same storage is on the node, it is there already. Else it
is mirrored, and the job whose id goes along holds that very state of it. What came of it is written beside the
request, for the action that starts the job: a place, or the reason why nothing may start there.
"""

from __future__ import annotations

import json
import os
import platform
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import conversation, mirroring, pulling
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.fanout import run_all
from ansible_collections.toft.fleet.plugins.plugin_utils.git import GitFailed
from ansible_collections.toft.fleet.plugins.plugin_utils.listed import Unwanted
from ansible_collections.toft.fleet.plugins.plugin_utils.meter import teller
from ansible_collections.toft.fleet.plugins.plugin_utils.places import place_on
from ansible_collections.toft.fleet.plugins.plugin_utils.requests import Asked, BadRequest
from ansible_collections.toft.fleet.plugins.plugin_utils.roster import Member
from ansible_collections.toft.fleet.plugins.plugin_utils.snapshot import Moving, Tree
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

NAME = "places.json"
LONGEST_S = 6 * 3600.0


@dataclass(frozen=True)
class Order:
    """The tree to bring (`root`, `git`: whether it is git's), where in it the person stands (`relative`), and
    `pull`, a path in it to bring back instead.
    """

    name: str
    root: str
    git: bool
    cache: str
    relative: str = ""
    exclude: tuple[str, ...] = ()
    dry: bool = False
    pull: str | None = None
    any_arch: bool = False
    slot: int | None = None
    keep: Mapping[str, Any] = field(default_factory=dict)
    """`days` that its mirror is kept unused, and the `most` mirrors of this machine's trees"""
    progress: str | None = None
    """a file that is told how far it is (see meter)"""
    unasked: bool = True
    """also to nodes that are kept out of automatic placement (`toft_auto: false`)"""

    @classmethod
    def of(cls, asked: Asked) -> Order:
        """Raises BadRequest."""
        try:
            return cls(**asked.sync | {"exclude": tuple(asked.sync.get("exclude") or ())})
        except TypeError as error:
            raise BadRequest(f"a sync is asked for that is none: {error}") from error

    def about(self) -> dict[str, Any]:
        """What the mirror is to know of itself."""
        days = {"days": self.keep["days"]} if "days" in self.keep else {}
        return {"machine": platform.node(), "root": self.root, **days}

    def tree(self) -> Tree:
        return Tree(self.root, self.git, self.exclude, Path(self.cache))


@dataclass(frozen=True)
class Placed:
    """`outcome`: here, shared, synced, pulled or failed. `cwd` and `lease` are for the job."""

    node: str
    outcome: str
    cwd: str | None = None
    lease: dict[str, Any] | None = None
    sync: dict[str, Any] | None = None
    error: dict[str, str] | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def place_all(members: Sequence[Member], asked: Asked, node: str | None) -> list[Placed]:
    """On one node, or on every member."""
    order = Order.of(asked)
    chosen = [m for m in members if node is None or m.node == node]
    if node is None and not order.unasked:
        chosen = [m for m in chosen if m.variables.get("toft_auto", True) and not m.local]
    if order.pull is not None and len(chosen) != 1:
        raise BadRequest(f"results come back from one node; {len(chosen)} match")
    tree = order.tree()

    def one(member: Member, deadline: float) -> Placed:
        return place(member, members, order, tree, asked.job.get("id"))

    outcomes = run_all(chosen, one, deadline_each=LONGEST_S)
    placed = [_value(outcome.value, outcome.error) for outcome in outcomes]
    if asked.run_dir:
        _write(Path(asked.run_dir) / NAME, placed)
    return placed


def place(member: Member, members: Sequence[Member], order: Order, tree: Tree, job: str | None) -> Placed:
    """What came of one node; its failures are values."""
    here = posixpath.join(order.root, order.relative)
    if member.local:
        return Placed(member.node, "here", posixpath.normpath(here))
    mapped = place_on(member, members, here)
    if mapped is not None and order.pull is None:
        return Placed(member.node, "shared", mapped)
    if isinstance(member.transport, Cause):
        return Placed(member.node, "failed", error=_error(member.transport))
    workdir = member.variables.get("toft_workdir")
    return bring(member.transport, str(workdir) if workdir else None, order, tree, job)


def bring(transport: Transport, workdir: str | None, order: Order, tree: Tree, job: str | None) -> Placed:
    """To the mirror on that node, or back from it."""
    node = transport.node
    if order.pull is not None:
        return told(node, lambda: _pulled(transport, workdir, order))
    wanted = mirroring.Wanted(order.name, workdir, job, order.relative, order.dry, order.about(), dict(order.keep))
    return told(node, lambda: _synced(node, wanted, _mirrored(tree, transport, wanted, order.progress)))


def _mirrored(tree: Tree, transport: Transport, wanted: mirroring.Wanted, progress: str | None) -> mirroring.Mirrored:
    """A connection that breaks is tried once more: what has arrived need not go again."""
    tell = teller(progress)
    try:
        return mirroring.mirror(tree, transport, wanted, tell)
    except conversation.Broken as lost:
        if lost.cause.code != "connection_lost":
            raise
        return mirroring.mirror(tree, transport, wanted, tell)


def _synced(node: str, wanted: mirroring.Wanted, done: mirroring.Mirrored) -> Placed:
    cwd = posixpath.normpath(posixpath.join(done.path, wanted.cwd)) if done.path else None
    lease = {"name": wanted.name, "workdir": wanted.workdir, "slot": done.slot, "digest": done.digest}
    return Placed(node, "synced", cwd, lease, done.to_dict())


def _pulled(transport: Transport, workdir: str | None, order: Order) -> Placed:
    wanted = pulling.Pull(
        order.root, Path(order.cache), order.name, workdir, str(order.pull), order.slot, order.any_arch
    )
    return Placed(transport.node, "pulled", sync=asdict(pulling.pull(transport, wanted)))


def told(node: str, work: Callable[[], Placed]) -> Placed:
    """The work's result; what can go wrong with it becomes the reason."""
    try:
        return work()
    except conversation.Broken as lost:
        error = _error(lost.cause)
    except conversation.Refused as refused:
        error = refused.to_dict(node)
    except Unwanted as unwanted:
        fix = "--any-arch takes it all the same" if unwanted.what == "foreign" else ""
        error = {"code": unwanted.what, "message": unwanted.message, "fix": fix}
    except Moving as moving:
        error = {"code": "moving", "message": f"the tree keeps changing: {moving.path}", "fix": ""}
    except GitFailed as failed:
        error = {"code": "git", "message": f"git: {failed.words}", "fix": "git status"}
    except OSError as failed:
        error = {"code": "os_error", "message": f"{failed.filename or 'the tree'}: {failed.strerror}", "fix": ""}
    return Placed(node, "failed", error=error)


def placed_on(run_dir: str | None, node: str) -> Placed | None:
    """What a sync before this has written down for a node; None if there was none."""
    try:
        told = json.loads((Path(run_dir or "/nonexistent") / NAME).read_text())
    except FileNotFoundError:
        return None
    return Placed(**told[node]) if node in told else None


def in_place(job: Mapping[str, Any], placed: Placed | None) -> dict[str, Any]:
    """A job's request with the directory and the lease that the sync gave."""
    if placed is None or placed.cwd is None:
        return dict(job)
    inner = job.get("cwd")
    cwd = posixpath.join(placed.cwd, inner) if inner and not inner.startswith("~") else inner or placed.cwd
    return {**job, "cwd": cwd, "lease": placed.lease}


def _value(placed: Placed | None, error: Exception | None) -> Placed:
    if placed is None:
        raise error or RuntimeError("a sync ended without an outcome")
    return placed


def _error(cause: Cause) -> dict[str, str]:
    told = cause.to_dict()
    return {"code": str(told["code"]), "message": str(told["message"]), "fix": str(told["fix"])}


def _write(path: Path, placed: Sequence[Placed]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump({one.node: one.to_dict() for one in placed}, file)
