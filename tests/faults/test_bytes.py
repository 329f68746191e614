"""What a command says and is told arrives as it was: every byte, every argument, every code."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import secrets
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.toft.fleet.plugins.plugin_utils.hostvars import from_vars
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport
from toft.engine.control import Control
from toft.engine.nodes import ask_all
from toft.engine.streams import Ended, Streams

from tests.command import TOFT, Toft
from tests.faults.report import figure

NASTY = {
    "nul": b"a\x00b\x00",
    "crlf": b"one\r\ntwo\r\n",
    "invalid utf-8": b"\xff\xfe\xc3\x28 \x80",
    "no final newline": b"no end",
    "only newlines": b"\n\n\n",
    "escapes": b"\x1b]0;title\x07\x1b[31mred\r",
    "empty": b"",
}
EMIT = """
import sys
data = bytes.fromhex(sys.argv[1])
sys.stdout.buffer.write(data)
sys.stderr.buffer.write(data[::-1])
"""


def test_bytes_arrive_as_they_are(lab_toft: Toft) -> None:
    """Promise 24."""
    everything = b"".join(NASTY.values()) + bytes(range(256)) * 20
    differences = 0
    for data in [*NASTY.values(), everything]:
        done = lab_toft("-q", "offload", "n1", "python3", "-c", EMIT, data.hex())
        differences += (done.stdout, done.stderr, done.returncode) != (data, data[::-1], 0)
    figure(24, f"differences {differences} in {len(NASTY) + 1} outputs on two streams")
    assert differences == 0


PIECES = [
    "'", '"', "\\", "\n", "\t", " ", "$HOME", "$(id)", "`id`", ";", "&", "|", ">", "<", "*", "?", "[a]", "{a,b}", "~",
    "!", "#", "=", "-n", "--", "-", "{{ lookup('pipe','id') }}", "{%", "%}", "{#", "${#x}", "creates=/etc/passwd",
    "removes=x", "chdir=/", "_raw_params=x", "ü", "日本", "\U0001f600", "é", "\x7f", "\x1b[31m", "%s", "a", "b", "",
]  # fmt: skip
ECHO = "import os,sys; sys.stdout.buffer.write(b'\\0'.join(map(os.fsencode, sys.argv[1:])) + b'\\0')"


def test_arguments_arrive_equal(lab_toft: Toft) -> None:
    """Promise 25: 300 arguments through the whole command line (10,000 go through encoder and supervisor elsewhere)."""
    chance = random.Random(25)
    cases = ["".join(chance.choices(PIECES, k=chance.randint(0, 6))) for _ in range(300)]
    wrong = 0
    for n in range(0, 300, 30):
        batch = cases[n : n + 30]
        done = lab_toft("-q", "offload", "n1", "python3", "-c", ECHO, *batch)
        got = done.stdout.split(b"\0")[:-1]
        wrong += sum(a != b for a, b in zip(got, map(os.fsencode, batch), strict=True))
    figure(25, f"arguments that differ: {wrong} of {len(cases)}")
    assert wrong == 0


def test_a_shell_line_is_one_argument_of_a_shell(lab_toft: Toft) -> None:
    line = """printf '%s|' "a  b" '{{ x }}' "${#PWD}" $((1+1)) | tr a-z A-Z; exit 7"""
    done = lab_toft("-q", "offload", "n1", line)
    here = subprocess.run(["bash", "-c", line], capture_output=True, cwd="/home", check=False)
    assert done.returncode == here.returncode == 7
    assert done.stdout.split(b"|")[:2] == here.stdout.split(b"|")[:2] == [b"A  B", b"{{ X }}"]


def test_exit_codes_and_signals_are_exact(lab_toft: Toft, lab) -> None:
    """Promise 27: every code and every signal that ends a process, by jobs over ssh; a few through the command line."""
    transport = reach(lab, "n1")
    codes = [(f"exit {code}", code) for code in range(256)]
    fatal = {s for s in signal.valid_signals() if s < signal.SIGRTMIN} - {
        signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH,
        signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU,
    }  # fmt: skip
    signals = [(f"kill -{int(number)} $$", 128 + number) for number in sorted(fatal)]

    def one(case: tuple[str, int]) -> bool:
        return run_job(transport, ["sh", "-c", case[0]])["exit_code"] == case[1]

    with ThreadPoolExecutor(6) as pool:
        wrong = [case for case, right in zip(codes + signals, pool.map(one, codes + signals), strict=True) if not right]
    for script, code in [codes[0], codes[1], codes[125], codes[255], signals[0], signals[8]]:
        done = lab_toft("-q", "offload", "n1", "--", "sh", "-c", script)
        wrong += [] if done.returncode == code else [(script, done.returncode)]
    figure(27, f"mismatches {len(wrong)} of {len(codes)} codes and {len(signals)} signals over ssh")
    assert wrong == []


def reach(lab, name: str) -> Transport:
    """The node as the inventory says that it is reached."""
    hosts = yaml.safe_load(lab.inventory.read_text())["all"]
    transport = from_vars(name, {**hosts.get("vars", {}), **hosts["hosts"][name]})
    assert isinstance(transport, Transport)
    return transport


def run_job(transport: Transport, argv: list[str]) -> dict[str, Any]:
    """A job from its start to its record, without Ansible: hundreds of them in a minute."""
    job_id = "t" + secrets.token_hex(8)
    job = {"id": job_id, "argv": argv, "shell": None, "cwd": None, "workdir": None, "env": {}}
    job |= {"timeout_s": None, "stdin": "none", "tty": None}
    (answer,) = ask_all([(transport, {"verb": "start", "job": job})], 30)
    assert isinstance(answer, dict), answer
    assert answer["ok"], answer
    control = Control()
    ended = Streams(job_id, transport, write=lambda stream, data: None, control=control).follow()
    control.close()
    assert isinstance(ended, Ended), ended
    return ended.record


def test_input_arrives_and_is_not_swallowed(lab_toft: Toft, tmp_path: Path) -> None:
    """Promise 28: 100 MB intact, a command that closes it early, a loop that reads a list."""
    size = 100 << 20
    path = tmp_path / "input"
    chunk = random.Random(28).randbytes(1 << 20)
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(chunk)
    begun = time.monotonic()
    with path.open("rb") as file:
        done = subprocess.run(
            lab_toft.argv("-q", "offload", "n1", "sha256sum"),
            stdin=file, capture_output=True, env=lab_toft.environment, timeout=200, check=False,
        )  # fmt: skip
    took = time.monotonic() - begun
    assert done.stdout.split()[0].decode() == hashlib.sha256(chunk * (size >> 20)).hexdigest()

    piped = f"head -c {size} {path} | {TOFT} -q -i {lab_toft.inventory} offload n1 head -c 5 | wc -c"
    done = subprocess.run(["bash", "-c", piped], capture_output=True, env=lab_toft.environment, timeout=60, check=False)
    assert done.stdout.strip() == b"5", done.stderr

    loop = f"while read x; do {TOFT} -q -i {lab_toft.inventory} offload n1 echo got $x; done"
    lists = {
        "a file": f"printf '1\\n2\\n3\\n' > {tmp_path}/l; {loop} < {tmp_path}/l",
        "a pipe": f"printf '1\\n2\\n3\\n' | {loop}",
    }
    for what, script in lists.items():
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, env=lab_toft.environment, timeout=60, check=False
        )
        assert done.stdout == b"got 1\ngot 2\ngot 3\n", (what, done.stderr)
    figure(28, f"100 MB of input intact in {took:.1f} s; closed early; 3 of 3 lines in a loop from a file and a pipe")


def test_much_output_arrives_equal_in_bounded_memory(cold_lab_toft: Toft, tmp_path: Path) -> None:
    """Promise 22, in part: 100 MB through offload; the memory of all our processes here while it streams."""
    size = 100 << 20
    script = f"import sys\nb=bytes(range(256))*4096\nfor _ in range({size >> 20}): sys.stdout.buffer.write(b)"
    want = hashlib.sha256(bytes(range(256)) * 4096 * (size >> 20)).hexdigest()
    out = tmp_path / "out"
    begun = time.monotonic()
    with out.open("wb") as file:
        process = cold_lab_toft.begin("-q", "offload", "n1", "python3", "-c", script, stdout=file)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _rss(process.pid) if out.stat().st_size else 0)
            time.sleep(0.02)
    took = time.monotonic() - begun
    assert process.returncode == 0
    with out.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == want
    idle = _idle_rss()
    figure(22, f"100 MB equal in {took:.1f} s; {peak >> 20} MiB at the most, {(peak - idle) >> 20} above an idle toft")
    assert idle // 2 < peak <= idle + (64 << 20)


def _rss(session: int) -> int:
    """Bytes that the processes of a session hold, shared pages counted in each."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[21]) * resource.getpagesize() if int(fields[3]) == session else 0
    return total


def _idle_rss() -> int:
    """A toft that has imported what an offload imports, and does nothing."""
    script = "import toft.cli.main, ansible_runner; toft.cli.main.build(); import toft.engine.streams"
    command = [sys.executable, "-c", f"{script}; print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout
        assert process.stdout.readline() == b"\n"
        held = _rss(process.pid)
        process.communicate(b"\n")
    return held


@pytest.mark.parametrize("extra", [128 << 10])
def test_a_very_long_argument_works_or_is_refused_before_it_starts(lab_toft: Toft, extra: int) -> None:
    """Promise 26, in part: Linux takes no single argument of 128 KiB, so neither do we."""
    done = lab_toft("offload", "n1", "echo", "x" * (extra - 100))
    assert (done.returncode, len(done.stdout)) == (0, extra - 100 + 1)
