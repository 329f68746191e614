"""Many nodes at once: order, deadlines, failures as values, interruption."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.fanout import Outcome, run_all


def test_outcomes_keep_the_order_of_the_items() -> None:
    gates = [threading.Event() for _ in range(5)]
    gates[4].set()

    def work(i: int, deadline: float) -> int:
        assert gates[i].wait(5)
        if i:
            gates[i - 1].set()
        return i * i

    finished: list[int] = []
    outcomes = run_all(range(5), work, deadline_each=5, on_result=lambda o: finished.append(o.item))
    assert [o.value for o in outcomes] == [0, 1, 4, 9, 16]
    assert finished == [4, 3, 2, 1, 0]
    assert all(o.ok for o in outcomes)


def test_failures_are_values() -> None:
    dead = Cause("timeout", "m", "f")

    def work(i: int, deadline: float) -> int | Cause:
        if i == 1:
            raise KeyError("bug")
        return dead if i == 2 else i

    outcomes = run_all(range(4), work, deadline_each=5)
    assert [o.ok for o in outcomes] == [True, False, False, True]
    assert isinstance(outcomes[1].error, KeyError)
    assert outcomes[2].cause is dead


def test_work_that_ignores_its_deadline_delays_nobody() -> None:
    never = threading.Event()

    def work(i: int, deadline: float) -> int:
        if i % 10 == 0:
            never.wait(20)
        return i

    seen: list[Outcome[int, int]] = []
    begun = time.monotonic()
    outcomes = run_all(range(100), work, deadline_each=0.2, on_result=seen.append)
    assert time.monotonic() - begun < 3
    never.set()
    late = [o for o in outcomes if o.cause]
    assert [o.item for o in late] == list(range(0, 100, 10))
    assert {o.cause.code for o in late if o.cause} == {"timeout"}
    assert [o.item % 10 == 0 for o in seen] == [False] * 90 + [True] * 10


def test_the_limit_holds_and_each_deadline_starts_with_its_own_work() -> None:
    lock, now, most = threading.Lock(), [0], [0]
    deadlines: list[float] = []

    def work(i: int, deadline: float) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
            deadlines.append(deadline)
        threading.Event().wait(0.02)
        with lock:
            now[0] -= 1

    assert len(run_all(range(30), work, deadline_each=30, limit=4)) == 30
    assert most[0] == 4
    assert max(deadlines) - min(deadlines) > 0.1, "the last began when others had ended"


def test_a_system_without_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    work: Any = lambda i, deadline: i  # noqa: E731
    assert [o.value for o in run_all(range(3), work, deadline_each=5)] == [0, 1, 2]


def test_nothing_to_do() -> None:
    assert run_all([], lambda i, deadline: i, deadline_each=1) == []


def test_interrupted_at_once() -> None:
    program = """
import faulthandler, os, sys, threading
faulthandler.dump_traceback_later(8, exit=True)
from ansible_collections.toft.fleet.plugins.plugin_utils.fanout import run_all
def work(i, deadline):
    if i == 19: os.write(1, b"all started\\n")  # a daemon thread that holds stdout's lock would keep the end up
    threading.Event().wait(30)
try:
    run_all(range(20), work, deadline_each=30)
except KeyboardInterrupt:
    sys.exit(130)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"all started\n"
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130, "stderr says where it hung"
        assert time.monotonic() - begun < 5
    finally:
        process.kill()
        process.communicate()
