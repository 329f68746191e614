from pathlib import Path

import pytest
from toft.fleet.names import recall, remember

from tests.command import Toft

INVENTORY = (Path("/a/hosts.yml"),)


def test_names_add_up_and_belong_to_an_inventory(tmp_path: Path) -> None:
    remember(tmp_path, INVENTORY, ["pi2", "pi1"])
    remember(tmp_path, INVENTORY, ["pi1", "builders"])
    assert recall(tmp_path, INVENTORY) == ["builders", "pi1", "pi2"]
    assert recall(tmp_path, ()) == []


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"a": 1}', "\x00"])
def test_a_broken_cache_completes_nothing(tmp_path: Path, text: str) -> None:
    remember(tmp_path, INVENTORY, ["pi1"])
    (file,) = (tmp_path / "names").iterdir()
    file.write_text(text)
    assert recall(tmp_path, INVENTORY) == []
    remember(tmp_path, INVENTORY, ["pi1"])
    assert recall(tmp_path, INVENTORY) == ["pi1"]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "names").write_text("a file where the directory should be")
    remember(tmp_path, INVENTORY, ["pi1"])
    assert recall(tmp_path, INVENTORY) == []


def test_the_shell_is_given_names(toft: Toft) -> None:
    name = toft.json("status")["nodes"][0]["name"]
    toft.env |= {"_TOFT_COMPLETE": "complete_bash", "COMP_WORDS": f"toft offload {name[:1]}", "COMP_CWORD": "2"}
    assert toft().stdout.decode().split() == [name]
