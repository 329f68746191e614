"""Jobs that were started before, by this terminal or another: list, ask again, signal, remove.

The record here is a memory; the truth is on the node. Whatever is not final is asked for again. A job whose
toft died before it could write down what came of it is looked for where it was about to be started; if that
node never saw it, the node is told to refuse it for ever, and only then it is called not started.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.intent import Intent, read_or_cancel
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

from toft.engine.nodes import ask_all
from toft.fleet import owners
from toft.fleet.failures import NOT_STARTED, Failure
from toft.fleet.fleet import Fleet
from toft.store.records import Job

ASK_S = 10.0


def listed(fleet: Fleet, *, everything: bool = False) -> list[Job]:
    """The newest first, as their nodes say now; without `everything` the last 50 and all that still run."""
    _adopt(fleet)
    jobs = refreshed(fleet, fleet.store.jobs())
    return [job for i, job in enumerate(jobs) if everything or i < 50 or not job.final]


def find(fleet: Fleet, given: str) -> Job:
    """By id, or by the beginning of one where only one job's id begins so."""
    _adopt(fleet)
    found = fleet.store.job(given)
    matches = [found] if found else fleet.store.matching(given)
    if len(matches) == 1:
        return refreshed(fleet, matches)[0]
    if matches:
        raise Failure(f"{given!r} is the beginning of {len(matches)} job ids", "toft jobs")
    raise Failure(f"there is no job {given!r}", "toft jobs")


def refreshed(fleet: Fleet, jobs: Sequence[Job]) -> list[Job]:
    """The same jobs with news from their nodes, all asked at once; a node that is silent changes nothing."""
    open_jobs = [_settled(fleet, job) for job in jobs if not job.final]
    asked = [job for job in open_jobs if not job.final and job.transport]
    questions = [(_transport(job), {"verb": "state", "ids": [job.id]}) for job in asked]
    answers = ask_all(questions, ASK_S) if questions else []
    news = {job.id: job for job in open_jobs}
    for job, answer in zip(asked, answers, strict=True):
        news[job.id] = _with_news(fleet, job, answer)
    return [news.get(job.id, job) for job in jobs]


def signal(fleet: Fleet, job: Job, name: str) -> None:
    """A signal to the job's process group; Failure if the job is over or its node does not answer."""
    if job.final:
        raise Failure(f"job {job.id} has ended already ({job.state})", f"toft logs {job.id}", exit_code=1)
    (answer,) = ask_all([(_transport(job), {"verb": "signal", "id": job.id, "signal": name})], ASK_S)
    _must_be_ok(job, answer)


def remove(fleet: Fleet, job: Job) -> None:
    """A finished job's record here, and its files on the node."""
    if not job.final and job.state != "unknown":
        raise Failure(f"job {job.id} is still {job.state}", f"toft kill {job.id}", exit_code=1)
    if job.transport:
        (answer,) = ask_all([(_transport(job), {"verb": "remove", "ids": [job.id]})], ASK_S)
        _must_be_ok(job, answer)
    fleet.store.remove([job.id])
    if job.run_dir:
        # What is left of its run would only be taken for a job that nobody has written down.
        owners.forget(Path(job.run_dir))


def _transport(job: Job) -> Transport:
    if job.transport is None:
        raise Failure(f"job {job.id} was never on a node ({job.state})", "toft jobs", exit_code=1)
    return Transport.from_dict(job.transport)


def _must_be_ok(job: Job, answer: dict[str, Any] | Cause) -> None:
    if isinstance(answer, Cause):
        raise Failure(answer.message, answer.fix, exit_code=255, node=job.node)
    if not answer.get("ok"):
        raise Failure(answer["error"]["message"], "toft jobs", exit_code=1, node=job.node)


def _with_news(fleet: Fleet, job: Job, answer: dict[str, Any] | Cause) -> Job:
    if isinstance(answer, Cause) or not answer.get("ok"):
        return job
    (record,) = answer["records"]
    if (record.get("error") or {}).get("code") == "never_seen":
        return job if owners.alive(job.owner) else _cancelled(fleet, job)
    fresh = job.with_node_record(record)
    fleet.store.update(fresh)
    if fresh.final and job.run_dir:
        owners.forget(Path(job.run_dir))
    return fresh


def _cancelled(fleet: Fleet, job: Job) -> Job:
    """The node has not seen it, and its toft is gone: make sure that it never will."""
    (answer,) = ask_all([(_transport(job), {"verb": "cancel", "ids": [job.id]})], ASK_S)
    if isinstance(answer, Cause) or not answer.get("ok"):
        return job
    (record,) = answer["records"]
    fresh = job.with_node_record(record)
    if fresh.state == "not_started":
        fresh = replace(fresh, exit_code=NOT_STARTED, error="toft ended before it was started")
    fleet.store.update(fresh)
    return fresh


def _settled(fleet: Fleet, job: Job) -> Job:
    """A job without a node whose toft has died: where was it about to be started?"""
    if job.transport or not job.run_dir or owners.alive(job.owner):
        return job
    intents = read_or_cancel(Path(job.run_dir))
    here = next((intent for intent in intents if intent.id == job.id), None)
    if here is None:
        job = replace(job, state="not_started", exit_code=NOT_STARTED, origin="toft", error="toft was stopped first")
        owners.forget(Path(job.run_dir or ""))
    else:
        job = replace(job, node=here.node, transport=here.transport)
    fleet.store.update(job)
    return job


def _adopt(fleet: Fleet) -> None:
    """Jobs of an `exec` that was killed before it wrote down their names."""
    for run_dir in fleet.engine.runs.glob("*/") if fleet.engine.runs.is_dir() else ():
        base = fleet.store.job(run_dir.name)
        if base is not None or not (run_dir / "owner").is_file() or owners.alive((run_dir / "owner").read_text()):
            continue
        for intent in read_or_cancel(run_dir):
            if fleet.store.job(intent.id) is None:
                fleet.store.add(_from_intent(intent, run_dir))


def _from_intent(intent: Intent, run_dir: Path) -> Job:
    request = json.loads((run_dir / "request.json").read_text())
    words = tuple(request.get("words") or ())
    return Job(
        intent.id,
        words,
        intent.at,
        node=intent.node,
        reason="explicit",
        transport=intent.transport,
        run_dir=str(run_dir),
    )
