"""What AgentAPI's /status is read as: cases/agent_status.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.agent_status import NoStatus, parse

CASES = json.loads((Path(__file__).parent / "cases" / "agent_status.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_answers(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(NoStatus) as refused:
            parse(case["text"])
        assert refused.value.why == case["error"]
    else:
        found = parse(case["text"])
        assert (found.status, found.kind, found.known) == (case["status"], case["kind"], case["known"])


def test_nested_without_end() -> None:
    with pytest.raises(NoStatus, match="no status"):
        parse("HTTP/1.0 200 OK\r\n\r\n" + "[" * 100_000)
