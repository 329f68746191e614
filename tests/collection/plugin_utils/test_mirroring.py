"""A tree and its mirror: what arrives, what stays, what travels, and what is never mixed."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.module_utils import jobs, manifest, slots
from ansible_collections.toft.fleet.plugins.plugin_utils import conversation, mirroring
from ansible_collections.toft.fleet.plugins.plugin_utils.asking import ask

from tests.collection.plugin_utils.mirrors import HERE, Pair, git, shown
from tests.collection.plugin_utils.test_program import pythons

HOSTILE = [b"new\nline", b"sp ace", b"-n", b"\xff\xfe", b"quo'te\"", b"{{ x }}", b"$(id)", "é".encode()]
HOSTILE += [b"back\\slash", b"tab\t", b"*", b"#x", b"!x", b"~"]


def test_the_tree_as_it_is_now(pair: Pair) -> None:
    (pair.root / "untracked").write_text("new\n")
    (pair.root / "a").write_text("changed\n")
    (pair.root / "x.o").write_text("ignored\n")
    done = pair.sync()
    assert done.path == str(pair.mirror)
    assert b"x.o" not in shown(pair.mirror)
    (pair.root / "x.o").unlink()
    assert pair.same()


def test_nothing_travels_twice(pair: Pair) -> None:
    first = pair.sync()
    assert (first.files, first.dropped) == (5, 0)
    again = pair.sync()
    assert (again.files, again.dropped, again.bytes) == (0, 0, 0)
    (pair.root / "a").write_text("changed\n")
    (pair.root / "sub/b").unlink()
    third = pair.sync()
    assert (third.files, third.dropped, third.bytes) == (1, 1, 8)
    assert pair.same()
    assert not (pair.mirror / "sub").exists()


def test_a_dry_run_changes_nothing_and_names_it(pair: Pair) -> None:
    told = pair.sync(dry=True)
    assert "a" in told.send
    assert not (pair.home / ".toft").exists()
    pair.sync()
    (pair.root / "a").unlink()
    (pair.root / "c").write_text("3")
    told = pair.sync(dry=True)
    assert (told.send, told.drop) == (("c",), ("a",))
    assert (pair.mirror / "a").exists()


def test_hostile_names(pair: Pair) -> None:
    for name in HOSTILE:
        Path(os.fsdecode(os.fsencode(pair.root) + b"/" + name)).write_bytes(name)
    pair.sync()
    assert pair.same()
    for name in HOSTILE:
        Path(os.fsdecode(os.fsencode(pair.root) + b"/" + name)).unlink()
    assert pair.sync().dropped == len(HOSTILE)
    assert pair.same()


def test_modes_links_and_kinds_that_change(pair: Pair) -> None:
    pair.sync()
    (pair.root / "a").chmod(0o755)
    (pair.root / "link").unlink()
    (pair.root / "link").symlink_to("a")
    (pair.root / "run").unlink()
    (pair.root / "run").mkdir()
    (pair.root / "run/inner").write_text("now a directory\n")
    (pair.root / "sub/b").unlink()
    (pair.root / "sub").rmdir()
    (pair.root / "sub").write_text("now a file\n")
    pair.sync()
    assert pair.same()


def test_what_commands_made_stays_and_what_they_changed_is_put_right(pair: Pair) -> None:
    pair.sync()
    (pair.mirror / "out").mkdir()
    (pair.mirror / "out/result").write_text("built")
    (pair.mirror / "x.o").write_text("built")
    (pair.mirror / "a").write_text("formatted there\n")
    kept = (pair.mirror / "sub/b").stat()
    pair.sync()
    assert (pair.mirror / "a").read_text() == "one\n"
    assert (pair.mirror / "out/result").read_text() == "built"
    assert (pair.mirror / "sub/b").stat().st_mtime_ns == kept.st_mtime_ns
    assert (pair.mirror / "sub/b").stat().st_ino == kept.st_ino


def test_make_sees_what_changed_and_nothing_else(pair: Pair) -> None:
    (pair.root / "Makefile").write_text("out/r: a sub/b\n\tmkdir -p out; cat a sub/b > out/r; echo built\n")
    pair.sync()
    make = ["make", "-s", "-C", str(pair.mirror)]
    assert "built" in subprocess.run(make, capture_output=True, text=True, check=True).stdout
    pair.sync()
    assert "built" not in subprocess.run(make, capture_output=True, text=True, check=True).stdout
    (pair.root / "a").write_text("changed\n")
    # Its own clock is behind the node's: the file seems older than what was built.
    os.utime(pair.root / "a", ns=(10**18, 10**18))
    pair.sync()
    assert "built" in subprocess.run(make, capture_output=True, text=True, check=True).stdout


def test_a_link_in_the_mirror_is_not_followed(pair: Pair, tmp_path: Path) -> None:
    """A command put a link where a directory was: nothing is written to where it leads."""
    pair.sync()
    outside = tmp_path / "outside"
    outside.mkdir()
    (pair.mirror / "sub/b").unlink()
    (pair.mirror / "sub").rmdir()
    (pair.mirror / "sub").symlink_to(outside)
    pair.sync()
    assert list(outside.iterdir()) == []
    assert pair.same()


def test_no_git_tree_goes_whole(pair: Pair) -> None:
    subprocess.run(["rm", "-rf", str(pair.root / ".git")], check=True)
    (pair.root / "x.o").write_text("not ignored here")
    (pair.root / "empty").mkdir()
    (pair.root / "node_modules/x").mkdir(parents=True)
    (pair.root / "node_modules/x/y").write_text("stays")
    pair.exclude = ("node_modules",)
    pair.sync()
    assert (pair.mirror / "x.o").exists()
    assert (pair.mirror / "empty").is_dir()
    assert not (pair.mirror / "node_modules").exists()
    assert not (pair.mirror / ".git").exists()


@pytest.mark.parametrize("python", pythons((3, 8), (4, 0)))
def test_each_python_of_a_node(pair: Pair, python: str) -> None:
    pair.transport = replace(HERE, python=python)
    pair.sync()
    (pair.root / "a").write_text("changed\n")
    (pair.root / "sub/b").unlink()
    assert pair.sync().files == 1
    (pair.mirror / "out").mkdir()
    (pair.mirror / "out/r").write_text("result")
    assert pair.pull("out").files == 1
    (pair.root / "out/r").unlink()
    (pair.root / "out").rmdir()
    (pair.mirror / "out/r").unlink()
    assert pair.same()


# git's answers.


def answers(folder: Path) -> tuple[str, ...]:
    asked = (
        ("describe", "--tags", "--dirty"),
        ("describe", "--dirty", "--tags", "--long", "--match", "*[0-9]*"),
        ("status", "--porcelain"),
        ("rev-parse", "HEAD"),
        ("rev-parse", "--abbrev-ref", "HEAD"),
        ("log", "-1", "--format=%H %cI"),
        ("rev-list", "--count", "HEAD"),
    )
    return tuple(git(folder, *words) for words in asked)


def test_git_answers_as_here(pair: Pair) -> None:
    pair.sync()
    assert answers(pair.mirror) == answers(pair.root)
    (pair.root / "a").write_text("more\n")
    pair.commit("second")
    pair.sync()
    assert answers(pair.mirror) == answers(pair.root)
    assert answers(pair.mirror)[0].startswith("v1.2-1-g")
    (pair.root / "a").write_text("dirty\n")
    (pair.root / "staged").write_text("staged\n")
    pair.git("add", "staged")
    pair.git("mv", "run", "ran")
    (pair.root / "new").write_text("untracked\n")
    pair.sync()
    assert answers(pair.mirror) == answers(pair.root)
    assert answers(pair.mirror)[0].endswith("-dirty\n")
    pair.git("checkout", "-q", "--detach")
    pair.commit("third")
    pair.git("tag", "light")
    pair.sync()
    assert answers(pair.mirror) == answers(pair.root)


def test_git_there_does_not_make_more_travel(pair: Pair) -> None:
    pair.sync()
    git(pair.mirror, "status")
    git(pair.mirror, "update-index", "-q", "--refresh")
    os.utime(pair.mirror / ".git/index")
    assert pair.sync().bytes == 0
    git(pair.mirror, "rm", "-q", "--cached", "a")
    pair.sync()
    assert answers(pair.mirror) == answers(pair.root)


def test_nothing_of_the_configuration_and_no_hook(pair: Pair) -> None:
    pair.git("config", "remote.origin.url", "https://me:canary@example.org/x")
    pair.git("config", "core.fsmonitor", "touch /tmp/canary-ran; false")
    (pair.root / ".git/hooks").mkdir(exist_ok=True)
    (pair.root / ".git/hooks/post-checkout").write_text("#!/bin/sh\necho canary\n")
    pair.sync()
    found = subprocess.run(["grep", "-r", "canary", str(pair.mirror)], capture_output=True, check=False)
    assert found.stdout == b""
    assert not list(pair.mirror.glob(".git/hooks/*"))


def test_tracked_and_excluded_is_not_missed(pair: Pair) -> None:
    pair.exclude = ("sub",)
    pair.sync()
    assert not (pair.mirror / "sub").exists()
    assert git(pair.mirror, "status", "--porcelain") == ""


def test_ignored_by_other_files_than_those_that_travel(pair: Pair) -> None:
    (pair.root / ".git/info/exclude").write_text("*.swp\n")
    pair.sync()
    (pair.mirror / "x.swp").write_text("an editor's")
    assert git(pair.mirror, "status", "--porcelain") == ""


def test_submodules_worktrees_and_repositories_inside(pair: Pair, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "f").write_text("inner\n")
    git(inner, "add", "f")
    git(inner, "commit", "-qm", "inner")
    pair.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "mod")
    pair.commit("module")
    other = Pair(tmp_path / "worktree", pair.home, pair.cache)
    pair.git("worktree", "add", "-q", str(other.root), "-b", "side")
    pair.sync()
    assert (pair.mirror / "mod/f").read_text() == "inner\n"
    assert git(pair.mirror, "status", "--porcelain") == ""
    assert git(pair.mirror / "mod", "rev-parse", "HEAD") == git(inner, "rev-parse", "HEAD")
    other.sync()
    assert answers(other.mirror) == answers(other.root)
    assert git(other.mirror, "rev-parse", "--abbrev-ref", "HEAD") == "side\n"


def test_before_the_first_commit(pair: Pair) -> None:
    subprocess.run(["rm", "-rf", str(pair.root / ".git")], check=True)
    pair.git("init", "-q", "-b", "main")
    pair.git("add", "a")
    pair.sync()
    assert git(pair.mirror, "status", "--porcelain") == git(pair.root, "status", "--porcelain")


# Several at once.


def test_a_running_job_keeps_its_tree(pair: Pair) -> None:
    """The next version goes to another slot, and the stable path is used again when the job has ended."""
    first = pair.sync(job="job-1")
    lease = {"name": "tree-1", "workdir": str(pair.home), "slot": first.slot, "digest": first.digest}
    fifo = pair.home / "fifo"
    os.mkfifo(fifo)
    job = {"id": "job-1", "argv": ["sh", "-c", f"read x < {fifo}; cat a"], "cwd": first.path, "lease": lease}
    started = ask(HERE, {"verb": "start", "job": job}, deadline=time.monotonic() + 20)
    assert isinstance(started, dict)
    assert started["ok"], started
    assert pair.sync(job="job-2").slot == 1  # the same tree is shared
    (pair.root / "a").write_text("next\n")
    second = pair.sync(job="job-3")
    assert (second.slot, Path(second.path).name) == (2, "tree-1.2")
    assert shown(Path(second.path)) == shown(pair.root)
    fifo.write_text("go\n")
    record = until_ended("job-1")
    assert record["stdout_bytes"] == len("one\n")
    for job_id in ("job-2", "job-3"):
        expire(pair, job_id)
    assert pair.sync().slot == 1
    assert pair.same()


def expire(pair: Pair, job_id: str) -> None:
    """As if the lease had been given long ago, and no job come for it."""
    for lease in pair.home.glob(f".toft/mirror/.tree-1/*/leases/{job_id}"):
        os.utime(lease, (0, 0))


def until_ended(job_id: str) -> dict[str, object]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        told = ask(HERE, {"verb": "state", "ids": [job_id]}, deadline=deadline)
        assert isinstance(told, dict)
        if told["records"][0]["state"] != "running":
            record: dict[str, object] = told["records"][0]
            return record
        time.sleep(0.05)
    raise AssertionError("the job does not end")


def test_a_lease_that_was_given_away_starts_nothing(pair: Pair) -> None:
    done = pair.sync(job="job-1")
    expire(pair, "job-1")
    (pair.root / "a").write_text("next\n")
    pair.sync()
    lease = {"name": "tree-1", "workdir": str(pair.home), "slot": done.slot, "digest": done.digest}
    job = {"id": "job-1", "argv": ["true"], "cwd": done.path, "lease": lease}
    told = ask(HERE, {"verb": "start", "job": job}, deadline=time.monotonic() + 20)
    assert isinstance(told, dict)
    assert told["error"]["code"] == "mirror_changed"


def test_overlapping_syncs_of_an_edited_tree_never_mix(pair: Pair) -> None:
    """A writer goes through the files in order, generation after generation; what a mirror shows was once so."""
    names = [f"gen/{n:02d}" for n in range(12)]
    (pair.root / "gen").mkdir()
    write(pair.root, names, 0)
    stop = threading.Event()

    def edit() -> None:
        generation = 0
        while not stop.is_set():
            generation += 1
            write(pair.root, names, generation)
            time.sleep(0.02)

    mixed, rounds, writer = [], 0, threading.Thread(target=edit)
    writer.start()
    try:
        for n in range(8):
            done = run_two(pair, n)
            rounds += len(done)
            mixed += [one for one in done if not was_once_so(Path(one.path), names)]
    finally:
        stop.set()
        writer.join()
    assert rounds == 16
    assert mixed == []


def write(root: Path, names: list[str], generation: int) -> None:
    """As editors do: each file whole, by a rename."""
    draft = root.parent / "draft"
    for name in names:
        draft.write_text(f"{generation}\n" * 50)
        draft.rename(root / name)


def was_once_so(mirror: Path, names: list[str]) -> bool:
    lines = [set((mirror / name).read_text().split()) for name in names]
    seen = [int(next(iter(line))) for line in lines]
    return all(len(line) == 1 for line in lines) and seen == sorted(seen, reverse=True) and seen[0] - seen[-1] <= 1


def run_two(pair: Pair, n: int) -> list[mirroring.Mirrored]:
    """Two syncs at once, each for a job of its own, so that neither is switched while we look."""
    done: list[mirroring.Mirrored] = []
    threads = [threading.Thread(target=lambda k=k: done.append(pair.sync(job=f"mix-{n}-{k}"))) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


# When something goes wrong.


def test_a_switch_that_was_cut_off_is_repaired(pair: Pair) -> None:
    """The machine stopped in the middle: no state, half the files."""
    pair.sync()
    own = pair.home / ".toft/mirror/.tree-1/1"
    (own / "state").rename(own / "before")
    (pair.mirror / "a").write_text("half")
    (pair.root / "sub/b").unlink()
    pair.sync()
    assert pair.same()
    assert (own / "state").exists()
    assert not (own / "before").exists()


def test_after_a_reboot_contents_are_read(pair: Pair) -> None:
    """A power cut can leave files whose stat data is right and whose blocks are not."""
    pair.sync()
    state = pair.home / ".toft/mirror/.tree-1/1/state"
    text = state.read_text()
    boot = text.rpartition('"boot":"')[2].partition('"')[0]
    state.write_text(text.replace(boot, "another-boot"))
    seen = (pair.mirror / "a").stat()
    (pair.mirror / "a").write_text("\0\0\0\0")
    os.utime(pair.mirror / "a", ns=(seen.st_mtime_ns, seen.st_mtime_ns))
    assert pair.sync().files == 1
    assert pair.same()


def test_a_connection_that_broke_need_not_send_again(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    (pair.root / "large").write_bytes(random.Random(1).randbytes(3 << 20))
    real = mirroring._Visit._offer

    def cut(visit: mirroring._Visit, commit: bool) -> dict[str, object]:
        if commit:
            raise KeyboardInterrupt
        return real(visit, commit)

    monkeypatch.setattr(mirroring._Visit, "_offer", cut)
    with pytest.raises(KeyboardInterrupt):
        pair.sync()
    monkeypatch.setattr(mirroring._Visit, "_offer", real)
    assert pair.sync().bytes == 0
    assert pair.same()


def test_what_cannot_be_read_is_named(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "content_of", lambda path: None)
    with pytest.raises(PermissionError) as refused:
        pair.sync()
    assert Path(refused.value.filename).parent.is_relative_to(pair.root)


def test_a_mirror_that_somebody_else_made_is_refused(pair: Pair) -> None:
    (pair.home / ".toft").symlink_to("/tmp")
    with pytest.raises(conversation.Refused) as refused:
        pair.sync()
    assert refused.value.code == "unsafe_state"


@pytest.mark.parametrize("name", ["../x", "", ".x", "a/b", "x" * 200])
def test_a_mirror_has_a_plain_name(name: str) -> None:
    with pytest.raises(jobs.Refused):
        slots.Place("/base", name)
