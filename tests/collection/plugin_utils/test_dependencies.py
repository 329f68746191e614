import json
from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.dependencies import Circle, edges
from ansible_collections.toft.fleet.plugins.plugin_utils.shell import parse

CASES = json.loads(Path(__file__).with_name("cases").joinpath("dependencies.json").read_text())
ROWS = [row for group in CASES.values() for row in group]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " | ".join(row["commands"])[:60])
def test_the_edges_of_a_set_of_commands(row) -> None:
    found = edges([parse(command) for command in row["commands"]])
    assert [[edge.before, edge.after] for edge in found] == row["edges"], [edge.because for edge in found]


def test_the_table_has_many_sets_that_are_independent() -> None:
    independent = [row for row in ROWS if not row["edges"]]
    assert len(ROWS) >= 150
    assert len(independent) >= 0.4 * len(ROWS)


def some(*commands: str, **more):
    return edges([parse(command) for command in commands], **more)


def test_an_edge_says_why() -> None:
    (edge,) = some("cmake -B build", "cmake --build build")
    assert (edge.because, edge.kind) == ("2 needs build, which 1 makes or changes", "flow")
    (edge,) = some("echo a >> log", "echo b >> log")
    assert (edge.because, edge.kind) == ("both 1 and 2 change log", "order")
    (edge,) = some("cat a", "rm a")
    assert (edge.because, edge.kind) == ("2 changes a, which 1 needs as it is", "order")


def test_what_other_edges_say_too_is_marked_and_kept() -> None:
    found = some("./configure", "make", "make install")
    assert [(edge.before, edge.after, edge.implied) for edge in found] == [
        (1, 2, False),
        (1, 3, True),
        (2, 3, False),
    ]


def test_a_server_in_the_foreground_is_waited_for_until_it_runs() -> None:
    (edge,) = some("python -m http.server 8000", "curl localhost:8000")
    assert edge.until == "started"
    (edge,) = some("python -m http.server 8000 &", "curl localhost:8000")
    assert edge.until == "ended"


def test_a_person_may_ask_for_an_edge_and_turn_one_around() -> None:
    (edge,) = some("pytest", "npm test", after=[(2, 1)])
    assert (edge.before, edge.after, edge.given, edge.local) == (1, 2, True, False)
    (edge,) = some("make", "make test", after=[(1, 2)])
    assert (edge.before, edge.after) == (2, 1)


def test_a_person_may_turn_the_search_off() -> None:
    assert some("make", "make test", independent=True) == ()
    (edge,) = some("a", "b", "c", independent=True, after=[(3, 1)])
    assert (edge.before, edge.after) == (1, 3)


def test_commands_that_would_wait_for_each_other_are_refused() -> None:
    with pytest.raises(Circle) as refused:
        some("a", "b", "c", after=[(2, 1), (3, 2), (1, 3)])
    assert refused.value.numbers == (1, 2, 3, 1)


def test_a_cluster_is_on_no_node_but_a_build_is() -> None:
    (cluster,) = some("kubectl apply -f x.yaml", "kubectl get pods")
    (build,) = some("make", "make test")
    assert (cluster.local, build.local) == (False, True)


ODD = ["", "'", "for", "$(", "a" * 10000, "> ", "docker run -p x:y:z", "curl http://[::", "| |", "git -C", "tar"]


@pytest.mark.parametrize("text", ODD)
def test_no_text_raises(text: str) -> None:
    some(text, "make", text)
