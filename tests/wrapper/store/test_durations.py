from pathlib import Path

from toft.store.durations import KEPT, Duration, add, of
from toft.store.store import Store

AT = "2026-01-01T00:00:00.000Z"


def run(command: str, seconds: float, directory: str = "/a", node: str = "n1", ok: bool = True) -> Duration:
    return Duration(command, directory, node, seconds, ok, AT)


def test_what_is_added_is_found_the_oldest_first(tmp_path: Path) -> None:
    store = Store(tmp_path / "toft.db")
    for each in (run("make", 1), run("test", 2), run("make", 3, ok=False)):
        add(store, each)
    store.close()
    again = Store(tmp_path / "toft.db")
    assert of(again, ["make", "make"], "/a") == [run("make", 1), run("make", 3, ok=False)]
    again.close()


def test_this_directory_counts_before_others(tmp_path: Path) -> None:
    store = Store(tmp_path / "toft.db")
    add(store, run("pytest", 100, "/other"))
    assert of(store, ["pytest"], "/a") == [run("pytest", 100, "/other")]
    add(store, run("pytest", 1))
    assert of(store, ["pytest"], "/a") == [run("pytest", 1)]
    store.close()


def test_old_runs_are_forgotten(tmp_path: Path) -> None:
    store = Store(tmp_path / "toft.db")
    for n in range(KEPT + 3):
        add(store, run("make", n))
    add(store, run("make", 99, node="n2"))
    assert [each.duration_s for each in of(store, ["make"], "/a")] == [*range(3, KEPT + 3), 99]
    store.close()


def test_a_file_from_before_there_were_durations_gets_them(tmp_path: Path) -> None:
    store = Store(tmp_path / "toft.db")
    store.write(lambda db: db.execute("drop table durations"))
    store.write(lambda db: db.execute("delete from migrations where name = 'durations'"))
    store.close()
    again = Store(tmp_path / "toft.db")
    add(again, run("make", 1))
    assert of(again, ["make"], "/a") == [run("make", 1)]
    again.close()
