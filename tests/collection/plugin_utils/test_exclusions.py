"""Patterns of what stays at home."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.exclusions import Exclusions

CASES = json.loads((Path(__file__).parent / "cases/exclusions.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['pattern']}|{c['path']}")
def test_a_pattern(case: dict[str, Any]) -> None:
    excluded = Exclusions([case["pattern"]])
    assert excluded(case["path"], case.get("directory", False)) is case["excluded"]


def test_no_pattern_excludes_nothing() -> None:
    assert not Exclusions([])("anything")


def test_any_of_several() -> None:
    excluded = Exclusions(["node_modules", "*.tmp"])
    assert [path for path in ("a", "b/node_modules/x", "c.tmp") if excluded(path)] == ["b/node_modules/x", "c.tmp"]
