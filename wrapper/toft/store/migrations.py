"""The schema, as an append-only list of named steps.

A step that has been released is never edited: a change is a new step at the end. The names of the
steps that a file has been through are in its table `migrations`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable


def jobs(db: sqlite3.Connection) -> None:
    """One row a job. `transport` and `run_dir` are how to find it again, never shown."""
    db.execute(
        """
        create table jobs (
            id text primary key,
            command text not null,
            node text,
            reason text,
            state text not null,
            exit_code integer,
            signal integer,
            origin text,
            cwd text,
            created_at text not null,
            started_at text,
            ended_at text,
            duration_s real,
            stdout_bytes integer not null default 0,
            stderr_bytes integer not null default 0,
            cpu_s real,
            max_rss_bytes integer,
            error text,
            survivors text not null default '[]',
            transport text,
            run_dir text,
            owner text
        )
        """
    )
    db.execute("create index jobs_by_age on jobs (created_at)")


def durations(db: sqlite3.Connection) -> None:
    """How long commands took where: from that, plans. `directory` is where toft was asked."""
    db.execute(
        """
        create table durations (
            command text not null,
            directory text not null,
            node text not null,
            duration_s real not null,
            ok integer not null,
            at text not null
        )
        """
    )
    db.execute("create index durations_of on durations (command, node)")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (jobs, durations)


def migrate(db: sqlite3.Connection) -> None:
    """Bring a file to today's schema; safe when two processes do it at once."""
    if _done(db).issuperset(step.__name__ for step in MIGRATIONS):
        return
    db.execute("begin immediate")
    try:
        db.execute("create table if not exists migrations (name text primary key)")
        done = _done(db)
        for step in MIGRATIONS:
            if step.__name__ not in done:
                step(db)
                db.execute("insert into migrations values (?)", (step.__name__,))
        db.execute("commit")
    except BaseException:
        if db.in_transaction:  # a full disk has ended it already
            db.execute("rollback")
        raise


def _done(db: sqlite3.Connection) -> set[str]:
    known = db.execute("select 1 from sqlite_master where type = 'table' and name = 'migrations'").fetchone()
    return {row[0] for row in db.execute("select name from migrations")} if known else set()
