"""A working tree on real hosts: mirrored by offload, answering as here, and results back."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import Toft
from tests.lab.laboratory import Lab

WHO = ("-c", "user.name=a", "-c", "user.email=a@example.org")
VERSION = """
import subprocess
ask = lambda *words: subprocess.run(["git", *words], capture_output=True, text=True).stdout.strip()
print(ask("describe", "--dirty", "--tags", "--long", "--match", "*[0-9]*"), ask("status", "--porcelain"))
print(ask("rev-parse", "--abbrev-ref", "HEAD"), ask("-c", "log.showSignature=false", "log", "-1", "--format=%cI"))
"""
"""What setuptools-scm asks git for."""


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *WHO, "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def tree(tmp_path: Path, lab: Lab) -> Iterator[Path]:
    tree = tmp_path / "project"
    (tree / "src").mkdir(parents=True)
    git(tree, "init", "-q", "-b", "main")
    (tree / "src/a.py").write_text("print('a')\n")
    (tree / ".gitignore").write_text("out/\n")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "one")
    git(tree, "tag", "v1.0")
    (tree / "version.py").write_text(VERSION)
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "two")
    yield tree
    for host in lab.hosts.values():
        host.run("rm -rf /home/fleet/.toft")


def offload(toft: Toft, tree: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    return toft("offload", *words, cwd=tree)


def test_offload_runs_in_the_same_place_of_the_mirror(lab_toft: Toft, tree: Path) -> None:
    done = offload(lab_toft, tree / "src", "n1", "sh", "-c", "pwd; cat a.py")
    where, content = done.stdout.decode().splitlines()
    assert re.fullmatch(r"/home/fleet/\.toft/mirror/project-[0-9a-f]{10}/src", where)
    assert content == "print('a')"
    assert re.fullmatch(rb"toft: sync: 3 files, [\d.]+ K?B to n1 in [\d.]+ s\n", done.stderr)
    again = offload(lab_toft, tree, "n1", "cat", "src/a.py")
    assert (again.stdout, again.stderr) == (b"print('a')\n", b"")


def test_switched_off_or_elsewhere(lab_toft: Toft, tree: Path, tmp_path: Path) -> None:
    assert offload(lab_toft, tree, "--no-sync", "n1", "pwd").stdout == b"/home/fleet\n"
    assert offload(lab_toft, tree, "--cwd", "/tmp", "n1", "pwd").stdout == b"/tmp\n"
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/f").write_text("plain\n")
    assert offload(lab_toft, tmp_path / "plain", "n1", "pwd").stdout == b"/home/fleet\n"
    assert offload(lab_toft, tmp_path / "plain", "--sync", "n1", "cat", "f").stdout == b"plain\n"


def test_it_answers_as_here(lab_toft: Toft, tree: Path) -> None:
    """git describe and what setuptools-scm asks, clean and dirty; hosts may have no git, then n1 gets one."""
    if offload(lab_toft, tree, "--no-sync", "n1", "which", "git").returncode:
        pytest.fail("the lab's hosts have no git")
    describe, status = ["git", "describe", "--tags", "--dirty"], ["git", "status", "--porcelain"]
    for edit in ("", "changed\n"):
        if edit:
            (tree / "src/a.py").write_text(edit)
            (tree / "new").write_text(edit)
        for words in (describe, status, ["python3", "version.py"]):
            here = subprocess.run(words, cwd=tree, capture_output=True, check=True).stdout
            assert offload(lab_toft, tree, "n1", *words).stdout == here, words


def test_deletions_and_the_makings_of_commands(lab_toft: Toft, tree: Path) -> None:
    offload(lab_toft, tree, "n1", "sh", "-c", "mkdir -p out && echo built > out/r")
    (tree / "src/a.py").unlink()
    done = offload(lab_toft, tree, "n1", "sh", "-c", "ls src 2>&1; cat out/r")
    assert done.stdout.endswith(b"built\n")
    assert b"a.py" not in done.stdout
    assert b"1 deleted" in done.stderr


def test_results_come_back(lab_toft: Toft, tree: Path) -> None:
    done = offload(lab_toft, tree, "--pull", "out", "n1", "sh", "-c", "mkdir -p out && echo one > out/r")
    assert (done.returncode, (tree / "out/r").read_text()) == (0, "one\n")
    assert b"toft: pull: 1 file, 4 B from n1\n" in done.stderr
    (tree / "out/r").write_text("mine\n")
    done = offload(lab_toft, tree, "--pull", "out", "n1", "sh", "-c", "echo two > out/r")
    assert (done.returncode, (tree / "out/r").read_text()) == (1, "mine\n")
    assert b"out/r" in done.stderr
    done = offload(lab_toft, tree, "--pull", "out", "n1", "sh", "-c", "exit 7")
    assert done.returncode == 7
    (tree / "out/r").unlink()
    assert lab_toft("sync", "n1", "--pull", "out", cwd=tree).stdout == b"1 file, 4 B from n1\n"
    assert (tree / "out/r").read_text() == "two\n"


def test_programs_of_another_machine_stay_away(lab_toft: Toft, tree: Path) -> None:
    """The first bytes of a program for a big-endian s390x, which no machine of ours is."""
    stub = b"\x7fELF\x02\x02\x01" + bytes(9) + struct.pack(">HH", 2, 22) + bytes(44)
    make = f"mkdir -p out; python3 -c \"open('out/app','wb').write(bytes.fromhex('{stub.hex()}'))\""
    done = offload(lab_toft, tree, "--pull", "out", "n1", make)
    assert done.returncode == 1
    assert b"s390x" in done.stderr
    assert not (tree / "out").exists()
    assert lab_toft("sync", "n1", "--pull", "out", "--any-arch", cwd=tree).returncode == 0
    assert (tree / "out/app").read_bytes() == stub


def test_sync_to_several(lab_toft: Toft, tree: Path) -> None:
    told = json.loads(lab_toft("--json", "sync", "n1,n2", cwd=tree).stdout)["nodes"]
    assert [(one["node"], one["outcome"], one["files"]) for one in told] == [("n1", "synced", 3), ("n2", "synced", 3)]
    (tree / "src/a.py").unlink()
    (tree / "new").write_text("x")
    assert lab_toft("sync", "n1", "--dry-run", cwd=tree).stdout == b"n1 + new\nn1 - src/a.py\n"


def test_shared_storage_is_not_copied(lab_toft: Toft, lab: Lab, tree: Path, tmp_path: Path) -> None:
    inventory = tmp_path / "inventory"
    inventory.mkdir()
    (inventory / "lab.yml").symlink_to(lab.inventory)
    (inventory / "host_vars").mkdir()
    (inventory / "host_vars/n1.yml").write_text(json.dumps({"toft_paths": {str(tmp_path): "/tmp/shared"}}))
    lab.hosts["n1"].run("mkdir -p /tmp/shared/project/src")
    shared = Toft(lab_toft.home, inventory, runtime=lab_toft.runtime)
    assert offload(shared, tree / "src", "n1", "pwd").stdout == b"/tmp/shared/project/src\n"
    assert lab.hosts["n1"].run("ls -d /home/fleet/.toft 2>&1 | grep -c mirror || true").stdout.strip() == "0"


def test_without_git_on_the_node(lab_toft: Toft, lab: Lab, tree: Path) -> None:
    host = lab.hosts["n1"]
    host.run("[ ! -e /usr/bin/git ] || mv /usr/bin/git /usr/bin/git.aside")
    try:
        assert offload(lab_toft, tree, "n1", "cat", "src/a.py").stdout == b"print('a')\n"
    finally:
        host.run("[ ! -e /usr/bin/git.aside ] || mv /usr/bin/git.aside /usr/bin/git")


def test_ten_thousand_files(lab_toft: Toft, tree: Path) -> None:
    for folder in range(100):
        (tree / f"d{folder}").mkdir()
        for number in range(100):
            (tree / f"d{folder}/{number}.txt").write_text(f"{folder} {number}\n" * 20)
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "many")
    assert synced(lab_toft, tree)["files"] == 10_003
    assert synced(lab_toft, tree)["files"] == 0
    (tree / "d7/7.txt").write_text("changed\n")
    one = synced(lab_toft, tree)
    assert (one["files"], one["bytes"]) == (1, 8)


def synced(toft: Toft, tree: Path) -> dict[str, Any]:
    (told,) = json.loads(toft("--json", "sync", "n1", cwd=tree).stdout)["nodes"]
    assert told["error"] is None, told
    return dict(told)


def on_a_terminal(toft: Toft, tree: Path, *words: str) -> tuple[str, str]:
    """stdout, and what a terminal as stderr gets."""
    ours, theirs = pty.openpty()
    process = toft.begin(*words, cwd=tree, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:
        pass  # the other side is closed
    os.close(ours)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0, shown
    return out.decode(), shown.decode()


@pytest.mark.parametrize("words", [("sync", "n1"), ("offload", "n1", "true")], ids=["sync", "offload"])
def test_a_long_first_sync_says_how_far_it_is(lab_toft: Toft, lab: Lab, tree: Path, words: tuple[str, ...]) -> None:
    lab_toft("exec", "n1", "true")
    lab_toft.env["TERM"] = "xterm"
    for number in range(3):
        (tree / f"large{number}").write_bytes(random.Random(number).randbytes(1_500_000))
    with lab.hosts["n1"].rate(10):
        _, shown = on_a_terminal(lab_toft, tree, *words)
    drawn = [line for line in re.split(r"\r\x1b\[K|\r\n", shown) if "sync to n1:" in line]
    counts = [int(found[1]) for line in drawn if (found := re.search(r"(\d+) of \d+ files", line))]
    assert len(counts) > 3
    assert counts == sorted(counts)
    assert any(re.search(r"\d+ of \d+ files, [0-9.]+ MB of 4\.\d MB, [0-9.]+ [KM]B/s", line) for line in drawn), drawn
    assert shown.rpartition("sync to n1:")[2].partition("\r")[2].startswith("\x1b[K"), "the last line is taken away"


@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_off_a_terminal_or_quiet_only_the_end_is_said(
    lab_toft: Toft, lab: Lab, tree: Path, quiet: tuple[str, ...]
) -> None:
    lab_toft("exec", "n1", "true")
    lab_toft.env["TERM"] = "xterm"
    (tree / "large").write_bytes(random.Random(9).randbytes(3_000_000))
    with lab.hosts["n1"].rate(10):
        if quiet:
            out, err = on_a_terminal(lab_toft, tree, *quiet, "sync", "n1")
        else:
            done = lab_toft("sync", "n1", cwd=tree)
            out, err = done.stdout.decode(), done.stderr.decode()
    assert re.fullmatch(r"\d+ files, 3\.\d MB to n1 in [0-9.]+ s\n", out)
    assert err == ""


def test_mirrors_are_listed_and_forgotten(lab_toft: Toft, tree: Path) -> None:
    lab_toft("sync", "n1,n2", cwd=tree)
    mirrors = lab_toft.json("sync", "--list", "n1,n2", cwd=tree)["mirrors"]
    assert [mirror["node"] for mirror in mirrors] == ["n1", "n2"]
    assert {mirror["root"] for mirror in mirrors} == {str(tree)}
    assert all(mirror["bytes"] > 0 and not mirror["busy"] for mirror in mirrors)
    job = lab_toft("offload", "--detach", "n1", "sleep", "60", cwd=tree).stdout.decode().strip()
    refused = lab_toft("sync", "n1,n2", "--forget", ".", cwd=tree)
    assert refused.returncode == 1
    assert refused.stdout.decode() == f"n2: {mirrors[1]['name']} removed\n"
    assert "is in use" in refused.stderr.decode()
    lab_toft("kill", job, "--signal", "KILL")
    lab_toft("wait", job)
    done = lab_toft("sync", "--forget", mirrors[0]["name"], cwd=tree)
    assert (done.returncode, done.stdout.decode()) == (0, f"n1: {mirrors[0]['name']} removed\n")
    assert lab_toft.json("sync", "--list", "n1,n2", cwd=tree) == {"mirrors": []}
