"""The scheduler's control port, its log, and ICECC_VERSION: cases/icecream.json; what is `recorded` is of icecc 1.4."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.toft.fleet.plugins.filter.icecc_version import icecc_version
from ansible_collections.toft.fleet.plugins.filter.icecream_farm import icecream_farm
from ansible_collections.toft.fleet.plugins.plugin_utils import icecream
from ansible_collections.toft.fleet.plugins.plugin_utils.icecream import BadAnswer

CASES = json.loads((Path(__file__).parent / "cases" / "icecream.json").read_text())
GOOD = [case for case in CASES["answers"] if "error" not in case]
BAD = [case for case in CASES["answers"] if "error" in case]


def name(case: dict[str, Any]) -> str:
    return str(case["name"])


@pytest.mark.parametrize("case", GOOD, ids=name)
def test_answers(case: dict[str, Any]) -> None:
    farm = icecream.parse(case["text"])
    assert [node.name for node in farm.nodes] == [node["name"] for node in case["nodes"]]
    assert [[job.id, job.state, job.client, job.server, job.file] for job in farm.jobs] == case["jobs"]
    for node, expected in zip(farm.nodes, case["nodes"], strict=True):
        ids = expected.pop("jobs", [job.id for job in node.jobs])
        assert [job.id for job in node.jobs] == ids
        assert {key: getattr(node, key) for key in expected} == expected
    if "scheduler" in case:
        assert farm.scheduler is not None
        assert vars(farm.scheduler) == case["scheduler"]


@pytest.mark.parametrize("case", BAD, ids=name)
def test_what_is_no_answer(case: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer, match=case["error"]):
        icecream.parse(case["text"])
    with pytest.raises(AnsibleFilterError, match=case["error"]):
        icecream_farm(case["text"])


def test_every_cut_is_noticed_or_whole() -> None:
    """An answer that broke off never passes for a smaller farm."""
    text = next(case["text"] for case in GOOD if case["name"] == "recorded: at work")
    whole = icecream.parse(text)
    for end in range(len(text)):
        try:
            farm = icecream.parse(text[:end])
        except BadAnswer:
            continue
        assert farm.nodes == whole.nodes


def test_log() -> None:
    found = icecream.compilations(CASES["log"]["text"])
    assert [[one.id, one.client, one.server] for one in found] == CASES["log"]["compilations"]


@pytest.mark.parametrize("case", CASES["versions"], ids=name)
def test_versions(case: dict[str, Any]) -> None:
    assert icecc_version(case["own"], case["others"]) == case["version"]


def test_the_filter_gives_plain_data() -> None:
    data = json.loads(json.dumps(icecream_farm(GOOD[0]["text"])))
    assert [node["port"] for node in data["nodes"]] == [0, 10245, 10245]
