"""Shorthands. The lab's fixtures are in tests/lab/fixtures.py, which tests/conftest.py registers."""

from __future__ import annotations

import pytest

from tests.lab.host import Host
from tests.lab.laboratory import Lab


@pytest.fixture
def n1(lab: Lab) -> Host:
    return lab.hosts["n1"]


@pytest.fixture
def n2(lab: Lab) -> Host:
    return lab.hosts["n2"]
