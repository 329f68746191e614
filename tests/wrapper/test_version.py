"""One version, said at once."""

from __future__ import annotations

import json
from pathlib import Path

import toft as package
import yaml

from tests.command import Toft

HERE = Path(__file__).parents[2]


def test_there_is_one() -> None:
    collection = HERE / "collection/ansible_collections/toft/fleet/galaxy.yml"
    plugin = HERE / "wrapper/toft/plugin/.claude-plugin/plugin.json"
    assert yaml.safe_load(collection.read_text())["version"] == package.__version__
    assert json.loads(plugin.read_text())["version"] == package.__version__


def test_it_is_said_the_same_way_by_the_command_line_and_before_it(toft: Toft) -> None:
    toft.warm = toft.runtime  # as anybody has it
    words = f"toft {package.__version__}\n".encode()
    assert toft("--version").stdout == words
    assert toft("--cold", "--version").stdout == words
    assert not (toft.runtime / "toft").exists(), "nobody has looked for an engine"
