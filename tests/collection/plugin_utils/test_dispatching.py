"""What is known after starts whose answers were lost."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils import dispatching
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.requests import Asked
from ansible_collections.toft.fleet.plugins.plugin_utils.roster import Member
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

HERE = Transport("n1", "local", "")
LOST = Cause("timeout", "no answer", "")
FULL = {"ok": False, "error": {"code": "no_slot", "message": "all are taken"}}
NEVER = {"ok": True, "records": [{"id": "j1", "state": "not_started"}]}
RUNS = {"ok": True, "records": [{"id": "j1", "state": "running"}]}


class Node:
    """Answers in their order; `asked` has the verbs."""

    def __init__(self, *answers: dict[str, Any] | Cause) -> None:
        self.answers, self.asked = list(answers), []

    def __call__(self, transport: Transport, request: dict[str, Any], *, deadline: float) -> dict[str, Any] | Cause:
        self.asked.append(request["verb"])
        return self.answers.pop(0)


@pytest.mark.parametrize(
    ("answers", "verbs", "outcome", "spent"),
    [
        ([FULL], ["start"], "refused", False),
        ([LOST, FULL, NEVER], ["start", "start", "cancel"], "refused", True),
        ([LOST, FULL, RUNS], ["start", "start", "cancel"], "started", None),
        ([LOST, FULL, LOST], ["start", "start", "cancel"], "unsure", None),
        ([LOST, Cause("refused", "", "")], ["start", "start"], "unsure", None),
        ([Cause("refused", "", "")], ["start"], "refused", None),
        ([LOST, LOST, LOST], ["start"] * 3, "unsure", None),
    ],
)
def test_a_refusal_counts_only_if_no_earlier_start_can_get_through(
    monkeypatch, answers, verbs: list[str], outcome: str, spent: bool | None
) -> None:
    node = Node(*answers)
    monkeypatch.setattr(dispatching, "ask", node)
    told = dispatching.outcome_of(dispatching.start_on(HERE, {"id": "j1"}, 1e9))
    assert node.asked == verbs
    assert (told["outcome"], told.get("spent")) == (outcome, spent)


@pytest.mark.parametrize(
    ("nodes", "node", "wished", "given"),
    [
        (["n1"], None, 0.1, 0.1),
        (["n1", "n2"], "n1", 0.1, 0.1),
        (["n1", "n2"], None, 0.1, dispatching.SEVERAL_BRIEF_S),
        (["n1", "n2"], None, None, None),
    ],
)
def test_how_long_starts_wait_for_quick_ends(
    monkeypatch: pytest.MonkeyPatch, nodes: list[str], node: str | None, wished: float | None, given: float | None
) -> None:
    """Of one job the first byte is waited for by somebody."""
    sent = []

    def start_on(transport: Transport, job: dict[str, Any], deadline: float) -> Cause:
        sent.append(job["brief_s"])
        return LOST

    monkeypatch.setattr(dispatching, "start_on", start_on)
    members = [Member(name, (), {}, Transport(name, "local", "")) for name in nodes]
    dispatching.dispatch(members, Asked(("true",), job={"id": "x1", "brief_s": wished}), node)
    assert sent == [given] * (1 if node else len(nodes))
