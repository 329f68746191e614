from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Toft


@pytest.fixture(params=["cold", "warm"])
def toft(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Toft]:
    """The command line behaves the same through the warm engine and without it."""
    command = Toft(tmp_path / "home")
    if request.param == "warm":
        command.warm = request.getfixturevalue("engine")
    yield command
    command.end()
