"""Jobs that were let go, or whose start nobody answered for, are never called a success or a failure."""

from __future__ import annotations

import io

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport
from toft.cli.execute import _show
from toft.cli.offload import _detached
from toft.cli.session import Options, Session
from toft.fleet.execute import Result, overall
from toft.fleet.fleet import now
from toft.fleet.offload import Started
from toft.store.records import Job


def result(name: str, state: str, code: int) -> Result:
    output = {"stdout": io.BytesIO(), "stderr": io.BytesIO()}
    return Result(Job(f"x1-{name}", ("true",), now(), node=name, state=state), code, output)


def test_exec_that_was_let_go_names_its_jobs(capfd: pytest.CaptureFixture[str]) -> None:
    results = [result("a", "exited", 0), result("b", "running", 255)]
    assert overall(results) == 255
    assert _show(Session(Options(quiet=True)), results) == 255
    assert "toft attach x1-b" in capfd.readouterr().err


def test_a_detached_start_without_an_answer_is_unknown(capfd: pytest.CaptureFixture[str]) -> None:
    job = Job("j1", ("true",), now(), node="a", state="unknown")
    started = Started(job, Transport("a", "local", "a"), {}, sure=False)
    assert _detached(Session(Options()), started) == 255
    assert "toft wait j1" in capfd.readouterr().err
