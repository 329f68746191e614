import multiprocessing
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from toft.store.migrations import MIGRATIONS, migrate
from toft.store.records import Job
from toft.store.store import Store


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path / "state" / "toft.db")
    yield store
    store.close()


def job(job_id: str = "j1", at: str = "2026-01-01T00:00:00.000Z") -> Job:
    return Job(job_id, ("make", "-j8"), at)


def test_what_is_added_is_there_for_another_reader(store: Store) -> None:
    store.add(job())
    other = Store(store.path)
    assert other.job("j1") == job()
    other.close()


def test_words_come_back_as_they_were(store: Store) -> None:
    words = ("printf", "a\nb", "{{ x }}", "\udcff", "ü", "")
    store.add(replace(job(), command=words))
    assert store.job("j1").command == words


def test_newest_first_and_bounded(store: Store) -> None:
    for n in range(5):
        store.add(job(f"j{n}", f"2026-01-0{n + 1}T00:00:00.000Z"))
    assert [j.id for j in store.jobs(limit=3)] == ["j4", "j3", "j2"]


def test_a_final_state_stays(store: Store) -> None:
    store.add(job())
    store.update(replace(job(), state="exited", exit_code=3))
    store.update(replace(job(), state="running"))
    assert (store.job("j1").state, store.job("j1").exit_code) == ("exited", 3)


def test_unknown_may_still_be_cleared_up(store: Store) -> None:
    store.add(replace(job(), state="unknown"))
    store.update(replace(job(), state="exited", exit_code=0))
    assert store.job("j1").state == "exited"


def test_a_prefix_is_literal(store: Store) -> None:
    store.add(job("j1abc"))
    assert [j.id for j in store.matching("j1")] == ["j1abc"]
    assert store.matching("%") == []
    assert store.matching("j_") == []


def test_remove(store: Store) -> None:
    store.add(job())
    store.remove(["j1", "never"])
    assert store.jobs() == []


def test_only_the_owner_may_read(store: Store) -> None:
    store.add(job())
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("keep", [0, 1, 15, 16, 50, 100, 1000, 4096, 5000])
def test_a_truncated_file_never_keeps_anybody_from_working(store: Store, keep: int) -> None:
    store.add(job())
    store.close()
    whole = store.path.read_bytes()
    store.path.write_bytes(whole[:keep])
    again = Store(store.path)
    again.add(job("j2"))
    assert again.job("j2") is not None
    if again.notices:
        assert "set aside" in again.notices[0]
        assert list(store.path.parent.glob("toft.db.damaged-*"))
    again.close()


def test_garbage_is_set_aside(store: Store) -> None:
    store.path.parent.mkdir(parents=True)
    store.path.write_bytes(b"not a database at all" * 300)
    assert store.jobs() == []
    assert "set aside" in store.notices[0]


def _add_many(path: Path, base: int) -> None:
    store = Store(path)
    for n in range(20):
        store.add(job(f"j{base}x{n}"))
    store.close()


def test_two_processes_write_at_once(store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_add_many, args=(store.path, base)) for base in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(store.jobs()) == 60


def test_migrations_are_done_once_and_named(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    migrate(db)
    migrate(db)
    assert [row[0] for row in db.execute("select name from migrations")] == [m.__name__ for m in MIGRATIONS]
    db.close()
