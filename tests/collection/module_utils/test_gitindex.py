"""git's index without what git remembers of one machine's files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.module_utils import gitindex


def git(folder: Path, *words: str) -> str:
    argv = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.fixture(params=["sha1", "sha256"])
def repository(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    git(tmp_path, "init", "-q", f"--object-format={request.param}")
    for name in ("a", "b c", "long" * 60, "d/e"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    git(tmp_path, "add", "-A")
    return tmp_path


def test_it_is_the_same_whatever_git_remembers(repository: Path) -> None:
    index = repository / ".git/index"
    first = gitindex.normal(index.read_bytes())
    staged = git(repository, "ls-files", "-s")
    (repository / "a").touch()
    git(repository, "update-index", "--refresh")
    assert gitindex.normal(index.read_bytes()) == first
    assert gitindex.normal(first) == first
    index.write_bytes(first)
    assert git(repository, "ls-files", "-s") == staged
    assert git(repository, "status", "--porcelain").count("A ") == 4
    (repository / "a").write_text("x")
    git(repository, "add", "a")
    assert gitindex.normal(index.read_bytes()) != first


def test_flags_of_version_three_stay(repository: Path) -> None:
    (repository / "later").write_text("x")
    git(repository, "add", "-N", "later")
    index = repository / ".git/index"
    index.write_bytes(gitindex.normal(index.read_bytes()))
    assert " A later" in git(repository, "status", "--porcelain")


def test_absent_files_are_not_missed(repository: Path) -> None:
    git(repository, "commit", "-qm", "x")
    index = repository / ".git/index"
    index.write_bytes(gitindex.normal(index.read_bytes(), {b"b c"}))
    (repository / "b c").unlink()
    assert git(repository, "status", "--porcelain") == ""


@pytest.mark.parametrize("data", [b"", b"DIRC", b"x" * 100])
def test_what_is_no_index(data: bytes) -> None:
    with pytest.raises(gitindex.NotAnIndex):
        gitindex.normal(data)
