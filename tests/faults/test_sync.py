"""A tree is never seen half-way: not by overlapping syncs, not on a full disk, not over a line that breaks."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Toft
from tests.faults.report import figure
from tests.lab.laboratory import Lab

FILES, ROUNDS, AT_ONCE = 24, 10, 3
NAMES = [f"gen/{number:02d}" for number in range(FILES)]
LOOK = f"""
import pathlib, time
lines = []
for n in range({FILES}):
    lines.append(pathlib.Path(f"gen/{{n:02d}}").read_text().split())
    time.sleep(0.02)
seen = [int(line[0]) for line in lines]
whole = all(len(set(line)) == 1 for line in lines)
print("same" if whole and seen == sorted(seen, reverse=True) and seen[0] - seen[-1] <= 1 else f"mixed {{seen}}")
"""
"""A command that reads slowly, file by file, while other syncs go on."""


@pytest.fixture
def tree(tmp_path: Path, lab: Lab) -> Iterator[Path]:
    tree = tmp_path / "project"
    (tree / "gen").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", str(tree)], check=True)
    write(tree, 0)
    yield tree
    for host in lab.hosts.values():
        host.run("rm -rf /home/fleet/.toft")


def write(tree: Path, generation: int) -> None:
    """In order, each file whole, as an editor does."""
    for name in NAMES:
        draft = tree.parent / "draft"
        draft.write_text(f"{generation}\n" * random.Random(name).randint(1, 2000))
        draft.rename(tree / name)


def test_overlapping_syncs_and_edits_never_mix(lab_toft: Toft, tree: Path) -> None:
    """Promise 34: jobs that read slowly in their mirrors, three at once, while somebody edits without a pause."""
    assert lab_toft("offload", "n1", "true", cwd=tree).returncode == 0
    stop, generations = threading.Event(), [0]

    def edit() -> None:
        while not stop.is_set():
            generations[0] += 1
            write(tree, generations[0])
            time.sleep(0.05)

    def look() -> None:
        done.append(lab_toft("-q", "offload", "n1", "python3", "-c", LOOK, cwd=tree))

    writer = threading.Thread(target=edit)
    writer.start()
    done: list[subprocess.CompletedProcess[bytes]] = []
    try:
        for _ in range(ROUNDS):
            offloads = [threading.Thread(target=look) for _ in range(AT_ONCE)]
            for one in offloads:
                one.start()
            for one in offloads:
                one.join()
    finally:
        stop.set()
        writer.join()
    said = [one.stdout for one in done]
    mixed = sum(text.startswith(b"mixed") for text in said)
    same = said.count(b"same\n")
    edits = f"{generations[0]} generations of {FILES} files written meanwhile"
    figure(34, f"{len(done)} jobs, {AT_ONCE} at once, {edits}: mixed {mixed}, refused {len(done) - same - mixed}")
    assert mixed == 0, said
    assert same == len(done), [one.stderr for one in done if one.stdout != b"same\n"]


def test_a_full_disk_leaves_the_mirror_as_it_was(lab_toft: Toft, lab: Lab, tree: Path) -> None:
    """Promise 21, for a sync: 125, the disk is named, nothing ran, and the old tree is there when there is room."""
    host = lab.hosts["n1"]
    host.run("mkdir -p /home/fleet/small && mount -t tmpfs -o size=2m,uid=$(id -u fleet) small /home/fleet/small")
    inventory = tree.parent / "inventory"
    inventory.mkdir()
    (inventory / "lab.yml").symlink_to(lab.inventory)
    (inventory / "host_vars").mkdir()
    (inventory / "host_vars/n1.yml").write_text('{"toft_workdir": "/home/fleet/small"}')
    small = Toft(lab_toft.home, inventory, runtime=lab_toft.runtime)
    try:
        assert small("offload", "n1", "true", cwd=tree).returncode == 0
        (tree / "large").write_bytes(random.Random(1).randbytes(4 << 20))
        write(tree, 1)
        done = small("offload", "n1", "--", "sh", "-c", "echo ran", cwd=tree)
        assert (done.returncode, done.stdout) == (125, b"")
        assert b"disk full on /home/fleet/small" in done.stderr
        where = host.run("ls -d /home/fleet/small/.toft/mirror/project-*").stdout.strip()
        kept = host.run(f"cat {where}/gen/* | sort -u; ls {where}").stdout.split()
        assert kept == ["0", "gen"]
        (tree / "large").unlink()
        assert small("offload", "n1", "cat", "gen/00", cwd=tree).stdout.split()[0] == b"1"
    finally:
        host.run("umount -l /home/fleet/small")
    figure(21, "a sync to a full disk: 125, `disk full on …`, the old tree whole, then the new one")


def test_a_line_that_breaks_during_a_sync(lab_toft: Toft, lab: Lab, tree: Path) -> None:
    """What has arrived need not come again, and nothing ran."""
    assert lab_toft("offload", "n1", "true", cwd=tree).returncode == 0
    for number in range(40):
        (tree / f"large{number}").write_bytes(random.Random(number).randbytes(1 << 20))
    host = lab.hosts["n1"]
    with host.rate(60):
        process = lab_toft.begin("offload", "n1", "--", "sh", "-c", "echo ran", cwd=tree)
        stage = "ls /home/fleet/.toft/mirror/.project-*/stage/*/ | wc -l"
        deadline = time.monotonic() + 60
        while int(host.run(stage).stdout) < 10:
            assert time.monotonic() < deadline
        with host.cut():
            out, err = process.communicate(timeout=90)
    assert (process.returncode, out) == (125, b""), err
    arrived = int(host.run(stage).stdout)
    done = lab_toft("offload", "n1", "--", "sh", "-c", "cat large* | wc -c", cwd=tree)
    assert done.stdout.strip() == str(40 << 20).encode()
    sent = float(done.stderr.split(b"files, ")[1].split(b" MB")[0])
    figure(34, f"cut in the middle of a sync: 125, {arrived} of 40 MB had arrived; then {sent:g} MB more, and it ran")
    assert sent <= 43 - arrived
    assert arrived >= 10


HOSTILE = {
    "absolute link": "ln -s /etc/passwd out/x",
    "climbing link": "ln -s ../../../outside out/x",
    "git's own data": "mkdir -p out/.git/hooks; echo x > out/.git/hooks/post-checkout; echo x > out/x",
    "a pipe": "mkfifo out/p; echo x > out/x",
    "a bomb": "truncate -s 100G out/x",
    "many": "python3 -c \"for n in range(100001): open(f'out/{n}', 'w').close()\"",
    "a link above": "mv out elsewhere; ln -s elsewhere out; echo x > elsewhere/x",
}


def test_hostile_results_are_contained(lab_toft: Toft, tree: Path) -> None:
    """Promise 42, for a pull: whatever a command left there, nothing is written outside what was asked for."""
    (tree / ".gitignore").write_text("out\nelsewhere\n")
    outside, refused = 0, 0
    for what, script in HOSTILE.items():
        line = f"rm -rf out elsewhere; mkdir out; {script}"
        done = lab_toft("-q", "offload", "--pull", "out/x" if what == "a link above" else "out", "n1", line, cwd=tree)
        assert done.returncode in (0, 1), (what, done.stderr)
        refused += done.returncode
        made = {path.name for path in (tree.parent).iterdir()} - {"project", "draft", "home"}
        inner = {str(path.relative_to(tree)) for path in tree.rglob("*") if ".git" not in path.parts[:-1]}
        strange = {path for path in inner if not path.startswith(("gen", "out", ".git"))}
        outside += len(made) + len(strange) + len(list(tree.glob("out/.git*")))
        subprocess.run(["rm", "-rf", str(tree / "out")], check=True)
    figure(42, f"{len(HOSTILE)} hostile results pulled: {refused} refused, writes outside {outside}")
    assert outside == 0
    assert refused == 5  # git's data and a pipe are left out, the file beside them comes
