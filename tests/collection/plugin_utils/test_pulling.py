"""Results brought back: nothing of ours is lost, and nothing that a node says leads out of the tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.module_utils import frames, manifest
from ansible_collections.toft.fleet.plugins.plugin_utils import conversation, pulling
from ansible_collections.toft.fleet.plugins.plugin_utils.listed import Unwanted, checked

from tests.collection.plugin_utils.mirrors import Pair
from tests.collection.plugin_utils.test_foreign import elf


def built(pair: Pair, **files: str) -> None:
    (pair.mirror / "out").mkdir(exist_ok=True)
    for name, text in files.items():
        (pair.mirror / "out" / name).write_text(text)


@pytest.fixture
def synced(pair: Pair) -> Pair:
    pair.sync()
    built(pair, one="1", two="22")
    return pair


def test_new_results_come_with_their_modes_and_links(synced: Pair) -> None:
    (synced.mirror / "out/one").chmod(0o755)
    (synced.mirror / "out/link").symlink_to("../out/one")
    assert synced.pull("out") == pulling.Pulled(3, 3)
    assert (synced.root / "out/two").read_text() == "22"
    assert (synced.root / "out/one").stat().st_mode & 0o777 == 0o755
    assert (synced.root / "out/link").read_text() == "1"
    assert synced.pull("out") == pulling.Pulled(0, 0)
    assert not list(synced.root.glob(".toft-pull-*"))


def test_one_file(synced: Pair) -> None:
    assert synced.pull("out/two").files == 1
    assert not (synced.root / "out/one").exists()


def test_what_came_before_may_be_replaced(synced: Pair) -> None:
    synced.pull("out")
    built(synced, one="again")
    assert synced.pull("out").files == 1
    assert (synced.root / "out/one").read_text() == "again"


def test_what_changed_here_is_not_and_nothing_else_either(synced: Pair) -> None:
    synced.pull("out")
    (synced.root / "out/one").write_text("mine")
    built(synced, one="again", two="again")
    with pytest.raises(Unwanted) as refused:
        synced.pull("out")
    assert (refused.value.what, refused.value.paths) == ("conflict", ["out/one"])
    assert (synced.root / "out/one").read_text() == "mine"
    assert (synced.root / "out/two").read_text() == "22"


def test_what_was_never_there_is_not_overwritten(synced: Pair) -> None:
    (synced.root / "out").mkdir()
    (synced.root / "out/one").write_text("mine")
    with pytest.raises(Unwanted, match="out/one"):
        synced.pull("out")


def test_a_source_that_a_command_changed(synced: Pair) -> None:
    """A formatter ran there: its result replaces what was synced, unless that was edited here since."""
    (synced.mirror / "a").write_text("formatted\n")
    assert synced.pull("a").files == 1
    assert (synced.root / "a").read_text() == "formatted\n"
    (synced.mirror / "sub/b").write_text("formatted\n")
    (synced.root / "sub/b").write_text("edited meanwhile\n")
    with pytest.raises(Unwanted, match="sub/b"):
        synced.pull("sub")


def test_a_link_here_is_not_followed(synced: Pair, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (synced.root / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unwanted):
        synced.pull("out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_programs_of_another_kind_of_machine(synced: Pair) -> None:
    (synced.mirror / "out/app").write_bytes(elf(22, ">") + bytes(100))
    with pytest.raises(Unwanted) as refused:
        synced.pull("out")
    assert (refused.value.what, refused.value.paths) == ("foreign", ["out/app"])
    assert not (synced.root / "out").exists()
    assert synced.pull("out", any_arch=True).files == 3


def test_what_is_not_there(synced: Pair) -> None:
    with pytest.raises(conversation.Refused) as refused:
        synced.pull("nothing")
    assert refused.value.code == "no_path"


def test_more_than_is_allowed(synced: Pair) -> None:
    with pytest.raises(conversation.Refused) as refused:
        synced.pull("out", most_bytes=2)
    assert refused.value.code == "too_much"


FILE = ["f", 0o644, 1, 0, "a" * 40]
HOSTILE: dict[str, dict[str, Any]] = {
    "up": {"out/../../x": FILE},
    "absolute": {"/etc/x": FILE},
    "elsewhere": {"other/x": FILE},
    "beside": {"output": FILE},
    "nul": {"out/a\0b": FILE},
    "empty part": {"out//x": FILE},
    "git's": {"out/.git/hooks/post-checkout": FILE},
    "git's, in capitals": {"out/.GIT/config": FILE},
    "absolute link": {"out/l": ["l", "/etc/passwd"]},
    "link out": {"out/l": ["l", "../../x"]},
    "link out, hidden": {"out/l": ["l", "d/../../x"]},
    "link to git's": {"out/l": ["l", "../.git/config"]},
    "empty link": {"out/l": ["l", ""]},
    "below a link": {"out/l": ["l", "d"], "out/l/x": FILE},
    "no size": {"out/x": ["f", 0o644, "1", 0, "a" * 40]},
    "negative": {"out/x": ["f", 0o644, -1, 0, "a" * 40]},
    "no digest": {"out/x": ["f", 0o644, 1, 0, "../../x"]},
    "a directory": {"out/x": ["d", 0o755]},
    "nothing": {"out/x": []},
    "bomb": {"out/x": ["f", 0o644, 1 << 62, 0, "a" * 40]},
}


@pytest.mark.parametrize("entries", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_list_is_refused(entries: dict[str, Any]) -> None:
    with pytest.raises(Unwanted):
        checked(entries, "out", 1 << 30)


def test_a_good_list_is_not() -> None:
    entries = {"out/x": FILE, "out/d/l": ["l", "../x"], "out/m": ["l", "../a"], "out/.gitignore": FILE}
    assert checked(entries, "out", 1 << 30) == entries
    assert checked({"out": FILE}, "out", 1) == {"out": FILE}


class Liar:
    """A node that says what it likes."""

    def __init__(self, *frames_: tuple[bytes, bytes]) -> None:
        self.frames = list(frames_)

    def send(self, data: bytes) -> None:
        pass

    def next(self) -> tuple[bytes, bytes]:
        return self.frames.pop(0)

    def answer(self) -> dict[str, Any]:
        return {"ok": True}


def data(content: str, body: bytes, flags: int = manifest.LAST) -> tuple[bytes, bytes]:
    return manifest.DATA, bytes.fromhex(content) + bytes((flags,)) + body


SUM = manifest.hasher(b"x").hexdigest()


@pytest.mark.parametrize(
    "said",
    [
        data(SUM, b"more than was announced"),
        data(SUM, b"y"),
        data("b" * 40, b"x"),
        data(SUM, __import__("zlib").compress(bytes(64 << 20)), manifest.LAST | manifest.PACKED),
        (manifest.DATA, b""),
        (frames.STDOUT, b"noise"),
    ],
    ids=["longer", "other", "not asked for", "bomb", "empty", "no data"],
)
def test_contents_that_are_not_what_was_announced(said: tuple[bytes, bytes], tmp_path: Path) -> None:
    with pytest.raises(Unwanted):
        pulling._fetch(Liar(said), {"out/x": ["f", 0o644, 1, 0, SUM]}, str(tmp_path))  # type: ignore[arg-type]
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 1
