"""`sync`: the tree that the person stands in, to its mirrors on nodes; and results back from there.

A tree is a git working tree, or what is under a `.toft.yaml`. Asked for by name (`toft sync`, `--sync`) any
directory is one, but never the root of a file system, nor a home that nobody has put a `.toft.yaml` in: too
much would leave the house unmeant.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils.git import toplevel
from ansible_collections.toft.fleet.plugins.plugin_utils.placing import Order, bring
from ansible_collections.toft.fleet.plugins.plugin_utils.this_machine import machine_id
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

from toft.engine.requests import Request, Step
from toft.fleet.failures import NOT_STARTED, USAGE, Failure
from toft.fleet.fleet import Fleet
from toft.fleet.settings import REPOSITORY_FILE, Settings, home_directory
from toft.store.records import Job

PLAIN = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Tree:
    """`relative` is where in it the person stands."""

    root: Path
    git: bool
    relative: str

    @property
    def name(self) -> str:
        """Of its mirror: readable, and another one for each tree of each user of each machine."""
        origin = f"{machine_id()}\0{os.getuid()}\0{self.root}"
        digest = hashlib.sha256(os.fsencode(origin)).hexdigest()[:10]
        return f"{PLAIN.sub('_', self.root.name)[:40].lstrip('.-') or 'tree'}-{digest}"


def tree_at(cwd: Path, settings: Settings, home: Path) -> Tree | None:
    """The tree that `cwd` is in; None when it is in none, or in one that is a whole home."""
    found = toplevel(str(cwd))
    root = Path(found) if found else settings.project
    if root is None or _too_much(root, home):
        return None
    return _tree(root, bool(found), cwd)


def tree_meant(cwd: Path, settings: Settings, home: Path) -> Tree:
    """The same, but any other directory will do. Raises Failure for one that is too much."""
    found = tree_at(cwd, settings, home)
    if found is not None:
        return found
    top = toplevel(str(cwd))
    root = Path(top) if top else cwd
    if _too_much(root, home):
        raise Failure(f"{root} is too much to be mirrored", f"touch {root / REPOSITORY_FILE}", USAGE)
    return _tree(root, bool(top), cwd)


def _tree(root: Path, git: bool, cwd: Path) -> Tree:
    root = Path(os.path.realpath(root))
    relative = os.path.relpath(os.path.realpath(cwd), root)
    return Tree(root, git, "" if relative == "." else relative)


def _too_much(root: Path, home: Path) -> bool:
    if (root / REPOSITORY_FILE).is_file():
        return False
    whole = Path(os.path.realpath(root))
    return whole == Path("/") or Path(os.path.realpath(home)).is_relative_to(whole)


@dataclass(frozen=True)
class Told:
    """What came of one node."""

    node: str
    outcome: str
    files: int = 0
    dropped: int = 0
    bytes: int = 0
    seconds: float = 0.0
    path: str | None = None
    send: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    error: dict[str, str] | None = None

    @classmethod
    def of(cls, placed: dict[str, Any]) -> Told:
        sync = placed.get("sync") or {}
        names = ("files", "dropped", "bytes", "seconds")
        told: dict[str, Any] = {name: sync[name] for name in names if name in sync}
        told |= {name: tuple(sync.get(name) or ()) for name in ("send", "drop")}
        return cls(placed["node"], placed["outcome"], path=placed["cwd"], error=placed["error"], **told)

    @property
    def moved(self) -> bool:
        return bool(self.files or self.dropped or self.bytes)

    def line(self) -> str:
        """`12 files, 48 KB to n1 in 0.2 s`."""
        files = f"{self.files} file{'s' * (self.files != 1)}, {size(self.bytes)}"
        if self.outcome == "pulled":
            return f"{files} from {self.node}"
        dropped = f", {self.dropped} deleted" if self.dropped else ""
        return f"{files}{dropped} to {self.node} in {self.seconds:.1f} s"

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "send": list(self.send), "drop": list(self.drop)}


def size(count: int) -> str:
    """1.4 KB, 48 KB, 3.1 MB: thousands, as storage is counted."""
    value, unit = float(count), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if unit != "B" and value < 10 else f"{value:.0f} {unit}"


def order(fleet: Fleet, tree: Tree, **more: Any) -> dict[str, Any]:
    """What the action is told of the tree."""
    cache = cache_directory(fleet.engine.environment) / "trees" / tree.name
    wanted = {"name": tree.name, "root": str(tree.root), "git": tree.git, "relative": tree.relative}
    told: dict[str, Any] = {"exclude": list(fleet.settings.sync_exclude), "cache": str(cache)}
    told |= {"progress": fleet.progress, "keep": vars(fleet.settings.mirrors)}
    return {**wanted, **told, **more}


def cache_directory(env: Any) -> Path:
    """XDG: $XDG_CACHE_HOME/toft, else ~/.cache/toft; made private."""
    given = env.get("XDG_CACHE_HOME", "")
    found = (Path(given) if given.startswith("/") else home_directory(env) / ".cache") / "toft"
    found.mkdir(mode=0o700, parents=True, exist_ok=True)
    return found


def sync(fleet: Fleet, pattern: str | None, *, dry: bool = False) -> list[Told]:
    """To every node that matches; without a pattern, to those that work may be sent to unasked."""
    tree = tree_meant(fleet.cwd, fleet.settings, home_directory(fleet.engine.environment))
    body = fleet.body(sync=order(fleet, tree, dry=dry, unasked=pattern is not None))
    answer = fleet.ask(Request(pattern or "all", (Step("sync"),), body))["sync"]
    return [Told.of(placed) for placed in answer["places"]]


def pull(fleet: Fleet, pattern: str, path: str, *, any_arch: bool = False) -> Told:
    """Results from the mirror on one node. Raises Failure, and then nothing here was changed."""
    tree = tree_meant(fleet.cwd, fleet.settings, home_directory(fleet.engine.environment))
    body = fleet.body(sync=order(fleet, tree, pull=within(tree, path), any_arch=any_arch, unasked=True))
    (placed,) = fleet.ask(Request(pattern, (Step("sync"),), body))["sync"]["places"]
    return _must_have_come(Told.of(placed))


def pull_of(fleet: Fleet, tree: Tree, job: Job, lease: Mapping[str, Any], path: str, *, any_arch: bool) -> Told:
    """Results of a job that has ended, from the mirror that it ran in. Raises Failure, as `pull` does."""
    wanted = order(fleet, tree, pull=within(tree, path), any_arch=any_arch, slot=lease["slot"])
    meant = Order(**wanted | {"exclude": tuple(wanted["exclude"])})
    transport = Transport.from_dict(job.transport or {})
    return _must_have_come(Told.of(bring(transport, lease["workdir"], meant, meant.tree(), None).to_dict()))


def _must_have_come(told: Told) -> Told:
    if told.error:
        raise Failure(told.error["message"], told.error.get("fix", ""), 1, told.node)
    return told


def within(tree: Tree, path: str) -> str:
    """The path as seen from the tree's top. Raises Failure for one that is not in it."""
    there = posixpath.normpath(posixpath.join(tree.root, tree.relative, path))
    inner = os.path.relpath(there, tree.root)
    if inner.startswith("../") or inner == "..":
        hint = "--pull PATH, as seen from the directory you stand in"
        raise Failure(f"--pull {path}: that is not in {tree.root}", hint, USAGE)
    return inner


def exit_code(told: list[Told]) -> int:
    """0 if all went well, 1 if some did, 125 if none."""
    failed = sum(one.error is not None for one in told)
    return 0 if not failed else NOT_STARTED if failed == len(told) else 1
