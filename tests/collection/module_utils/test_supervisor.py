"""One job from its start to its last byte: codes, signals, bytes, time limits, terminals, full disks."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.module_utils import frames, processes, spawn

from tests.collection.node_sessions import Node, Outcome, alive, eventually, node_for

PYTHON = sys.executable


def run_all(node: Node, jobs: list[dict[str, Any]]) -> list[Outcome]:
    """Many jobs, one after the other, in one session."""
    session = node.session()
    outcomes = []
    for job in jobs:
        answer = session.ask({"verb": "start", "job": job})
        assert answer["ok"], answer
        assert session.ask({"verb": "follow", "id": job["id"]})["ok"]
        outcomes.append(session.outcome())
    session.close()
    return outcomes


# How it ends.


def test_every_exit_code_is_exact(node: Node) -> None:
    jobs = [node.job("sh", "-c", f"exit {code}") for code in range(256)]
    for code, outcome in enumerate(run_all(node, jobs)):
        record = outcome.record
        assert (record["state"], record["exit_code"], record["signal"]) == ("exited", code, None)


def terminating() -> list[int]:
    harmless = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
    stopping = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    realtime = set(range(signal.SIGRTMIN, signal.SIGRTMAX + 1))
    return sorted(set(signal.valid_signals()) - harmless - stopping - realtime)


def test_every_terminating_signal_is_exact(node: Node) -> None:
    numbers = terminating()
    assert len(numbers) > 20
    jobs = [node.job("sh", "-c", f"ulimit -c 0; kill -{number} $$; sleep 9") for number in numbers]
    for number, outcome in zip(numbers, run_all(node, jobs), strict=True):
        record = outcome.record
        assert (record["state"], record["exit_code"], record["signal"]) == ("signaled", 128 + number, number)


def test_signals_are_as_a_shell_expects_them(node: Node) -> None:
    code = (
        "import signal,os;"
        "print([s.name for s in signal.valid_signals() if isinstance(s,signal.Signals) and "
        "signal.getsignal(s)==signal.SIG_IGN], signal.pthread_sigmask(0,[]))"
    )
    # Python itself ignores these two.
    outcome = node.run(PYTHON, "-I", "-S", "-c", code)
    assert outcome.stdout == b"['SIGPIPE', 'SIGXFSZ'] set()\n"
    piped = node.run("bash", "-c", "yes | head -1; exit ${PIPESTATUS[0]}")
    assert (piped.stdout, piped.record["exit_code"]) == (b"y\n", 128 + signal.SIGPIPE)


@pytest.mark.parametrize(
    ("mode", "content", "code", "exit_code"),
    [
        (0o755, b"#!/bin/sh\nexit 3\n", None, 3),
        (0o755, b"exit 4\n", None, 4),
        (0o644, b"#!/bin/sh\n", "not_executable", 126),
        (0o755, b"\x7fELF\x02\x01\x01\0 of another machine", "not_executable", 126),
        (0o755, b"#!/no/such/interpreter\n", "not_found", 127),
        (None, b"", "not_found", 127),
    ],
)
def test_what_can_be_executed(node: Node, mode: int | None, content: bytes, code: str | None, exit_code: int) -> None:
    program = node.home / "program"
    if mode is not None:
        program.write_bytes(content)
        program.chmod(mode)
    for argv in ([str(program)], ["program"]):
        record = node.run(*argv, env={"PATH": f"{node.home}:/usr/bin:/bin"}).record
        assert (record["state"], record["exit_code"]) == ("exited", exit_code)
        assert (record["error"] or {}).get("code") == code
        assert record["started_at"] is not None


def test_a_directory_is_not_executable(node: Node) -> None:
    assert node.run(str(node.home)).record["exit_code"] == 126


def test_a_directory_that_is_not_there_starts_nothing(node: Node) -> None:
    record = node.run("touch", str(node.home / "ran"), cwd="/no/such").record
    assert (record["state"], record["exit_code"]) == ("not_started", None)
    assert record["error"]["code"] == "no_cwd"
    assert record["error"]["message"] == "cannot enter /no/such: No such file or directory"
    assert not (node.home / "ran").exists()


def test_what_is_too_long_starts_nothing(node: Node) -> None:
    record = node.run("true", "x" * (128 << 10)).record
    assert (record["state"], record["error"]["code"]) == ("not_started", "too_long")


# What it gets.


def test_arguments_arrive_as_they_were_sent(node: Node) -> None:
    cases = fuzz(10_000)
    batches = [cases[start : start + 400] for start in range(0, len(cases), 400)]
    outcomes = run_all(node, [node.job("printf", "%s\\0", *batch) for batch in batches])
    for batch, outcome in zip(batches, outcomes, strict=True):
        expected = [word.encode("utf-8", "surrogateescape") for word in batch]
        assert outcome.stdout.split(b"\0")[:-1] == expected


def test_shell_texts_arrive_as_they_were_sent(node: Node) -> None:
    cases = [text for text in fuzz(60) if text]
    # As the text of a shell: a here document gives it back.
    jobs = [node.job(shell=f"cat <<'E-N-D'\n{text}\nE-N-D") for text in cases]
    for text, outcome in zip(cases, run_all(node, jobs), strict=True):
        assert outcome.stdout == text.encode("utf-8", "surrogateescape") + b"\n"


def fuzz(count: int) -> list[str]:
    pieces = [
        "'",
        '"',
        "`",
        "$(id)",
        "$HOME",
        "${#x}",
        "\\",
        "\n",
        "\r\n",
        "\t",
        " ",
        "-n",
        "--",
        "-",
        "*",
        "?",
    ]
    pieces += [
        "{{ 7*7 }}",
        "{% raw %}",
        "{#",
        "creates=/x",
        "a=b",
        "!",
        "!!",
        "#",
        ";",
        "|",
        "&",
        ">",
        "<",
        "~",
    ]
    pieces += [
        "é",
        "日本",
        "😀",
        "\u202e",
        "\udc80",
        "\udcff",
        "\x01",
        "\x1b[31m",
        "\x7f",
        "%s",
        "%n",
        "x" * 50,
    ]
    chosen = random.Random(25)
    plain = [*pieces, ""]
    return plain + ["".join(chosen.choices(pieces, k=chosen.randint(1, 6))) for _ in range(count - len(plain))]


@pytest.mark.parametrize("text", ["echo one; exit 3", "-x", "+e", "--version"])
def test_a_text_is_for_the_shell(node: Node, text: str) -> None:
    outcome = node.run(shell=text)
    if text.startswith("echo"):
        assert (outcome.stdout, outcome.record["exit_code"]) == (b"one\n", 3)
    else:
        assert outcome.record["exit_code"] == 127  # a command of that name, not the shell's own option
    assert outcome.record["command"] == text


def test_the_shell_is_bash_where_there_is_one(node: Node) -> None:
    assert node.run(shell="echo ${BASH_VERSION:+bash}").stdout == b"bash\n"
    (node.home / "sh").symlink_to("/bin/sh")
    alone = node.run(shell="echo ${BASH_VERSION:-none}", env={"PATH": str(node.home)})
    assert alone.stdout == b"none\n"


def test_a_mebibyte_of_arguments(node: Node) -> None:
    words = [f"{number:05d}" + "x" * 1019 for number in range(1024)]
    outcome = node.run("printf", "%s", *words)
    assert outcome.stdout.decode() == "".join(words)
    assert len(outcome.record["command"]) <= 4096


def test_an_argument_of_almost_128_kib_and_a_thousand_variables(node: Node) -> None:
    env = {f"VARIABLE_{number}": f"value {number} é" for number in range(1000)}
    code = "import os,sys; print(len(sys.argv[1]), sum(n.startswith('VARIABLE_') for n in os.environ))"
    outcome = node.run(PYTHON, "-I", "-S", "-c", code, "y" * ((128 << 10) - 1), env=env)
    assert outcome.stdout == b"131071 1000\n"


def test_variables_of_the_job_win_and_ours_stay_away(node: Node) -> None:
    node.env.update(SSH_CONNECTION="1 2 3 4", SSH_CLIENT="1 2 3", SSH_AUTH_SOCK="/agent", SHLVL="7")
    outcome = node.run("env", env={"HOME": "/elsewhere", "BYTES": "\udcff"})
    lines = outcome.stdout.split(b"\n")
    assert b"HOME=/elsewhere" in lines
    assert b"BYTES=\xff" in lines
    assert b"SSH_AUTH_SOCK=/agent" in lines
    names = {line.partition(b"=")[0] for line in lines}
    assert not names & {
        b"SSH_CONNECTION",
        b"SSH_CLIENT",
        b"SHLVL",
        b"PWD",
        b"OLDPWD",
        b"_",
        b"TERM",
        b"LC_CTYPE",
    }


@pytest.mark.parametrize(
    ("workdir", "cwd", "expected"),
    [
        (None, None, "{home}"),
        (None, "sub", "{home}/sub"),
        ("~/sub", None, "{home}/sub"),
        ("~", "sub/../sub", "{home}/sub"),
        ("/usr", "lib", "/usr/lib"),
        ("/usr", "/etc", "/etc"),
        ("sub", None, "{home}/sub"),
        (None, "~root", "/root"),
    ],
)
def test_where_it_runs(node: Node, workdir: str | None, cwd: str | None, expected: str) -> None:
    (node.home / "sub").mkdir()
    outcome = node.run("pwd", workdir=workdir, cwd=cwd)
    assert outcome.stdout.decode().strip() == expected.format(home=node.home)


def test_its_files_get_the_umask_of_the_login(node: Node) -> None:
    (node.home / ".profile").write_text("umask 027\n")
    assert node.run("sh", "-c", "umask").stdout.strip() == b"0027"


def test_it_has_no_descriptors_of_ours(node: Node) -> None:
    outcome = node.run("sh", "-c", "ls /proc/$$/fd")
    assert outcome.stdout.split() == [b"0", b"1", b"2"]


def test_without_input_it_reads_an_end(node: Node) -> None:
    assert node.run("cat").record["exit_code"] == 0


# Its bytes.


def test_bytes_come_back_as_they_were(node: Node) -> None:
    payloads = [bytes(range(256)) * 300, b"\r\n\r\n\0\xff\xfe", b"no newline at the end", b"", b"\n" * 70_000]
    for number, payload in enumerate(payloads):
        (node.home / f"{number}").write_bytes(payload)
    jobs = [node.job("sh", "-c", f"cat {n}; cat {n} {n} >&2", cwd=str(node.home)) for n in range(len(payloads))]
    for payload, outcome in zip(payloads, run_all(node, jobs), strict=True):
        assert hashlib.sha256(outcome.stdout).digest() == hashlib.sha256(payload).digest()
        assert hashlib.sha256(outcome.stderr).digest() == hashlib.sha256(payload * 2).digest()
        record = outcome.record
        assert (record["stdout_bytes"], record["stderr_bytes"]) == (len(payload), 2 * len(payload))


def test_a_command_cannot_truncate_what_it_has_said(node: Node) -> None:
    outcome = node.run("bash", "-c", "echo one; echo two > /dev/stdout; echo three >> /dev/stdout")
    assert outcome.stdout == b"one\ntwo\nthree\n"


def test_a_hundred_megabytes_in_little_memory(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    size = 100 << 20
    os.mkfifo(node.home / "fifo")
    job = node.job("sh", "-c", f"read x < fifo; exec head -c {size} /dev/zero", cwd=str(node.home))
    session = node.session({"verb": "start", "job": job}, {"verb": "follow", "id": job["id"]})
    assert session.answer()["ok"]
    supervisor = node.supervisor(job["id"])
    assert session.answer()["ok"]
    (node.home / "fifo").write_bytes(b"go\n")
    begun, received, peaks = time.monotonic(), 0, (0, 0)
    while True:
        kind, payload = session.until(frames.STDOUT, frames.FINAL)
        if kind == frames.FINAL:
            break
        received += len(payload)
        assert not payload.strip(b"\0")
        peaks = (max(peaks[0], peak(supervisor)), max(peaks[1], peak(session.process.pid)))
    seconds = time.monotonic() - begun
    assert received == size
    assert frames.loads(payload)["stdout_bytes"] == size
    with capsys.disabled():
        rate = size / seconds / 1e6
        print(f"\n100 MiB at {rate:.0f} MB/s; RSS of supervisor {peaks[0]} kB, of follower {peaks[1]} kB")
    assert max(peaks) < 20_000


def peak(pid: int) -> int:
    """The largest resident size so far in kB, 0 for a process that has gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(text.partition("VmHWM:")[2].split()[0]) if "VmHWM:" in text else 0


# Time.


def test_figures_of_what_it_used(node: Node) -> None:
    busy = "while time.process_time() - t < .2: pass"
    code = f"import time; b = bytearray(60 << 20); t = time.process_time()\n{busy}\ntime.sleep(.2)"
    record = node.run(PYTHON, "-I", "-S", "-c", code).record
    assert 0.2 <= record["cpu_s"] < 2
    assert 60 << 20 <= record["max_rss_bytes"] < 200 << 20
    assert 0.4 <= record["duration_s"] < 30
    assert record["started_at"] < record["ended_at"]


def test_a_limit_ends_it(node: Node) -> None:
    record = node.run("sleep", "60", timeout_s=0.2).record
    assert (record["state"], record["exit_code"], record["signal"]) == ("timed_out", 124, signal.SIGTERM)
    assert 0.2 <= record["duration_s"] < 30


def test_a_limit_ends_the_whole_group(node: Node) -> None:
    outcome = node.run("bash", "-c", "sleep 60 & sleep 60 & wait", timeout_s=0.2)
    assert outcome.record["state"] == "timed_out"
    assert outcome.record["survivors"] == []


def test_who_does_not_heed_the_limit_is_killed(node: Node) -> None:
    outcome = node.run("bash", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done", timeout_s=3)
    record = outcome.record
    assert (record["state"], record["exit_code"], record["signal"]) == ("timed_out", 124, signal.SIGKILL)
    assert 7.9 <= record["duration_s"] < 30


# Signals from clients.


def test_signals_reach_the_whole_group(node: Node) -> None:
    inner = 'trap "echo too; exit" INT; echo ready; while :; do sleep .02; done'
    job = node.job("bash", "-c", f"trap 'echo got INT' INT; sh -c '{inner}'; echo end")
    session = node.session({"verb": "start", "job": job}, {"verb": "follow", "id": job["id"]})
    assert session.answer()["ok"]
    assert session.answer()["ok"]
    assert session.until(frames.STDOUT)[1] == b"ready\n"
    session.send(frames.frame(frames.SIGNAL, b"INT"))
    outcome = session.outcome()
    assert sorted(outcome.stdout.splitlines()) == [b"end", b"got INT", b"too"]


def test_first_interrupt_then_kill(node: Node) -> None:
    job = node.job("bash", "-c", "trap 'echo no' INT; echo ready; while :; do sleep .05; done")
    session = node.session({"verb": "start", "job": job}, {"verb": "follow", "id": job["id"]})
    session.answer(), session.answer()
    assert session.until(frames.STDOUT)[1] == b"ready\n"
    session.send(frames.frame(frames.SIGNAL, b"INT"))
    assert session.until(frames.STDOUT)[1] == b"no\n"
    session.send(frames.frame(frames.SIGNAL, b"KILL"))
    record = session.outcome().record
    assert (record["state"], record["exit_code"], record["survivors"]) == ("signaled", 137, [])


@pytest.mark.parametrize(
    ("name", "number"), [("INT", signal.SIGINT), ("SIGTERM", signal.SIGTERM), ("usr1", signal.SIGUSR1)]
)
def test_signals_have_names(name: str, number: int) -> None:
    assert processes.number_of(name) == number


@pytest.mark.parametrize("name", ["", "NONE", "9", "_DFL", "SIG", "SIG_IGN", "INT;"])
def test_what_is_no_signal(name: str) -> None:
    with pytest.raises(ValueError, match="no signal"):
        processes.number_of(name)


# What it leaves behind.


def test_survivors_are_said_and_do_not_delay_the_result(node: Node) -> None:
    outcome = node.run("bash", "-c", "sleep 61 & echo $!; exit 3")
    record = outcome.record
    assert (record["state"], record["exit_code"]) == ("exited", 3)
    assert record["survivors"] == [int(outcome.stdout)]
    assert record["duration_s"] < 10
    os.kill(int(outcome.stdout), signal.SIGKILL)


def test_survivors_can_be_killed_through_the_job(node: Node) -> None:
    job = node.job("bash", "-c", "sleep 61 & echo $!")
    survivor = int(node.run_job(job).stdout)
    assert node.ask(verb="signal", id=job["id"], signal="KILL")["ok"]
    eventually(lambda: not alive(survivor), "the survivor is gone")


def test_survivors_go_on_writing(node: Node) -> None:
    os.mkfifo(node.home / "fifo")
    job = node.job("bash", "-c", "(read x < fifo; echo late; echo later) & echo early", cwd=str(node.home))
    outcome = node.run_job(job)
    assert outcome.stdout == b"early\n"
    (node.home / "fifo").write_bytes(b"go\n")
    eventually(lambda: node.record(job["id"])["stdout_bytes"] == 17, "the survivor has written")
    again = node.follow(job["id"], wait=False).outcome()
    assert again.stdout == b"early\nlate\nlater\n"


def test_output_of_a_flooding_survivor_does_not_delay_the_result(node: Node) -> None:
    outcome = node.run("bash", "-c", "(while :; do echo flood; done) & echo $! >&2")
    assert outcome.record["state"] == "exited"
    os.kill(int(outcome.stderr), signal.SIGKILL)


def test_a_job_is_removed_in_spite_of_its_survivors(node: Node) -> None:
    os.mkfifo(node.home / "fifo")
    script = "(read x < fifo; head -c 3000000 /dev/zero; echo $? > written) & echo early"
    job = node.job("bash", "-c", script, cwd=str(node.home))
    node.run_job(job)
    assert node.ask(verb="remove", ids=[job["id"]])["removed"] == [job["id"]]
    (node.home / "fifo").write_bytes(b"go\n")
    eventually(lambda: (node.home / "written").exists(), "the survivor could write")
    assert list(node.root.iterdir()) == []


def test_a_command_that_closes_its_streams_is_still_waited_for(node: Node) -> None:
    outcome = node.run("bash", "-c", "echo said; exec >&- 2>&-; sleep .3; exit 4")
    assert (outcome.stdout, outcome.record["exit_code"]) == (b"said\n", 4)
    assert outcome.record["duration_s"] >= 0.3


# What can happen to a supervisor.


def test_a_killed_supervisor_leaves_it_unknown_and_no_client_waiting(node: Node) -> None:
    job = node.job("bash", "-c", "echo said; echo $$ >&2; exec sleep 61")
    session = node.session({"verb": "start", "job": job}, {"verb": "follow", "id": job["id"]})
    session.answer(), session.answer()
    command = int(session.until(frames.STDERR)[1])
    os.kill(node.supervisor(job["id"]), signal.SIGKILL)
    outcome = session.outcome(patience=5)
    assert (outcome.record["state"], outcome.record["exit_code"]) == ("unknown", None)
    eventually(lambda: not alive(command), "the command does not live on uncontrolled")
    again = node.follow(job["id"]).outcome()
    assert again.stdout == b"said\n"
    assert node.start(job)["record"]["state"] == "unknown"
    assert node.ask(verb="remove", ids=[job["id"]])["removed"] == [job["id"]]


def test_a_supervisor_is_deaf_to_what_ends_a_session(node: Node) -> None:
    job = node.job("sh", "-c", "echo ready; read x < fifo; exit 6", cwd=str(node.home))
    os.mkfifo(node.home / "fifo")
    node.start(job)
    supervisor = node.supervisor(job["id"])
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        os.kill(supervisor, number)
    (node.home / "fifo").write_bytes(b"go\n")
    assert node.follow(job["id"]).outcome().record["exit_code"] == 6


def test_out_of_memory_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    counted = processes.out_of_memory_kills()
    text = Path("/proc/vmstat").read_text()
    assert f"oom_kill {counted}\n" in text


# Terminals.


def test_a_terminal_is_one(node: Node) -> None:
    code = "import os,sys; print([os.isatty(n) for n in range(3)], os.get_terminal_size(), os.environ['TERM'])"
    outcome = node.run(PYTHON, "-I", "-S", "-c", code, tty={"term": "vt100", "rows": 33, "cols": 111})
    assert outcome.stdout == b"[True, True, True] os.terminal_size(columns=111, lines=33) vt100\r\n"
    assert outcome.stderr == b""


def test_a_terminal_is_the_controlling_one(node: Node) -> None:
    outcome = node.run("bash", "-c", "echo hello > /dev/tty; tty", tty={"rows": 5, "cols": 5})
    said = outcome.stdout.split()
    assert said[0] == b"hello"
    assert said[1].startswith(b"/dev/pts/")


def terminal(node: Node, text: str, stdin: bool = True) -> Any:
    job = node.job("bash", "-c", text, tty={"rows": 24, "cols": 80}, stdin="pipe")
    session = node.session({"verb": "start", "job": job}, {"verb": "follow", "id": job["id"], "stdin": stdin})
    session.answer(), session.answer()
    return session


def test_a_terminal_can_change_its_size(node: Node) -> None:
    session = terminal(node, "trap 'stty size; exit' WINCH; echo ready; while :; do sleep .02; done")
    assert session.until(frames.STDOUT)[1] == b"ready\r\n"
    session.send(frames.message(frames.WINDOW, {"rows": 50, "cols": 132}))
    assert session.outcome().stdout == b"50 132\r\n"


def test_typing_into_a_terminal(node: Node) -> None:
    session = terminal(node, "stty -echo; echo ready; read line; echo got $line; cat; echo end")
    assert session.until(frames.STDOUT)[1] == b"ready\r\n"
    session.send(frames.frame(frames.STDIN, frames.at(0, b"hello\n")))
    session.send(frames.frame(frames.STDIN_END, frames.at(6)))
    assert session.outcome().stdout == b"got hello\r\nend\r\n"


def test_control_c_in_a_terminal(node: Node) -> None:
    session = terminal(node, "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep .02; done")
    assert b"ready" in session.until(frames.STDOUT)[1]
    session.send(frames.frame(frames.STDIN, frames.at(0, b"\x03")))
    outcome = session.outcome()
    assert b"caught" in outcome.stdout
    assert outcome.record["exit_code"] == 9


def test_an_interrupt_goes_to_the_foreground_of_a_terminal(node: Node) -> None:
    # With job control the foreground is another process group than the command's own.
    session = terminal(node, "set -m; echo $$; sleep 60; :")
    shell = int(session.until(frames.STDOUT)[1])
    eventually(lambda: foreground(shell) not in (-1, shell), "the sleep is in the foreground")
    session.send(frames.frame(frames.SIGNAL, b"INT"))
    assert session.outcome(patience=5).record["exit_code"] == 130


def foreground(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[5])


# Full disks.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """A node whose state is on a small tmpfs in a mount namespace of its own."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small disk")
    keepers, nodes = [], []

    def make(**limits: str) -> Node:
        place = tmp_path / "disk"
        place.mkdir()
        options = ",".join(f"{name}={value}" for name, value in limits.items())
        script = f"mount -t tmpfs -o {options} none {place} && echo mounted && exec sleep 600"
        keeper = subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE)
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == b"mounted\n"
        keepers.append(keeper)
        made = node_for(tmp_path, prefix=["nsenter", "-m", "-t", str(keeper.pid)], state=place)
        nodes.append(made)
        return next(made)

    try:
        yield make
        for made in nodes:
            next(made, None)
    finally:
        for keeper in keepers:
            assert keeper.stdout is not None
            keeper.stdout.close()
            keeper.kill()
            keeper.wait()


def inside(node: Node, script: str) -> str:
    return subprocess.run([*node.prefix, "sh", "-c", script], capture_output=True, text=True).stdout


@pytest.mark.parametrize("limits", [{"size": "8m"}, {"nr_inodes": "60"}], ids=["blocks", "inodes"])
def test_a_full_disk_before_the_start(small_disk: Callable[..., Node], limits: dict[str, str]) -> None:
    node = small_disk(**limits)
    disk = node.root.parents[1]
    node.run("true")
    before = inside(node, f"ls -A {node.root}")
    inside(
        node,
        f"head -c 20m /dev/zero > {disk}/fill; for i in $(seq 99); do : > {disk}/f$i; done",
    )
    answer = node.start(node.job("touch", str(node.home / "ran")))
    assert answer == {
        "ok": False,
        "error": {"code": "disk_full", "message": f"disk full on {node.root}"},
    }
    assert inside(node, f"ls -A {node.root}") == before
    assert not (node.home / "ran").exists()
    inside(node, f"rm {disk}/f*")
    assert node.run("echo", "again").stdout == b"again\n"


def test_a_read_only_disk_before_the_start(small_disk: Callable[..., Node]) -> None:
    node = small_disk(size="8m")
    node.run("true")
    inside(node, f"mount -o remount,ro {node.root.parents[1]}")
    answer = node.start(node.job("touch", str(node.home / "ran")))
    assert (answer["ok"], answer["error"]["code"]) == (False, "read_only")
    assert not (node.home / "ran").exists()


def test_a_disk_that_fills_up_takes_nothing_from_the_commands_own_result(
    small_disk: Callable[..., Node],
) -> None:
    node = small_disk(size="4m")
    script = "head -c 20000000 /dev/zero; echo $? >&2; exit 7"
    outcome = node.run("bash", "-c", script)
    record = outcome.record
    assert (record["state"], record["exit_code"]) == ("exited", 7)
    assert not outcome.stdout.strip(b"\0")
    assert 3_000_000 < len(outcome.stdout) == record["stdout_bytes"] < 4 << 20
    assert record["lost_bytes"] + len(outcome.stdout) + len(outcome.stderr) == 20_000_000 + 2
    assert node.record(record["id"])["exit_code"] == 7


def test_a_disk_filled_by_others_during_the_run(small_disk: Callable[..., Node]) -> None:
    node = small_disk(size="4m")
    os.mkfifo(node.home / "fifo")
    job = node.job("bash", "-c", "echo first; read x < fifo; echo last words; exit 8", cwd=str(node.home))
    node.start(job)
    eventually(lambda: node.record(job["id"])["stdout_bytes"] == 6, "the first word is on the disk")
    disk = node.root.parents[1]
    inside(node, f"cat /dev/zero > {disk}/fill; : > {disk}/full")
    assert inside(node, f"echo x > {disk}/more; cat {disk}/more") == ""
    (node.home / "fifo").write_bytes(b"go\n")
    outcome = node.follow(job["id"]).outcome()
    assert outcome.stdout == b"first\nlast words\n"
    assert (outcome.record["exit_code"], outcome.record["lost_bytes"]) == (8, 0)


# Decisions.


@pytest.mark.parametrize(
    ("step", "number", "state", "code", "exit_code"),
    [
        ("exec", errno.ENOENT, "exited", "not_found", 127),
        ("exec", errno.EACCES, "exited", "not_executable", 126),
        ("exec", errno.ENOEXEC, "exited", "not_executable", 126),
        ("exec", errno.ETXTBSY, "exited", "not_executable", 126),
        ("exec", errno.ELOOP, "exited", "not_executable", 126),
        ("exec", errno.E2BIG, "not_started", "too_long", None),
        ("exec", errno.EAGAIN, "not_started", "no_process", None),
        ("exec", errno.ENOMEM, "not_started", "no_process", None),
        ("fork", errno.EAGAIN, "not_started", "no_process", None),
        ("fork", errno.EMFILE, "not_started", "no_files", None),
        ("setup", errno.EPERM, "not_started", "no_process", None),
        ("cwd", errno.EACCES, "not_started", "no_cwd", None),
    ],
)
def test_what_a_refused_step_means(step: str, number: int, state: str, code: str, exit_code: int | None) -> None:
    result = spawn.Failure(step, number, "/no/such").result()
    assert (result["state"], result["error"]["code"], result.get("exit_code")) == (state, code, exit_code)
