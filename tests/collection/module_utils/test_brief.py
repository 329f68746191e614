"""A job that ends at once is told whole in the answer to its start; any other is followed as ever."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.module_utils import brief

from tests.collection.node_sessions import Node
from tests.command import until

PATIENCE_S = 5.0


def told(answer: dict[str, Any]) -> tuple[bytes, bytes] | None:
    output = answer["output"]
    return output and (base64.b64decode(output["stdout"]), base64.b64decode(output["stderr"]))


def test_its_streams_its_end_and_its_record_come_with_the_answer(node: Node) -> None:
    answer = node.start(node.job("sh", "-c", "printf 'out\\0\\377'; echo err >&2; exit 3", brief_s=PATIENCE_S))
    assert told(answer) == (b"out\0\xff", b"err\n")
    record = answer["record"]
    assert (record["state"], record["exit_code"], record["stdout_bytes"]) == ("exited", 3, 5)
    assert record == node.record(record["id"])


def test_nobody_waits_who_has_not_asked_to(node: Node) -> None:
    assert node.start(node.job("true"))["output"] is None


def test_the_most_it_may_say(node: Node) -> None:
    for size in (brief.MOST_BYTES, brief.MOST_BYTES + 1):
        answer = node.start(node.job("head", "-c", str(size), "/dev/zero", brief_s=PATIENCE_S))
        assert answer["record"]["state"] == "exited"
        assert (told(answer) is not None) == (size == brief.MOST_BYTES)


def test_what_cannot_be_executed_has_said_nothing(node: Node) -> None:
    answer = node.start(node.job("no-such-command", brief_s=PATIENCE_S))
    assert answer["record"]["exit_code"] == 127
    assert told(answer) == (b"", b"")


def test_a_longer_one_is_still_to_be_followed(node: Node) -> None:
    answer = node.start(node.job("sleep", "60", brief_s=0.2))
    assert (answer["record"]["state"], answer["output"]) == ("running", None)
    node.ask(verb="signal", id=answer["record"]["id"], signal="KILL")


def test_what_was_left_behind_may_still_speak(node: Node) -> None:
    """The command has ended, but not all that can write to its streams."""
    answer = node.start(node.job("sh", "-c", "(sleep 60; echo late) &", brief_s=1.5))
    assert answer["output"] is None
    node.ask(verb="signal", id=answer["record"]["id"], signal="KILL")


def test_a_supervisor_that_was_killed_is_no_end(node: Node) -> None:
    answer = node.start(node.job("sh", "-c", "kill -9 $PPID", brief_s=PATIENCE_S))
    assert answer["output"] is None
    # The kernel closes what it held one by one: its lock may go after what tells of its end.
    until(lambda: node.record(answer["record"]["id"])["state"] == "unknown")


@pytest.mark.parametrize("seconds", [-1, 60, "1", [1]])
def test_the_patience_is_a_number_of_few_seconds(node: Node, seconds: object) -> None:
    answer = node.start(node.job("true", brief_s=seconds))
    assert answer["error"]["code"] == "bad_request"
    assert node.ask(verb="list")["records"] == []
