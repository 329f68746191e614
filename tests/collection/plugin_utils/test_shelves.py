"""Which mirrors go by themselves, and that none goes that is in use."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.module_utils import jobs, shelf, slots
from ansible_collections.toft.fleet.plugins.module_utils.shelf import DAY_S, Shelf
from ansible_collections.toft.fleet.plugins.plugin_utils import mirroring

from tests.collection.node_sessions import eventually
from tests.collection.plugin_utils.mirrors import Pair

OURS = {"machine": "laptop", "root": "/home/me/app", "days": 30}
NEVER = {"most": 0, "days": 0}


def bring(pair: Pair, name: str, *, keep: dict | None = None, job: str | None = None) -> None:
    wanted = mirroring.Wanted(name, str(pair.home), job, about=OURS, keep=keep or NEVER)
    mirroring.mirror(pair.tree, pair.transport, wanted)


def base(pair: Pair) -> Path:
    return pair.home / ".toft/mirror"


def unused(pair: Pair, name: str, days: float) -> None:
    then = time.time() - days * DAY_S
    os.utime(base(pair) / f".{name}/about", (then, then))


def here(pair: Pair) -> Shelf:
    return Shelf(str(base(pair)), jobs.Jobs(str(pair.home / "jobs")))


def names(pair: Pair) -> list[str]:
    return [place.name for place in here(pair).places()]


@pytest.mark.parametrize(
    ("found", "most", "days", "going"),
    [
        ([(29, OURS), (31, OURS)], 0, 30, [1]),
        ([(29, OURS), (31, OURS), (99, {**OURS, "days": 365})], 0, 30, [1]),
        ([(99, {}), (9, {})], 0, 30, [0]),
        ([(99, {}), (99, {**OURS, "days": 0})], 0, 0, []),
        ([(5, OURS), (4, OURS), (3, OURS), (2, OURS)], 2, 30, [0, 1]),
        ([(5, OURS), (4, {**OURS, "machine": "other"}), (3, OURS), (2, OURS)], 2, 30, [0]),
        ([(0.5, OURS), (0.4, OURS), (0.3, OURS)], 1, 30, []),
        ([(0.9, {**OURS, "days": 0.1})], 0, 30, []),
    ],
    ids=["30 days", "its own word", "no word", "for ever", "most", "of one machine", "today's stay", "at least a day"],
)
def test_whose_time_is_over(found: list, most: int, days: float, going: list[int]) -> None:
    told = [(age * DAY_S, str(number), about) for number, (age, about) in enumerate(found)]
    assert sorted(shelf.overdue(told, "laptop", most, days)) == [str(number) for number in going]


def test_a_sync_removes_what_nobody_needs_any_more(pair: Pair) -> None:
    bring(pair, "old-1")
    bring(pair, "young-1")
    (base(pair) / "old-1/modules").mkdir()
    (base(pair) / "old-1/modules/kept.go").write_text("x")
    (base(pair) / "old-1/modules").chmod(0o500)
    unused(pair, "old-1", 31)
    unused(pair, "young-1", 29)
    bring(pair, "now-1", keep={"most": 50, "days": 30})
    eventually(lambda: not list(base(pair).glob("*old-1*")) and not list(base(pair).glob(".#gone*")), "it has gone")
    assert names(pair) == ["now-1", "young-1"]
    unused(pair, "young-1", 99)
    bring(pair, "now-1", keep={"most": 50, "days": 30})
    assert "young-1" in names(pair), "once a day is enough"


def test_what_a_job_runs_in_or_is_about_to_stays(pair: Pair) -> None:
    bring(pair, "leased-1", job="j0000000001")
    unused(pair, "leased-1", 99)
    kept = here(pair)
    assert kept.sweep("laptop", 0, 30, time.time()) == []
    with pytest.raises(jobs.Refused) as refused:
        kept.forget("leased-1")
    assert refused.value.code == "mirror_busy"
    lease = base(pair) / ".leased-1/1/leases/j0000000001"
    os.utime(lease, (0, 0))
    kept.forget("leased-1")
    assert names(pair) == []


def test_what_somebody_is_at_stays(pair: Pair) -> None:
    bring(pair, "tree-2")
    visitor = slots.Place(str(base(pair)), "tree-2")
    assert visitor.stay()
    with pytest.raises(jobs.Refused):
        here(pair).forget("tree-2")
    visitor.leave()
    here(pair).forget("tree-2")


def test_who_waited_for_a_mirror_that_was_removed_makes_it_anew(pair: Pair) -> None:
    bring(pair, "tree-2")
    place, remover = (slots.Place(str(base(pair)), "tree-2") for _ in range(2))
    lock = os.open(base(pair) / ".tree-2/visit", os.O_RDWR)
    eventually(remover.alone, "its visitor has gone")
    os.rename(base(pair) / ".tree-2", base(pair) / ".#gone-1")
    remover.leave()
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert not place.stay(), "there is none"
    place.visit()
    assert os.path.samestat(os.stat(base(pair) / ".tree-2/visit"), os.fstat(place._visit))
    os.close(lock)


def test_a_mirror_that_is_removed_comes_again(pair: Pair) -> None:
    bring(pair, "tree-1")
    here(pair).forget("tree-1")
    assert list(base(pair).iterdir()) == []
    bring(pair, "tree-1")
    assert pair.same()
    with pytest.raises(jobs.Refused) as refused:
        here(pair).forget("tree-9")
    assert refused.value.code == "no_mirror"


def test_a_mirror_tells_of_itself(pair: Pair) -> None:
    bring(pair, "tree-1")
    (told,) = here(pair).described(lambda: None)
    assert (told["name"], told["machine"], told["root"]) == ("tree-1", "laptop", "/home/me/app")
    assert (told["slots"], told["busy"], told["path"]) == (1, False, str(base(pair) / "tree-1"))
    assert told["bytes"] > 0


def test_using_a_mirror_keeps_it(pair: Pair) -> None:
    bring(pair, "tree-1")
    (pair.mirror / "out").write_text("x")
    unused(pair, "tree-1", 99)
    pair.pull("out")
    place = slots.Place(str(base(pair)), "tree-1")
    assert time.time() - place.used_at() < 60
    unused(pair, "tree-1", 99)
    bring(pair, "tree-1")
    assert time.time() - place.used_at() < 60
