"""The file behind `toft jobs`: SQLite in WAL mode, so that two terminals see the same jobs.

A file that is no database any more is set aside (`toft.db.damaged-…`) and a new one begun: the jobs
themselves live on their nodes, and a lost record must never keep anybody from working.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from toft.store.migrations import migrate
from toft.store.records import COLUMNS, FINAL, Job, from_row, to_row

_NAMES = ", ".join(COLUMNS)
_INSERT = f"insert into jobs ({_NAMES}) values ({', '.join('?' * len(COLUMNS))})"
_FINAL = ", ".join(f"'{state}'" for state in sorted(FINAL))
_UPDATE = f"update jobs set {', '.join(f'{c} = ?' for c in COLUMNS)} where id = ? and state not in ({_FINAL})"


class Unusable(OSError):
    """The file of records cannot be read or written: a full or read-only disk, or another's lock on it."""


class Store:
    """Records of jobs in one file of mode 0600. `notices` says what had to be set aside."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notices: list[str] = []
        self._db: sqlite3.Connection | None = None

    def add(self, job: Job) -> None:
        """A new job; it is on disk when this returns."""
        self.write(lambda db: db.execute(_INSERT, to_row(job)))

    def add_all(self, jobs: Iterable[Job]) -> None:
        """The same for many, all or none."""
        self.write(lambda db: db.executemany(_INSERT, [to_row(job) for job in jobs]))

    def update(self, job: Job) -> None:
        """News of a job. One that is final stays as it is: a second reader may be a step behind."""
        self.write(lambda db: db.execute(_UPDATE, (*to_row(job), job.id)))

    def remove(self, ids: Iterable[str]) -> None:
        self.write(lambda db: db.executemany("delete from jobs where id = ?", [(i,) for i in ids]))

    def job(self, job_id: str) -> Job | None:
        rows = self.rows(f"select {_NAMES} from jobs where id = ?", (job_id,))
        return from_row(rows[0]) if rows else None

    def jobs(self, limit: int = 1000) -> list[Job]:
        """The newest first."""
        query = f"select {_NAMES} from jobs order by created_at desc, rowid desc limit ?"
        return [from_row(row) for row in self.rows(query, (limit,))]

    def matching(self, prefix: str) -> list[Job]:
        """Jobs whose id begins so: an id may be typed short where it is unique."""
        query = f"select {_NAMES} from jobs where substr(id, 1, ?) = ?"
        return [from_row(row) for row in self.rows(query, (len(prefix), prefix))]

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._usable():
            return self._open().execute(query, values).fetchall()

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def write(self, change: Callable[[sqlite3.Connection], object]) -> None:
        """One transaction; it is on disk when this returns."""
        with self._usable(), self._open() as db:
            change(db)

    @contextlib.contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise Unusable(None, f"the records cannot be used: {error}", str(self.path)) from error

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self._db = _connect(self.path)
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._set_aside(error)
                self._db = _connect(self.path)
        return self._db

    def _set_aside(self, why: sqlite3.DatabaseError) -> None:
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
        self.path.replace(aside)
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        self.notices.append(f"the record file was damaged ({why}); it is set aside as {aside}")


def _connect(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    db = sqlite3.connect(path, timeout=10)
    try:
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        migrate(db)
    except BaseException:
        db.close()
        raise
    return db
