import random

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.dependencies import Edge
from ansible_collections.toft.fleet.plugins.plugin_utils.plan import Span, simulate
from ansible_collections.toft.fleet.plugins.plugin_utils.schedule import (
    Back,
    Ended,
    Full,
    Gone,
    Place,
    Refused,
    Schedule,
    Silent,
    Skip,
    Start,
    Started,
    Task,
)

FOUR = ("n1", "n2", "n3", "n4")


def tasks(*seconds: float, nodes: tuple[str, ...] = FOUR, known: bool = True) -> list[Task]:
    sure = frozenset(nodes if known else ())
    return [Task(i, nodes, dict.fromkeys(nodes, s), sure) for i, s in enumerate(seconds, 1)]


def places(*nodes: str, slots: int = 1) -> list[Place]:
    return [Place(node, slots) for node in nodes]


def flow(before: int, after: int, **more) -> Edge:
    return Edge(before, after, f"{after} needs x", **more)


def wall(spans: list[Span]) -> float:
    return max(span.end for span in spans)


def test_equal_commands_are_spread() -> None:
    found = Schedule(tasks(8, 8, 8, 8), places(*FOUR, slots=4)).decide(0)
    assert found == [Start(1, "n1"), Start(2, "n2"), Start(3, "n3"), Start(4, "n4")]


def test_the_longest_comes_first() -> None:
    spans, _ = simulate(tasks(1, 1, 1, 1, 4, nodes=("n1", "n2")), places("n1", "n2"))
    assert spans[0].number == 5
    assert wall(spans) == 4


def test_the_longest_way_to_the_end_comes_first() -> None:
    found = Schedule(tasks(3, 1, 1, nodes=("n1",)), places("n1"), [flow(2, 3, local=False), Edge(2, 3, "")])
    assert found.decide(0) == [Start(1, "n1")]
    chain = [Task(1, ("n1",), {"n1": 3}), Task(2, ("n1",), {"n1": 1}), Task(3, ("n1",), {"n1": 5})]
    assert Schedule(chain, places("n1"), [flow(2, 3)]).decide(0) == [Start(2, "n1")]


def test_a_freed_slot_takes_the_next() -> None:
    schedule = Schedule(tasks(3, 2, 1, nodes=("n1", "n2")), places("n1", "n2"))
    assert schedule.decide(0) == [Start(1, "n1"), Start(2, "n2")]
    assert schedule.decide(2, Ended(2, True)) == [Start(3, "n2")]


def test_each_goes_where_it_ends_first() -> None:
    task = Task(1, ("slow", "fast"), {"slow": 10, "fast": 2}, frozenset({"slow", "fast"}))
    assert Schedule([task], places("slow", "fast")).decide(0) == [Start(1, "fast")]


def test_a_known_command_waits_for_the_fast_node_and_a_guess_does_not() -> None:
    seconds = {"slow": 10.0, "fast": 2.0}
    both = frozenset(seconds)
    known = [Task(i, ("slow", "fast"), seconds, both) for i in (1, 2)]
    assert Schedule(known, places("slow", "fast")).decide(0) == [Start(1, "fast")]
    guessed = [Task(i, ("slow", "fast"), seconds) for i in (1, 2)]
    assert Schedule(guessed, places("slow", "fast")).decide(0) == [Start(1, "fast"), Start(2, "slow")]


def test_only_eligible_nodes_are_used() -> None:
    some = [Task(1, ("n2",)), Task(2, ("n2",)), Task(3, ("n1", "n2"))]
    assert Schedule(some, places("n1", "n2")).decide(0) == [Start(1, "n2"), Start(3, "n1")]


def test_a_command_that_nobody_can_run_is_skipped_and_what_needs_it() -> None:
    found = Schedule([Task(1, ()), Task(2, ("n1",))], places("n1"), [flow(1, 2, local=False)]).decide(0)
    assert [decision.number for decision in found if isinstance(decision, Skip)] == [1, 2]


def test_what_belongs_together_stays_on_one_node() -> None:
    spans, _ = simulate(tasks(1, 1, 1, 1), places(*FOUR), [flow(1, 2), flow(3, 4)])
    where = {span.number: span.node for span in spans}
    assert where[1] == where[2] != where[3] == where[4]


def test_what_no_node_can_run_together_is_parted_and_said() -> None:
    schedule = Schedule([Task(1, ("linux",)), Task(2, ("mac",))], places("linux", "mac"), [flow(1, 2)])
    assert schedule.decide(0) == [Start(1, "linux")]
    assert schedule.decide(1, Ended(1, True)) == [Start(2, "mac")]
    assert schedule.unpinned == [frozenset({1, 2})]


def test_after_a_failure_what_needs_it_is_skipped_and_the_rest_goes_on() -> None:
    edges = [flow(1, 2), flow(2, 3), Edge(1, 4, "both append to log", "order")]
    schedule = Schedule(tasks(1, 1, 1, 1, nodes=("n1",)), places("n1", slots=4), edges)
    assert schedule.decide(0) == [Start(1, "n1")]
    assert schedule.decide(1, Ended(1, False)) == [
        Skip(2, "1 failed, and 2 needs x"),
        Skip(3, "2 was not started, and it comes first"),
        Start(4, "n1"),
    ]


def test_what_may_still_run_lets_nothing_past_it() -> None:
    schedule = Schedule(tasks(1, 1, nodes=("n1",)), places("n1"), [Edge(1, 2, "both append to log", "order")])
    schedule.decide(0)
    (skip,) = schedule.decide(1, Ended(1, False, sure=False))
    assert isinstance(skip, Skip)


def test_a_server_holds_nobody_up_once_it_runs() -> None:
    schedule = Schedule(tasks(9, 1, nodes=("n1",)), places("n1", slots=2), [flow(1, 2, until="started")])
    assert schedule.decide(0) == [Start(1, "n1")]
    assert schedule.decide(0, Started(1)) == [Start(2, "n1")]


def test_a_server_takes_no_slot_from_what_asks_it() -> None:
    schedule = Schedule(tasks(9, 1, 1, nodes=("n1",)), places("n1"), [flow(1, 2, until="started")])
    assert schedule.decide(0) == [Start(1, "n1")]
    assert schedule.decide(0, Started(1)) == [Start(2, "n1")], "one at a time beside it"
    assert (schedule.taken("n1"), schedule.serving("n1")) == (1, 1)


def test_what_finds_no_slot_waits_for_one_of_ours_to_end() -> None:
    schedule = Schedule(tasks(9, 9, 9, nodes=("n1",)), [Place("n1", 2, most=2)])
    assert schedule.decide(0) == [Start(1, "n1"), Start(2, "n1")]
    schedule.decide(0, Started(1))
    assert schedule.decide(0, Full(2, "n1")) == []
    assert schedule.decide(0.1, Ended(1, True)) == [Start(2, "n1")]
    assert schedule.decide(0.2, Started(2)) == [Start(3, "n1")], "one that is let in makes room for the next"


def test_a_full_node_is_tried_again_more_and_more_seldom() -> None:
    schedule = Schedule(tasks(9, nodes=("n1",)), [Place("n1", 1, most=1)])
    schedule.decide(0)
    tried, now = [], 0.0
    schedule.decide(now, Full(1, "n1"))
    while now < 39:
        now = round(now + 0.1, 1)
        if schedule.decide(now) == [Start(1, "n1")]:
            tried.append(now)
            schedule.decide(now, Full(1, "n1"))
    pauses = [round(after - before, 1) for before, after in zip([0.0, *tried], tried, strict=False)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_what_finds_no_slot_goes_where_there_is_one() -> None:
    schedule = Schedule(tasks(9, nodes=("n1", "n2")), [Place(node, 1, most=1) for node in ("n1", "n2")])
    assert schedule.decide(0) == [Start(1, "n1")]
    assert schedule.decide(0, Full(1, "n1")) == [Start(1, "n2")]
    assert schedule.decide(0, Full(1, "n2")) == []
    assert schedule.decide(0.6) == [Start(1, "n1")]


def test_slots_that_others_give_back_are_used() -> None:
    schedule = Schedule(tasks(*[9] * 6, nodes=("n1",)), [Place("n1", 1, busy=3, most=4)])
    assert schedule.decide(0) == [Start(1, "n1")]
    now = 0.0
    while len(schedule.running) < 4:
        now += 0.1
        for start in schedule.decide(now):
            schedule.decide(now, Started(start.number))
    assert now < 3
    assert schedule.decide(99) == [], "never more than the node has"


def test_nothing_that_comes_back_is_started_after_a_stop() -> None:
    schedule = Schedule(tasks(9, 9, nodes=("n1",)), places("n1", slots=2))
    schedule.decide(0)
    assert schedule.stop("enough") == []
    assert schedule.decide(1, Full(1, "n1")) == [Skip(1, "enough")]
    assert schedule.decide(1, Refused(2, "n1")) == [Skip(2, "enough")]
    assert schedule.over


def test_what_never_started_goes_elsewhere() -> None:
    schedule = Schedule(tasks(1, 1, nodes=("n1", "n2")), places("n1", "n2"))
    assert schedule.decide(0) == [Start(1, "n1"), Start(2, "n2")]
    assert schedule.decide(1, Gone("n1"), Refused(1, "n1")) == []
    assert schedule.decide(2, Ended(2, True)) == [Start(1, "n2")]


def test_a_group_whose_node_is_gone_is_not_begun_again() -> None:
    schedule = Schedule(tasks(1, 1, nodes=("n1", "n2")), places("n1", "n2"), [flow(1, 2)])
    schedule.decide(0)
    assert schedule.decide(1, Ended(1, True)) == [Start(2, "n1")]
    assert schedule.decide(2, Gone("n1"), Refused(2, "n1")) == [Skip(2, "what it needs is on n1, which is gone")]


def test_what_was_made_before_binds_the_rest_to_its_node() -> None:
    some = [Task(2, ("n1", "n2"), at="n2")]
    assert Schedule(some, places("n1", "n2")).decide(0) == [Start(2, "n2")]


def test_nothing_is_started_on_a_silent_node_and_what_is_bound_to_it_waits() -> None:
    schedule = Schedule(tasks(1, 1, 1, nodes=("n1", "n2")), places("n1", "n2", slots=2), [flow(1, 2)])
    assert schedule.decide(0) == [Start(1, "n1"), Start(3, "n2")]
    assert schedule.decide(1, Silent("n1")) == []
    assert schedule.decide(2, Ended(1, True)) == []
    assert schedule.decide(3, Back("n1")) == [Start(2, "n1")]


def test_nothing_is_started_after_a_stop() -> None:
    schedule = Schedule(tasks(1, 1, nodes=("n1",)), places("n1"))
    schedule.decide(0)
    assert schedule.stop("1 failed") == [Skip(2, "1 failed")]
    assert schedule.decide(1, Ended(1, False)) == []
    assert schedule.over


def test_a_node_that_works_for_others_comes_later() -> None:
    schedule = Schedule(tasks(1, nodes=("n1", "n2")), [Place("n1", 1, busy=3), Place("n2", 1)])
    assert schedule.decide(0) == [Start(1, "n2")]


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_each_starts_at_most_once_and_slots_are_kept(seed: int) -> None:
    """A random fleet with nodes that go and commands that fail or are refused: the invariants hold."""
    chance = random.Random(seed)
    nodes = tuple(f"n{i}" for i in range(1, chance.randint(2, 5)))
    some = [
        Task(i, tuple(sorted(chance.sample(nodes, chance.randint(1, len(nodes))))), {n: chance.random() for n in nodes})
        for i in range(1, chance.randint(2, 15))
    ]
    pairs = {(a, b) for a in range(1, len(some)) for b in range(a + 1, len(some) + 1) if chance.random() < 0.1}
    edges = [flow(a, b, kind=chance.choice(["flow", "order"]), local=chance.random() < 0.5) for a, b in sorted(pairs)]
    slots = {node: chance.randint(1, 3) for node in nodes}
    schedule = Schedule(some, [Place(n, s) for n, s in slots.items()], edges)
    begun: dict[int, str] = {}
    ended: set[int] = set()
    skipped: set[int] = set()
    decisions, now = schedule.decide(0), 0.0
    for _ in range(300):
        for decision in decisions:
            if isinstance(decision, Skip):
                skipped.add(decision.number)
                continue
            assert decision.number not in begun
            assert decision.number not in skipped
            assert {e.before for e in edges if e.after == decision.number} <= ended | skipped
            begun[decision.number] = decision.node
        for node in schedule.places:
            assert schedule.taken(node) <= slots[node]
        if schedule.over or not schedule.running:
            break
        now += 1
        number = chance.choice(sorted(schedule.running))
        if chance.random() < 0.15:
            decisions = schedule.decide(now, Refused(number, begun.pop(number)))
            continue
        ended.add(number)
        gone = [Gone(begun[number])] if chance.random() < 0.05 else []
        decisions = schedule.decide(now, *gone, Ended(number, chance.random() < 0.8))
    assert schedule.over
    assert begun.keys() | skipped == {task.number for task in some}


def test_a_plan_with_experience_is_better_than_one_without() -> None:
    truth = {i: dict.fromkeys(("n1", "n2"), s) for i, s in enumerate((1.0, 1.0, 1.0, 1.0, 4.0), 1)}
    guesses = tasks(5, 5, 5, 5, 5, nodes=("n1", "n2"), known=False)
    first, _ = simulate(guesses, places("n1", "n2"), truth=truth)
    second, _ = simulate(tasks(1, 1, 1, 1, 4, nodes=("n1", "n2")), places("n1", "n2"), truth=truth)
    assert (wall(first), wall(second)) == (6, 4)
