"""Trees and their mirrors on this machine, for tests: the node program runs here, with a home of its own."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils import mirroring, pulling
from ansible_collections.toft.fleet.plugins.plugin_utils.snapshot import Tree
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

HERE = Transport("here", "local", "here")
WHO = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false")


@dataclass
class Pair:
    """`root` is the tree, `home` the node's."""

    root: Path
    home: Path
    cache: Path
    exclude: tuple[str, ...] = ()
    transport: Transport = HERE

    def git(self, *words: str) -> str:
        return git(self.root, *words)

    def commit(self, message: str = "change") -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)

    @property
    def tree(self) -> Tree:
        return Tree(str(self.root), (self.root / ".git").exists(), self.exclude, self.cache)

    def sync(self, **more: Any) -> mirroring.Mirrored:
        return mirroring.mirror(self.tree, self.transport, mirroring.Wanted("tree-1", str(self.home), **more))

    def pull(self, path: str, **more: Any) -> pulling.Pulled:
        wanted = pulling.Pull(str(self.root), self.cache, "tree-1", str(self.home), path, **more)
        return pulling.pull(self.transport, wanted)

    @property
    def mirror(self) -> Path:
        return self.home / ".toft/mirror/tree-1"

    def same(self) -> bool:
        """Whether the mirror has what the tree has, git's data aside."""
        return shown(self.root) == shown(self.mirror)


def git(folder: Path, *words: str) -> str:
    argv = ["git", *WHO, "-C", str(folder), *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def shown(root: Path) -> dict[bytes, Any]:
    """Every file's bytes and mode, every link's target."""
    found: dict[bytes, Any] = {}
    top = str(root).encode()
    for path in sorted(Path(str(root)).rglob("*")):
        if ".git" in path.parts:
            continue
        name = str(path).encode(errors="surrogateescape")[len(top) + 1 :]
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        elif path.is_file():
            found[name] = (path.read_bytes(), path.stat().st_mode & 0o777)
    return found


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pair:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    root = tmp_path / "tree"
    root.mkdir()
    made = Pair(root, home, tmp_path / "cache")
    made.git("init", "-q", "-b", "main")
    (root / "a").write_text("one\n")
    (root / "sub").mkdir()
    (root / "sub/b").write_text("two\n")
    (root / "run").write_text("#!/bin/sh\n")
    (root / "run").chmod(0o755)
    (root / "link").symlink_to("sub/b")
    (root / ".gitignore").write_text("out/\n*.o\n")
    made.commit("first")
    made.git("tag", "-a", "v1.2", "-m", "v1.2")
    return made
