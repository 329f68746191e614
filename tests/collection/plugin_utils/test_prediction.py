from ansible_collections.toft.fleet.plugins.plugin_utils.prediction import HEAVY_S, LIGHT_S, Measured, predict

NODES = ("n1", "n2")


def one(command: str, *history: tuple[str, str, float], heavy: bool = False):
    (found,) = predict([(command, heavy)], NODES, [Measured(*each) for each in history])
    return dict(found.seconds), set(found.known)


def test_nothing_known_is_a_guess_from_its_weight() -> None:
    assert one("make", heavy=True) == ({"n1": HEAVY_S, "n2": HEAVY_S}, set())
    assert one("ls") == ({"n1": LIGHT_S, "n2": LIGHT_S}, set())


def test_the_last_times_there_count_and_one_odd_time_does_not() -> None:
    times = [("make", "n1", s) for s in (90.0, 90.0, 10.0, 11.0, 500.0, 10.0, 11.0)]
    seconds, known = one("make", *times)
    assert seconds["n1"] == 11.0
    assert known == {"n1"}


def test_elsewhere_it_is_thought_to_take_as_long_as_it_did() -> None:
    assert one("make", ("make", "n1", 10.0)) == ({"n1": 10.0, "n2": 10.0}, {"n1"})


def test_a_slower_node_is_known_by_what_both_have_run() -> None:
    seconds, known = one("make", ("make", "n1", 10.0), ("test", "n1", 2.0), ("test", "n2", 6.0))
    assert (seconds["n2"], known) == (30.0, {"n1", "n2"})


def test_an_unknown_command_takes_as_long_as_the_usual_one_of_the_run() -> None:
    found = predict([("a", False), ("b", True)], NODES, [Measured("a", "n1", 7.0)])
    assert dict(found[1].seconds) == {"n1": 7.0, "n2": 7.0}
    assert found[1].known == frozenset()
