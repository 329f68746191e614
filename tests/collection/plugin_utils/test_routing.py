"""Where commands run in the four fleets that toft grew out of: cases/routing.json.

A case names a fleet and a command, and may say which node is this machine (`here`), what is asked for
(`explicit`), which nodes may be asked (`only`), what differs in the inventory (`vars`) or in what was probed
(`state`), who is `down` with which cause, and that nothing was probed (`declared`). All else is idle. What is
expected may be a part: of the sentence (`why`), of what a node lacked (`rejected`), of what was `skipped`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.module_utils.load import Load
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.routing import (
    REASONS,
    Decision,
    Node,
    Overload,
    Policy,
    Weights,
    decide,
    overloaded,
    score,
)
from ansible_collections.toft.fleet.plugins.plugin_utils.rules import (
    Profile,
    Requirement,
    Topics,
    built_in,
    requirement,
)
from ansible_collections.toft.fleet.plugins.plugin_utils.shell import parse

TABLE = json.loads((Path(__file__).parent / "cases" / "routing.json").read_text(encoding="utf-8"))
CASES = TABLE["cases"]


def idle(**differs: Any) -> Load:
    """`cpu`, `memory` and `load1` are short for what a Load has."""
    told: dict[str, Any] = {
        "os": "linux",
        "cores": 4,
        "jobs": 0,
        "cpu": 10.0,
        "memory": 20.0,
        "load1": 0.2,
        **differs,
    }
    one = told.pop("load1")
    told["load"] = None if one is None else (one, one, one)
    told["cpu_percent"], told["memory_percent"] = told.pop("cpu"), told.pop("memory")
    return Load.from_dict(told)


def node(entry: dict[str, Any], case: dict[str, Any]) -> Node:
    name = entry["name"]
    variables = {**entry["vars"], **case.get("vars", {}).get(name, {})}
    code = case.get("down", {}).get(name)
    load = None
    if not code and not case.get("declared"):
        known = {"os": variables.get("toft_os") or entry.get("os"), "cores": entry["cores"]}
        load = idle(**known, **case.get("state", {}).get(name, {}))
    cause = Cause(code, f"{name} is away.", "ping it") if code else None
    return Node.from_vars(name, entry["groups"], variables, load=load, cause=cause, local=case.get("here") == name)


def decided(case: dict[str, Any]) -> Decision:
    entries = TABLE["fleets"][case["fleet"]]
    nodes = [node(entry, case) for entry in entries if entry["name"] in case.get("only", [entry["name"]])]
    policy = Policy.from_dict(case.get("policy", {}), built_in().topics)
    return decide(requirement(parse(case["command"]), built_in()), nodes, policy, case.get("explicit"))


@pytest.mark.parametrize("case", CASES, ids=[f"{i} {c['fleet']} {c['command']:.30}" for i, c in enumerate(CASES)])
def test_a_decision(case: dict[str, Any]) -> None:
    found = decided(case)
    assert (found.node, found.reason) == (case["node"], case["reason"]), found.why
    told = {each.node: each for each in found.candidates}
    for name, lack in case.get("rejected", {}).items():
        assert lack in (told[name].rejected or "")
        assert not told[name].eligible
    assert [name for name in case.get("eligible", []) if not told[name].eligible] == []
    assert [part for part in case.get("why", []) if part not in found.why] == []
    assert len(found.skipped) == len(case.get("skipped", [])) or "skipped" not in case
    for part, skipped in zip(case.get("skipped", []), found.skipped, strict=False):
        assert part in skipped
        assert skipped in found.why
    assert list(found.matched) == case.get("matched", list(found.matched))


@pytest.mark.parametrize("case", CASES, ids=[f"{i}" for i in range(len(CASES))])
def test_what_holds_for_every_decision(case: dict[str, Any]) -> None:
    found = decided(case)
    names = [each.node for each in found.candidates]
    assert len(names) == len(set(names))
    assert found.why.endswith(".")
    if found.node is None:
        assert found.reason == "none_eligible"
        assert not any(each.eligible for each in found.candidates)
    else:
        assert names[0] == found.node
        assert found.candidates[0].eligible
    assert all(each.eligible == (each.rejected is None) for each in found.candidates)
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()
    assert decided(case) == found


def test_every_reason_is_tried() -> None:
    assert {case["reason"] for case in CASES} == set(REASONS)
    assert len(CASES) >= 60


def test_the_json_of_a_decision() -> None:
    case = {"fleet": "two-acre", "command": "docker ps", "here": "mac-studio"}
    assert decided(case).to_dict() == {
        "command": "docker ps",
        "node": "macpro51",
        "reason": "linux_required",
        "matched": ["docker (docker)"],
        "why": "`docker` needs linux, and macpro51 is the only one that can take it.",
        "candidates": [
            {"node": "macpro51", "score": 0.1025, "eligible": True, "rejected": None},
            {
                "node": "mac-studio",
                "score": 0.1025,
                "eligible": False,
                "rejected": "runs macos, not linux; has no docker",
            },
            {
                "node": "macbook-air",
                "score": 0.1038,
                "eligible": False,
                "rejected": "runs macos, not linux; has no docker",
            },
        ],
        "skipped": [],
        "fix": "",
        "near": "",
    }


# ---- score -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        ({"cpu": 0, "memory": 0, "load1": 0}, 0.0),
        ({"cpu": 100, "memory": 100, "load1": 8}, 1.0),
        ({"cpu": 100, "memory": 100, "load1": 800}, 1.0),
        ({"cpu": 50, "memory": 0, "load1": 0}, 0.2),
        ({"cpu": 0, "memory": 50, "load1": 0}, 0.15),
        ({"cpu": 0, "memory": 0, "load1": 4}, 0.15),
        ({"cpu": 15, "memory": 40, "load1": 1.3333333}, 0.23),
        ({"cpu": None, "memory": 50, "load1": 4}, 0.5),
        ({"cpu": None, "memory": None, "load1": None}, None),
        ({"cpu": 50, "memory": None, "load1": None}, 0.5),
        ({"cpu": 0, "memory": 0, "load1": 4, "cores": None}, 0.0),
    ],
)
def test_the_score(load: dict[str, Any], expected: float | None) -> None:
    assert score(idle(**load), Weights()) == expected


def test_no_load_no_score() -> None:
    assert score(None, Weights()) is None
    assert score(idle(), Weights(0, 0, 0)) is None


def test_a_profile_shifts_the_weights_and_keeps_their_sum() -> None:
    plain = Weights(0.4, 0.3, 0.3)
    assert plain.leaning(Profile()) == plain
    leaning = plain.leaning(Profile(cpu=1.0))
    assert leaning.cpu > plain.cpu
    assert leaning.memory < plain.memory
    assert leaning.cpu + leaning.memory + leaning.load_average == pytest.approx(1.0)
    assert leaning.cpu / leaning.memory == pytest.approx(2 * plain.cpu / plain.memory)
    assert Weights(0, 0, 0).leaning(Profile(1, 1, 1)) == Weights(0, 0, 0)


def test_a_profile_can_turn_the_choice() -> None:
    """The database goes where the CPU is idle, the API where the disks are."""
    nodes = [
        Node("a", load=idle(cpu=60, memory=20, load1=0.5)),
        Node("b", load=idle(cpu=10, memory=20, load1=5.5)),
    ]
    needs = [Requirement(profile=Profile(cpu=1.0)), Requirement(profile=Profile(io=1.0))]
    assert [decide(each, nodes, Policy()).node for each in needs] == ["b", "a"]


# ---- overload ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("load", "full"),
    [
        ({}, None),
        ({"cpu": 85}, None),
        ({"cpu": 85.1}, "CPU 85%"),
        ({"memory": 90}, None),
        ({"memory": 91}, "memory 91%"),
        ({"load1": 6}, None),
        ({"load1": 6.4}, "load 1.6 by core"),
        ({"jobs": 4}, "4 of 4 slots are taken"),
        ({"jobs": 3}, None),
        ({"cpu": None, "memory": None, "load1": None}, None),
    ],
)
def test_overload(load: dict[str, Any], full: str | None) -> None:
    assert overloaded(Node("a", load=idle(**load)), Overload()) == full


def test_nothing_known_is_no_overload() -> None:
    assert overloaded(Node("a"), Overload()) is None


# ---- nodes and policies from elsewhere ------------------------------------------


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, Node("a")),
        ({"toft_auto": "no"}, Node("a", auto=False)),
        ({"toft_auto": "False"}, Node("a", auto=False)),
        ({"toft_auto": "true"}, Node("a", auto=True)),
        ({"toft_slots": "4"}, Node("a", slots=4)),
        ({"toft_slots": 0}, Node("a", slots=0)),
        ({"toft_slots": "many"}, Node("a")),
        ({"toft_slots": True}, Node("a")),
        ({"toft_slots": -1}, Node("a")),
        ({"toft_specializations": "docker, builds"}, Node("a", specializations=("docker", "builds"))),
        ({"toft_capabilities": ["gpu", 7]}, Node("a", capabilities=("gpu", "7"))),
        ({"toft_capabilities": None, "toft_specializations": {}}, Node("a")),
    ],
)
def test_host_variables(variables: dict[str, Any], expected: Node) -> None:
    assert Node.from_vars("a", [], variables) == expected


def test_what_was_probed_counts_more_than_what_is_declared() -> None:
    found = Node("a", os="macos", capabilities=("gpu",), load=idle(os="linux", capabilities=["docker"], jobs=2))
    assert (found.system, found.all_slots, found.running, found.free) == ("linux", 4, 2, 2)
    assert (found.has("gpu"), found.has("docker"), found.has("podman")) == (True, True, False)
    assert Node("a").has("docker") is None


def test_our_own_count_of_jobs_is_better_than_the_probes() -> None:
    assert Node("a", load=idle(jobs=1), jobs=4).free == 0


def test_a_policy_from_a_configuration() -> None:
    data = {
        "load_weights": {"cpu": 1, "memory": 0, "load_average": 0},
        "host_preferences": {"database": ["node-1"], "web": "node-2, node-3"},
        "overload": {"cpu_percent": 50.0, "memory_percent": 60.0, "load": 2.0},
        "rules": [],
    }
    policy = Policy.from_dict(data, Topics())
    assert policy.weights == Weights(1, 0, 0)
    assert policy.preferences == {"database": ("node-1",), "web": ("node-2", "node-3")}
    assert policy.overload == Overload(50.0, 60.0, 2.0)
    assert Policy.from_dict({}, Topics()) == Policy()


def test_a_node_out_of_the_inventory_is_no_candidate() -> None:
    nodes = [Node("here", local=True, in_inventory=False, load=idle()), Node("there", load=idle(cpu=99))]
    found = decide(Requirement(), nodes, Policy())
    assert (found.node, found.reason) == ("there", "least_loaded")
    assert found.candidates[-1].rejected == "is not in the inventory"


def test_the_order_of_the_nodes_given_does_not_matter() -> None:
    nodes = [Node(name, load=idle(cpu=cpu)) for name, cpu in (("c", 50), ("a", 50), ("b", 40))]
    found = [decide(Requirement(), order, Policy()) for order in (nodes, nodes[::-1])]
    assert found[0] == found[1]
    assert [each.node for each in found[0].candidates] == ["b", "a", "c"]


def test_a_probed_node_goes_before_one_of_which_nothing_is_known() -> None:
    nodes = [Node("a", slots=64), Node("b", load=idle(cpu=80))]
    assert decide(Requirement(), nodes, Policy()).node == "b"


def test_the_same_topic_by_another_word() -> None:
    """A node that calls itself `testing` is meant by pytest, one of `db` by psql."""
    policy = Policy(topics=built_in().topics)
    for command, word in (
        ("pytest --co; pytest -h; jest", "Testing"),
        ("psql", "DB"),
        ("docker ps", "containers"),
    ):
        nodes = [Node("a", os="linux", specializations=(word,), load=idle(cpu=90, capabilities=["docker"]))]
        nodes.append(Node("b", load=idle(capabilities=["docker"])))
        assert decide(requirement(parse(command), built_in()), nodes, policy).node == "a"
