"""What an agent may do: decided on the parsed command, whatever is wrapped around it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.shell import parse
from toft.fleet.policy import FILE, Policy, Target, judge, load, with_environment
from toft.fleet.yaml_source import BadFile

CASES = json.loads((Path(__file__).parent / "cases/policy.json").read_text())
ELSEWHERE = Path("/nonexistent")


@pytest.fixture(scope="module")
def built_in() -> Policy:
    return load(ELSEWHERE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["command"])
def test_built_in(built_in: Policy, case: dict) -> None:
    line = with_environment(parse(case["command"]), case.get("env", {}))
    verdict = judge(built_in, Target("cluster_bash"), line)
    assert verdict.decision == case["decision"], verdict
    assert verdict.rule.startswith(case.get("rule", ""))


def policy(tmp_path: Path, text: str) -> Policy:
    (tmp_path / FILE).write_text(text)
    return load(tmp_path)


def decision(
    given: Policy, command: str, node: str | None = None, groups: tuple[str, ...] = (), tool: str = "cluster_bash"
) -> str:
    return judge(given, Target(tool, node, groups), parse(command) if command else None).decision


def test_the_owners_rule_comes_first(tmp_path: Path) -> None:
    given = policy(tmp_path, "rules:\n- {decision: allow, programs: [rm]}\n")
    assert decision(given, "rm -rf src") == "allow"


def test_allowing_a_command_allows_no_wrapper_and_no_neighbour(tmp_path: Path) -> None:
    given = policy(tmp_path, "rules:\n- {decision: allow, programs: [rm, make]}\n")
    assert decision(given, "sudo rm -rf src") == "ask"
    assert decision(given, "make && shutdown now") == "ask"
    assert decision(given, "make X=$(dd of=/dev/sda)") == "deny"


def test_a_list_of_what_is_allowed(tmp_path: Path) -> None:
    given = policy(tmp_path, "default: deny\nrules:\n- {decision: allow, programs: [make, pytest]}\n")
    assert decision(given, "make -j8 && pytest") == "allow"
    assert decision(given, "bash -lc 'env CI=1 make'") == "allow"
    assert decision(given, "make && curl x") == "deny"
    assert decision(given, "X=1") == "deny"
    assert decision(given, "", tool="cluster_status") == "deny"


def test_nodes_by_name_and_group(tmp_path: Path) -> None:
    given = policy(tmp_path, "rules:\n- {decision: deny, nodes: ['pi*', production], reason: not these}\n")
    assert given.looks_at_nodes
    assert decision(given, "true", "pi1") == "deny"
    assert decision(given, "true", "n1", ("production",)) == "deny"
    assert decision(given, "true", "n1", ("builders",)) == "allow"


def test_tools(tmp_path: Path) -> None:
    given = policy(tmp_path, "rules:\n- {decision: deny, tools: [job_kill]}\n")
    assert decision(given, "", tool="job_kill") == "deny"
    assert decision(given, "", tool="job_output") == "allow"


def test_without_the_built_in_rules(tmp_path: Path) -> None:
    assert decision(policy(tmp_path, "built_in: false\n"), "rm -rf /") == "allow"


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ("defualt: ask\n", ":1", "default"),
        ("default: maybe\n", ":1", "no decision"),
        ("rules:\n- {programs: [rm]}\n", ":2", "decision"),
        ("rules:\n- decision: deny\n", ":2", "says nothing"),
        ("rules:\n- decision: deny\n  program: [rm]\n", ":3", "programs"),
        ("rules:\n- decision: deny\n  programs: {}\n", ":3", "list of texts"),
        ("rules:\n- decision: deny\n  programs: [rm]\n  unless: {flag: [-r]}\n", ":4", "flags"),
        ("rules: all\n", ":1", "list"),
        ("rules: [deny]\n", ":1", "mapping"),
        ("- deny\n", ":1", "mapping"),
        ("built_in: no way\n", ":1", "true or false"),
        ("rules:\n- {decision: deny, programs: ['@nothing']}\n", ":2", "no set"),
    ],
)
def test_a_bad_file_is_said_with_its_line(tmp_path: Path, text: str, where: str, why: str) -> None:
    with pytest.raises(BadFile) as said:
        policy(tmp_path, text)
    assert f"{FILE}{where}" in str(said.value)
    assert why in str(said.value)


def test_the_example_of_the_readme(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    example = next(part for part in readme.split("```") if part.startswith("yaml\ndefault:"))
    given = policy(tmp_path, example.removeprefix("yaml\n"))
    assert decision(given, "make", "pi1") == "deny"
    assert decision(given, "rm -rf src") == "allow"
    assert decision(given, "rm -rf /etc") == "deny"
