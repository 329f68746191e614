"""Whoever is first decides: either the jobs were declared, or nothing is ever started."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.intent import (
    Cancelled,
    Intent,
    declare,
    declare_anew,
    read_or_cancel,
)

INTENT = Intent("j1", "pi1", {"kind": "local"}, ("make", "a b", "\udcff"), "2026-01-01T00:00:00.000Z")


def test_what_was_declared_is_read(tmp_path: Path) -> None:
    declare(tmp_path, [INTENT])
    assert read_or_cancel(tmp_path) == [INTENT]
    assert read_or_cancel(tmp_path) == [INTENT]


def test_after_a_cancel_nothing_may_start(tmp_path: Path) -> None:
    assert read_or_cancel(tmp_path) == []
    with pytest.raises(Cancelled):
        declare(tmp_path, [INTENT])


def test_what_a_node_has_refused_is_declared_for_the_next(tmp_path: Path) -> None:
    later = replace(INTENT, node="pi2")
    declare_anew(tmp_path, [INTENT])
    declare_anew(tmp_path, [later])
    assert read_or_cancel(tmp_path) == [later]
    assert [file.name for file in tmp_path.iterdir()] == ["intents.json"]


def test_a_cancel_holds_for_what_would_be_declared_anew(tmp_path: Path) -> None:
    assert read_or_cancel(tmp_path) == []
    with pytest.raises(Cancelled):
        declare_anew(tmp_path, [INTENT])


def test_a_directory_that_is_gone_is_a_cancel(tmp_path: Path) -> None:
    assert read_or_cancel(tmp_path / "gone") == []
    with pytest.raises(Cancelled):
        declare(tmp_path / "gone", [INTENT])


def test_of_many_at_once_one_side_wins(tmp_path: Path) -> None:
    for round_ in range(50):
        run_dir = tmp_path / str(round_)
        run_dir.mkdir()
        barrier = threading.Barrier(4)
        read: list[list[Intent]] = []
        declared: list[bool] = []

        def look(run_dir=run_dir, barrier=barrier, read=read) -> None:
            barrier.wait()
            read.append(read_or_cancel(run_dir))

        def start(run_dir=run_dir, barrier=barrier, declared=declared) -> None:
            barrier.wait()
            try:
                declare(run_dir, [INTENT])
                declared.append(True)
            except Cancelled:
                declared.append(False)

        threads = [threading.Thread(target=t) for t in (look, look, look, start)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(found == ([INTENT] if declared == [True] else []) for found in read)
        assert [p.name for p in run_dir.iterdir()] == ["intents.json"], "no drafts are left behind"
