"""Labs for tests: `lab` (n1, n2, n3 under systemd) and `light_lab` (a hundred hosts with sshd alone).

Each is brought up once in a test session, when a test first asks for it. After every test all faults are
ended, hosts that are off are booted, and a host that something was done to must answer by ssh; a lab that
cannot be restored fails that test. A test that uses a lab carries the marker `lab` by itself.

Where a machine cannot hold a lab these tests are skipped, and the reason is said; with CI=true they fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.lab.laboratory import Lab, light_names, system_names
from tests.lab.machine import why_not

LIGHT_HOSTS = 100


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if {"lab", "light_lab", "lab_machine"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def lab_machine() -> None:
    """This machine can hold a lab; for tests that bring up labs of their own."""
    demand_machine(why_not(), in_ci=os.environ.get("CI") == "true")


def demand_machine(reason: str | None, *, in_ci: bool) -> None:
    """Skip the test if there is a reason why this machine cannot hold a lab; in CI fail it."""
    if reason is None:
        return
    if in_ci:
        pytest.fail(f"CI must run the lab's tests: {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def standing_lab(lab_machine: None) -> Iterator[Lab]:
    standing = Lab.up(system_names(3))
    yield standing
    standing.down()


@pytest.fixture
def lab(standing_lab: Lab) -> Iterator[Lab]:
    yield standing_lab
    standing_lab.heal()


@pytest.fixture(scope="session")
def standing_light_lab(lab_machine: None) -> Iterator[Lab]:
    standing = Lab.up(light=light_names(LIGHT_HOSTS), sshd_defaults=False)
    yield standing
    standing.down()


@pytest.fixture
def light_lab(standing_light_lab: Lab) -> Iterator[Lab]:
    yield standing_light_lab
    standing_light_lab.heal()
