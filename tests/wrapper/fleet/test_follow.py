"""A job that was over when its start was answered: what is done without another word to its node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from toft.engine.control import Control
from toft.engine.streams import ReaderGone, Streams
from toft.fleet.fleet import Fleet, assemble
from toft.fleet.follow import Brief, Followed, Wishes, follow
from toft.store.records import Job

JOB = Job("j1", ("date",), "2026-01-01T00:00:00.000Z", node="n1", state="exited", exit_code=3)
BRIEF = Brief.told({"stdout": "b3V0", "stderr": "ZXJy"})


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    def asked(self: Streams) -> None:
        raise AssertionError("the node was asked")

    monkeypatch.setattr(Streams, "follow", asked)
    return assemble({"HOME": str(tmp_path)}, tmp_path)


def test_its_output_is_written_and_its_directory_forgotten(fleet: Fleet, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    written: list[tuple[str, bytes]] = []
    wishes = Wishes(lambda *part: written.append(part), print, Control())
    job = replace(JOB, run_dir=str(tmp_path / "run"))
    assert follow(fleet, job, wishes, BRIEF) == Followed(job, 3)
    assert written == [("stdout", b"out"), ("stderr", b"err")]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("why", "said"), [(ReaderGone(), 0), (OSError(28, "No space left on device"), 1)])
def test_a_reader_that_has_gone_changes_nothing_of_its_end(fleet: Fleet, why: Exception, said: int) -> None:
    told: list[str] = []

    def write(stream: str, data: bytes) -> None:
        assert stream == "stdout", "nobody is there to read the rest"
        raise why

    assert follow(fleet, JOB, Wishes(write, told.append, Control()), BRIEF).code == 3
    assert len(told) == said


def test_no_output_is_not_the_same_as_none_told() -> None:
    assert Brief.told({"stdout": "", "stderr": ""}) == Brief(b"", b"")
    assert Brief.told(None) is None
