"""How far a sync is, in words."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.toft.fleet.plugins.plugin_utils.meter import Meter, Travelled, teller
from toft.fleet.progress import Progress

MB = 1_000_000


def progress(tmp_path: Path, *told: Travelled) -> Progress:
    file = tmp_path / "told"
    file.touch()
    say = teller(str(file))
    for one in told:
        say(one)
    return Progress(file)


def test_nothing_is_said_before_anything_is_told(tmp_path: Path) -> None:
    seen = progress(tmp_path)
    seen.look(0)
    assert seen.line() == ""


def test_files_bytes_and_rate(tmp_path: Path) -> None:
    seen = progress(tmp_path, Travelled("n1", "sending", 10, 100, 10 * MB, 90 * MB))
    seen.look(10)
    teller(str(seen.path))(Travelled("n1", "sending", 40, 100, 50 * MB, 90 * MB))
    seen.look(12)
    assert seen.line() == "sync to n1: 40 of 100 files, 50 MB of 90 MB, 20 MB/s"
    assert seen.of("n1") == "sync: 40 of 100 files, 50 MB of 90 MB"
    assert seen.of("n2") == ""


def test_several_nodes_are_added_up(tmp_path: Path) -> None:
    sent = [Travelled(node, "sending", 1, 10, MB, 10 * MB) for node in ("n1", "n2")]
    seen = progress(tmp_path, *sent, Travelled("n3", "reading"), Travelled("n4", "done", 10, 10, 10 * MB, 10 * MB))
    seen.look(0)
    assert seen.line() == "sync to 4 nodes: 12 of 30 files, 12 MB of 30 MB, 0 B/s"


def test_what_is_not_sending_is_said_too(tmp_path: Path) -> None:
    seen = progress(tmp_path, Travelled("n1"))
    seen.look(0)
    assert seen.line() == "sync to n1: reading the tree"
    teller(str(seen.path))(Travelled("n1", "placing", 10, 10, MB, MB))
    seen.look(1)
    assert seen.line() == "sync to n1: 10 of 10 files, 1.0 MB of 1.0 MB, putting them in place"
    teller(str(seen.path))(Travelled("n1", "done", 10, 10, MB, MB))
    seen.look(2)
    assert seen.line() == ""


def test_half_a_line_is_left_for_the_next_look(tmp_path: Path) -> None:
    seen = progress(tmp_path, Travelled("n1"))
    whole = seen.path.read_bytes()
    seen.path.write_bytes(whole + whole[:9])
    seen.look(0)
    assert seen.line() == "sync to n1: reading the tree"
    with seen.path.open("ab") as file:
        file.write(whole[9:].replace(b"n1", b"n2"))
    seen.look(1)
    assert seen.line() == "sync to 2 nodes: reading the tree"


def test_a_meter_tells_phases_at_once_and_counts_now_and_then() -> None:
    told: list[Travelled] = []
    meter = Meter("n1", told.append)
    meter.phase("reading")
    meter.phase("reading")
    meter.lacks(1000, 1000)
    for _ in range(1000):
        meter.sent(1, True)
    meter.phase("placing")
    assert [one.phase for one in told if one.phase != "sending"] == ["reading", "placing"]
    assert len(told) < 100
    assert (told[-1].files, told[-1].bytes) == (1000, 1000)


def test_a_file_that_is_gone_keeps_nobody_from_work(tmp_path: Path) -> None:
    teller(str(tmp_path / "gone"))(Travelled("n1"))
    teller(None)(Travelled("n1"))
    assert list(tmp_path.iterdir()) == []
