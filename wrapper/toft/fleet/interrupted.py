"""A run that was broken off: was its job started all the same?

Stopping a run says nothing about what it had done by then: a node may have accepted the job in the very moment.
What was about to be started where stands in the run's directory (see intent); if nothing does, nothing ever
will, and else that node is asked, and told to refuse the job for ever if it has not seen it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.intent import Cancelled, Intent, read_or_cancel
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

from toft.engine.nodes import ask_all
from toft.fleet.fleet import Fleet
from toft.store.records import Job

ASK_S = 10.0


def perhaps_started(run_dir: Path) -> list[tuple[Intent, dict[str, Any] | None]]:
    """The jobs of a run that have not provably never started, with what their node says; None if it is silent."""
    try:
        intents = [intent for intent in read_or_cancel(run_dir) if intent.transport]
    except Cancelled:
        return []
    questions = [(Transport.from_dict(i.transport), {"verb": "cancel", "ids": [i.id]}) for i in intents]
    records = [_record(answer) for answer in (ask_all(questions, ASK_S) if questions else [])]
    pairs = zip(intents, records, strict=True)
    return [(intent, record) for intent, record in pairs if record is None or record["state"] != "not_started"]


def found(fleet: Fleet, job: Job) -> Job | None:
    """The run's only job as its node has it, `unknown` if that does not answer; None if it provably never starts."""
    started = perhaps_started(fleet.engine.runs / job.id)
    if not started:
        return None
    ((intent, record),) = started
    job = replace(
        job, node=intent.node, reason=job.reason or "explicit", transport=intent.transport, command=intent.command
    )
    return job.with_node_record(record) if record else replace(job, state="unknown", origin="toft")


def _record(answer: dict[str, Any] | Cause) -> dict[str, Any] | None:
    if isinstance(answer, Cause) or not answer.get("ok"):
        return None
    (record,) = answer["records"]
    return dict(record)
