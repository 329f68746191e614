"""Questions to the node program, outside of a run of Ansible: state, signal, cancel, remove.

A job that has been started is looked after by its supervisor; to talk to that costs one session on the
connection that is open anyway, not a play.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils.asking import ask
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.fanout import Outcome, run_all
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

Answer = dict[str, Any] | Cause


def ask_all(questions: Sequence[tuple[Transport, Mapping[str, Any]]], timeout_s: float) -> list[Answer]:
    """Each node its own question, all at once; answers in the same order."""
    outcomes = run_all(
        list(questions),
        lambda question, deadline: ask(question[0], dict(question[1]), deadline=deadline),
        deadline_each=timeout_s,
    )
    return [_answer(outcome) for outcome in outcomes]


def _answer(outcome: Outcome[tuple[Transport, Mapping[str, Any]], dict[str, Any]]) -> Answer:
    if outcome.error is not None:
        raise outcome.error
    return outcome.value if outcome.value is not None else outcome.cause or {}
