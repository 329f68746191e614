# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The `.git` of a mirror: made anew, small, with what is needed to answer about versions and status.

    HEAD, the branch, tags that HEAD's history reaches; all its commits (the newest MOST_COMMITS),
    HEAD's trees, what is staged and differs from HEAD; the index in normal form; ignored names.

The contents of other files are in no object, because the files themselves are there: `git diff` in a mirror
can name what a command changed, and not show it. Nothing of the repository's own configuration comes along
but a few values that decide how files are compared; so no hook, no address, no password.

Packs are built here, once for each state of HEAD and tags, and travel as files; the node needs no git.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import tempfile
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.toft.fleet.plugins.module_utils import gitindex, manifest
from ansible_collections.toft.fleet.plugins.plugin_utils.cache import read_json, tidy, write_json
from ansible_collections.toft.fleet.plugins.plugin_utils.git import GitFailed, git, line

MOST_COMMITS = 50_000
KEPT_PACKS, KEPT_NOTES = 12, 12
FORM = 1
"""Counts up when the files below come out differently for the same state."""
COMPARING = {
    "core.autocrlf": ("true", "false", "input"),
    "core.eol": ("lf", "crlf", "native"),
    "core.filemode": ("true", "false"),
    "core.symlinks": ("true", "false"),
    "core.ignorecase": ("true", "false"),
    "core.precomposeunicode": ("true", "false"),
}


@dataclass(frozen=True)
class State:
    """All that a mirror's `.git` depends on. Equal states make equal files."""

    folder: str
    head: str | None
    """None before the first commit"""
    branch: str | None
    """refs/heads/…; None when HEAD is detached"""
    tags: bytes
    index: tuple[int, ...]
    """stat data of the index; empty when there is none"""
    ignored: bytes
    absent: frozenset[bytes]


def state(folder: str, absent: frozenset[bytes]) -> State:
    """The repository as it is now. `absent` are tracked paths (within it) that do not travel."""
    told = os.fsdecode(git(folder, "rev-parse", "--git-path", "index", "--git-path", "info/exclude"))
    index, exclude = (os.path.join(folder, path) for path in told.splitlines())
    return State(
        folder,
        line(folder, "rev-parse", "-q", "--verify", "HEAD^{commit}"),
        line(folder, "symbolic-ref", "-q", "HEAD"),
        git(folder, "for-each-ref", "--format=%(objectname) %(refname)", "refs/tags"),
        _stat(index),
        b"\n".join((_content(exclude), _content(_global_excludes(folder)))),
        absent,
    )


@dataclass(frozen=True)
class Pack:
    """A file of the cache; `content` is its digest."""

    path: str
    size: int
    content: str


@dataclass(frozen=True)
class Files:
    """What stands below `.git`: contents, packs, and directories that git wants to see."""

    made: dict[str, bytes]
    packs: dict[str, Pack]
    directories: tuple[str, ...] = ("objects", "refs")


def files(now: State, cache: Path) -> Files:
    """The files that this state makes, remembered in `cache`. Raises GitFailed."""
    told = (astuple(replace(now, absent=frozenset())), sorted(now.absent), FORM)
    note = cache / f"{hashlib.sha256(repr(told).encode(errors='surrogateescape')).hexdigest()[:32]}.json"
    known = _remembered(note)
    if known is not None:
        return known
    built = _built(now, cache)
    made = {name: base64.b64encode(data).decode() for name, data in built.made.items()}
    write_json(note, {"made": made, "packs": {name: astuple(pack) for name, pack in built.packs.items()}})
    tidy(cache, "*.json", KEPT_NOTES)
    return built


def _remembered(note: Path) -> Files | None:
    value: dict[str, Any] = read_json(note)
    if not value:
        return None
    packs = {name: Pack(*pack) for name, pack in value["packs"].items()}
    if not all(os.path.exists(pack.path) for pack in packs.values()):
        return None
    return Files({name: base64.b64decode(data) for name, data in value["made"].items()}, packs)


def _built(now: State, cache: Path) -> Files:
    made = {
        "HEAD": f"ref: {now.branch}\n".encode() if now.branch else f"{now.head}\n".encode(),
        "config": _config(now),
        "info/exclude": now.ignored,
    }
    index = _index(now)
    if index is not None:
        made["index"] = index
    if not now.head:
        return Files(made, {})
    if now.branch:
        made[now.branch] = f"{now.head}\n".encode()
    tags = _reached_tags(now)
    made["packed-refs"] = _packed_refs(tags)
    commits, shallow = _commits(now)
    if shallow:
        made["shallow"] = "".join(f"{oid}\n" for oid in shallow).encode()
    history = [*commits, *(oid for _name, oid, peeled in tags if peeled), *_trees(now)]
    packs = [_pack(now, cache, objects) for objects in (history, _staged(now)) if objects]
    tidy(cache, "pack-*", 2 * KEPT_PACKS)
    return Files(made, {f"objects/pack/{path.name}": _known(path) for pack in packs for path in pack})


def _known(path: Path) -> Pack:
    return Pack(str(path), path.stat().st_size, manifest.content_of(str(path)) or "")


def _config(now: State) -> bytes:
    short = line(now.folder, "rev-parse", "--short", "HEAD") or "1234567"
    lines = ["[core]", "\tbare = false", "\thooksPath = /dev/null", "\tfsmonitor = false", f"\tabbrev = {len(short)}"]
    for name, allowed in COMPARING.items():
        value = line(now.folder, "config", "--get", name)
        if value in allowed:
            lines.append(f"\t{name.removeprefix('core.')} = {value}")
    kind = line(now.folder, "rev-parse", "--show-object-format") or "sha1"
    lines.append(f"\trepositoryformatversion = {int(kind != 'sha1')}")
    lines += ["[gc]", "\tauto = 0", "[maintenance]", "\tauto = false"]
    if kind != "sha1":
        lines += ["[extensions]", f"\tobjectFormat = {kind}"]
    return "\n".join([*lines, ""]).encode()


def _reached_tags(now: State) -> list[tuple[str, str, str]]:
    """(name, object, commit behind it or "") of the tags that lead into HEAD's history."""
    form = "--format=%(refname)%00%(objectname)%00%(*objectname)"
    told = git(now.folder, "for-each-ref", f"--merged={now.head}", form, "refs/tags")
    rows = [os.fsdecode(row).split("\0") for row in told.splitlines()]
    return sorted((name, oid, peeled) for name, oid, peeled in rows)


def _packed_refs(tags: list[tuple[str, str, str]]) -> bytes:
    lines = ["# pack-refs with: peeled fully-peeled sorted "]
    for name, oid, peeled in tags:
        lines += [f"{oid} {name}", *([f"^{peeled}"] if peeled else [])]
    return os.fsencode("\n".join([*lines, ""]))


def _commits(now: State) -> tuple[list[str], list[str]]:
    """HEAD's history, and its cut edge: commits whose parents do not travel."""
    told = git(now.folder, "rev-list", "--parents", f"--max-count={MOST_COMMITS}", str(now.head)).decode()
    rows = [row.split() for row in told.splitlines()]
    commits = {row[0] for row in rows}
    edge = [row[0] for row in rows if not commits.issuperset(row[1:])]
    return [row[0] for row in rows], sorted({*edge, *(commits & _own_edge(now))})


def _own_edge(now: State) -> set[str]:
    """Where this repository itself is cut (`git clone --depth`)."""
    path = line(now.folder, "rev-parse", "--git-path", "shallow") or ""
    return set(_content(os.path.join(now.folder, path)).decode().split())


def _trees(now: State) -> list[str]:
    told = git(now.folder, "rev-list", "--objects", "--no-walk", "--filter=blob:none", str(now.head))
    return [row.split(b" ", 1)[0].decode() for row in told.splitlines()]


def _staged(now: State) -> list[str]:
    """Both sides of what is staged, for without them git could not say what was renamed; and all links, which
    git compares by their object.
    """
    told = git(now.folder, "diff-index", "--cached", "--raw", "-z", "--no-renames", "--abbrev=64", str(now.head))
    rows = [row.decode().split() for row in told.split(b"\0") if row.startswith(b":")]
    sides = [pair for old, new, before, after, _status in rows for pair in ((old[1:], before), (new, after))]
    listed = git(now.folder, "ls-files", "-s", "-z").split(b"\0")
    sides += [("link", row.split(b" ")[1].decode()) for row in listed if row.startswith(b"120000 ")]
    return sorted({oid for mode, oid in sides if set(oid) != {"0"} and mode != "160000"})


def _pack(now: State, cache: Path, objects: list[str]) -> tuple[Path, Path]:
    """A pack of just these objects, and its index."""
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    given = "".join(f"{oid}\n" for oid in sorted(set(objects))).encode()
    name = git(now.folder, "pack-objects", "-q", str(cache / "pack"), given=given).decode().strip()
    return cache / f"pack-{name}.pack", cache / f"pack-{name}.idx"


def _index(now: State) -> bytes | None:
    """The index in normal form. One that is split or compressed is first rewritten, by git, in a copy."""
    path = os.path.join(now.folder, line(now.folder, "rev-parse", "--git-path", "index") or "")
    try:
        return gitindex.normal(Path(path).read_bytes(), now.absent)
    except FileNotFoundError:
        return None
    except gitindex.NotAnIndex:
        return _rewritten(now, path)


def _rewritten(now: State, path: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="toft-") as folder:
        copy = Path(folder) / "index"
        shutil.copy(path, copy)
        for shared in Path(path).parent.glob("sharedindex.*"):
            shutil.copy(shared, folder)
        words = ("-c", "index.skipHash=false", "update-index", "--index-version", "2", "--no-split-index")
        git(now.folder, *words, "--no-untracked-cache", "--force-write-index", env={"GIT_INDEX_FILE": str(copy)})
        try:
            return gitindex.normal(copy.read_bytes(), now.absent)
        except gitindex.NotAnIndex as error:
            raise GitFailed(f"git's index cannot be read: {error}") from error


def _global_excludes(folder: str) -> str:
    named = line(folder, "config", "--type=path", "--get", "core.excludesFile")
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return named or os.path.join(config, "git", "ignore")


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _stat(path: str) -> tuple[int, ...]:
    try:
        seen = os.stat(path)
    except OSError:
        return ()
    return (seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
