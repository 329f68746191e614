"""Which tree is meant, and what is said of a sync."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from toft.fleet.failures import Failure
from toft.fleet.settings import Settings, load
from toft.fleet.sync import Told, Tree, exit_code, size, tree_at, tree_meant, within


def settings(cwd: Path) -> Settings:
    return load({"HOME": "/nonexistent"}, cwd, {})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home/project/sub").mkdir(parents=True)
    return tmp_path / "home"


def init(folder: Path) -> None:
    subprocess.run(["git", "init", "-q", str(folder)], check=True)


def test_a_working_tree_from_inside(home: Path) -> None:
    init(home / "project")
    cwd = home / "project/sub"
    assert tree_at(cwd, settings(cwd), home) == Tree(home / "project", True, "sub")
    assert tree_meant(cwd, settings(cwd), home) == Tree(home / "project", True, "sub")


def test_what_is_under_a_toft_yaml(home: Path) -> None:
    (home / "project/.toft.yaml").write_text("sync_exclude: [big]\n")
    cwd = home / "project/sub"
    assert tree_at(cwd, settings(cwd), home) == Tree(home / "project", False, "sub")


def test_any_other_directory_only_if_it_is_meant(home: Path) -> None:
    cwd = home / "project"
    assert tree_at(cwd, settings(cwd), home) is None
    assert tree_meant(cwd, settings(cwd), home) == Tree(cwd, False, "")


@pytest.mark.parametrize("where", ["home", ".", "/"])
def test_a_home_is_too_much(home: Path, where: str) -> None:
    cwd = (home.parent / where).resolve()
    with pytest.raises(Failure, match="too much"):
        tree_meant(cwd, settings(cwd), home)


def test_a_home_under_git_is_not_mirrored_unasked(home: Path) -> None:
    init(home)
    assert tree_at(home / "project", settings(home / "project"), home) is None
    (home / ".toft.yaml").write_text("")
    assert tree_at(home / "project", settings(home / "project"), home) == Tree(home, True, "project")


def test_names_of_mirrors_differ_and_are_plain(tmp_path: Path) -> None:
    names = {Tree(tmp_path / name, True, "").name for name in ("a", "b/a", "ü x/-y", "." * 50, "x" * 80)}
    assert len(names) == 5
    assert all(len(name) < 60 and name[0] not in ".-" and name.isascii() for name in names)


@pytest.mark.parametrize(
    ("path", "inner"), [("dist", "sub/dist"), ("../dist", "dist"), (".", "sub"), ("/t/x", "x"), ("..", ".")]
)
def test_a_path_as_seen_from_the_top(path: str, inner: str) -> None:
    assert within(Tree(Path("/t"), True, "sub"), path) == inner


@pytest.mark.parametrize("path", ["../../x", "/etc/passwd", "/tx"])
def test_a_path_outside(path: str) -> None:
    with pytest.raises(Failure, match="not in"):
        within(Tree(Path("/t"), True, "sub"), path)


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 B"), (999, "999 B"), (1400, "1.4 KB"), (48_000, "48 KB"), (3_100_000, "3.1 MB")]
)
def test_sizes(count: int, said: str) -> None:
    assert size(count) == said


def test_one_line() -> None:
    assert Told("n1", "synced", 12, 0, 48_000, 0.21).line() == "12 files, 48 KB to n1 in 0.2 s"
    assert Told("n1", "synced", 1, 2, 10, 0.04).line() == "1 file, 10 B, 2 deleted to n1 in 0.0 s"


def test_exit_codes() -> None:
    good, bad = Told("a", "synced"), Told("b", "failed", error={"message": "x"})
    assert [exit_code(told) for told in ([good], [good, bad], [bad], [])] == [0, 1, 125, 0]
