"""roles/storage/files/toft-storage, run as somebody who is not root, in a directory of its own."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "collection/ansible_collections/toft/fleet/roles/storage/files/toft-storage"
NOBODY = 65534 if os.geteuid() == 0 else None
HOSTILE = ["a dir", "new\nline", "-rf", "$(id) 'q\" \\", "\n"]


class Place:
    """Hot and cold storage, and the program with its settings. Two backups are kept."""

    def __init__(self, room: Path) -> None:
        self.room = room
        self.hot, self.backups = room / "-h o't", room / "c o'ld/backups"
        self.programs = room / "bin"
        for directory in (self.hot, self.backups, self.programs):
            directory.mkdir(parents=True)
        (self.backups.parent / ".toft-storage").touch()
        shutil.copy(SCRIPT, room / "toft-storage")
        self.set()
        self._made = 0

    def set(self, hot_mount: str = "") -> None:
        settings = {"hot": self.hot, "cold": self.backups.parent, "hot_mount": hot_mount, "keep": 2}
        lines = [f"{name}={shlex.quote(str(value))}\n" for name, value in settings.items()]
        (self.room / "settings").write_text("".join(lines))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        for directory, _, files in os.walk(self.room):
            for name in (directory, *(f"{directory}/{file}" for file in files)):
                if NOBODY is not None:
                    os.lchown(name, NOBODY, NOBODY)
        surroundings = {
            "PATH": f"{self.programs}:{os.environ['PATH']}",
            "TOFT_STORAGE_SETTINGS": str(self.room / "settings"),
        }
        argv = ["sh", str(self.room / "toft-storage"), *words]
        return subprocess.run(
            argv, user=NOBODY, group=NOBODY, extra_groups=[] if NOBODY else None, env=surroundings, cwd="/",
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def back_up(self) -> subprocess.CompletedProcess[str]:
        """What was made gets a name of long ago: of a second there is one backup only."""
        done = self.run("backup")
        for made in self.backups.glob("20[2-9]*Z"):
            self._made += 1
            made.rename(self.backups / f"2001-01-01T00000{self._made}Z")
        return done

    def good(self) -> None:
        done = self.back_up()
        assert (done.returncode, done.stderr) == (0, "")

    def kept(self) -> list[str]:
        """All that is there, with the last figure of its name alone."""
        return sorted(path.name.removeprefix("2001-01-01T00000") for path in self.backups.iterdir())

    def stand_in(self, name: str, text: str) -> None:
        """A program that the script finds first; in it, the real one is found."""
        (self.programs / name).write_text(f"#!/bin/sh\nPATH={shlex.quote(os.environ['PATH'])}\n{text}\n")
        (self.programs / name).chmod(0o755)


@pytest.fixture
def place() -> Iterator[Place]:
    # Not below pytest's own directory, where only its owner may go.
    with tempfile.TemporaryDirectory(prefix="toft-storage-") as room:
        yield Place(Path(room))
        subprocess.run(["chmod", "-R", "u+rwX", room], check=True)


def read_only(parent: Path) -> None:
    for name in HOSTILE:
        (parent / name / "deep").mkdir(parents=True)
        (parent / name / "deep/file").write_text("content\n")
        (parent / name / "deep/file").chmod(0o444)
        (parent / name / "deep").chmod(0o555)
        (parent / name).chmod(0o555)


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def test_what_is_not_kept_goes_also_where_directories_are_read_only(place: Place) -> None:
    read_only(place.hot)
    for _ in range(4):
        place.good()
    assert place.kept() == ["3Z", "4Z"]
    for name in HOSTILE:
        kept = place.backups / "2001-01-01T000004Z/data" / name / "deep"
        assert (mode(kept), mode(kept / "file"), (kept / "file").stat().st_nlink) == (0o555, 0o444, 2)


def test_what_a_killed_backup_left_goes_also_where_directories_are_read_only(place: Place) -> None:
    left = place.backups / ".2000-01-01T000000Z"
    read_only(left / "data")
    (left / "data/closed").mkdir(mode=0)
    (left / "pid").write_text("999999998\n")
    place.good()
    assert place.kept() == ["1Z"]


def test_a_copy_that_failed_leaves_nothing(place: Place) -> None:
    read_only(place.hot)
    place.stand_in("rsync", 'rsync "$@"; exit 23')
    assert place.back_up().returncode == 1
    assert place.kept() == []


def test_what_was_removed_by_half_goes_with_the_next_backup(place: Place) -> None:
    (place.hot / "file").touch()
    place.good()
    place.good()
    place.stand_in("rm", 'if [ "$1" = -rf ]; then rm "$2/SHA256SUMS"; exit 1; fi; rm "$@"')
    assert place.back_up().returncode == 1
    assert place.kept() == [".2001-01-01T000001Z", "2Z", "3Z"]
    (place.programs / "rm").unlink()
    place.good()
    assert place.kept() == ["3Z", "4Z"]


def test_what_cannot_be_removed_is_said_and_stops_no_backup(place: Place) -> None:
    (place.backups / ".2000-01-01T000000Z").mkdir()
    place.stand_in("rm", '[ "$1" != -rf ] && rm "$@"')
    done = place.back_up()
    assert (done.returncode, done.stderr.count("could not be removed")) == (0, 1)
    assert "1Z" in place.kept()


def test_a_restore_of_read_only_directories_that_fails_leaves_nothing(place: Place) -> None:
    read_only(place.hot)
    place.good()
    damaged = place.backups / "2001-01-01T000001Z/data/-rf/deep/file"
    damaged.chmod(0o644)
    damaged.write_text("another\n")
    done = place.run("restore", "latest", str(place.room / "restored"))
    assert (done.returncode, "nothing was restored" in done.stderr) == (1, True)
    assert list(place.room.glob("restored*")) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_an_empty_mount_point_takes_no_good_backup_away(place: Place, name: str) -> None:
    (place.hot / name).touch()
    place.good()
    (place.hot / name).unlink()
    for _ in range(3):
        done = place.back_up()
        assert done.returncode == 1
        assert f"{place.hot} is empty, and its last backup is not" in done.stderr
        assert f"Fix: mount its volume; if it is to be empty, touch {place.hot}/.empty" in done.stderr
    assert place.kept() == ["1Z"]
    (place.hot / ".empty").touch()
    place.good()
    assert place.kept() == ["1Z", "2Z"]


def test_what_was_empty_may_be_empty(place: Place) -> None:
    place.good()
    place.good()
    assert place.kept() == ["1Z", "2Z"]


@pytest.mark.parametrize("mount", ["/Volumes/WORK", "/Volumes/WORK 2", "/Volumes/50% full"])
def test_the_volume_of_hot_storage_must_be_mounted(place: Place, mount: str) -> None:
    (place.hot / "file").touch()
    place.set(mount)
    # As macOS has it.
    place.stand_in(
        "df",
        'echo "Filesystem 1024-blocks Used Available Capacity  Mounted on"\n'
        f"case $2 in *h*o*t) on=$(cat {shlex.quote(str(place.room / 'on'))}) ;; esac\n"
        'echo "/dev/disk3s1   976490576 500000 900000000    52%    ${on-/}"',
    )
    (place.room / "on").write_text(mount)
    place.good()
    for other in ("/", "/Volumes", f"{mount} 1", f"/x {mount}"):
        (place.room / "on").write_text(other)
        done = place.back_up()
        assert (done.returncode, done.stderr) == (
            1,
            f"toft-storage: {mount} is not mounted: {place.hot} is on {other}. Fix: mount it\n",
        )
    assert place.kept() == ["1Z"]


def test_the_volume_is_told_by_the_df_of_this_machine(place: Place) -> None:
    (place.hot / "file").touch()
    mount = next(str(path) for path in place.hot.parents if path.is_mount())
    place.set(mount)
    place.good()
    place.set("/toft-is-not-there")
    assert f"/toft-is-not-there is not mounted: {place.hot} is on {mount}." in place.back_up().stderr
