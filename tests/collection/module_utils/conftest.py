"""A node on this machine for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collection.node_sessions import Node, node_for


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    yield from node_for(tmp_path)
