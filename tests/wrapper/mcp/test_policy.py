"""What an agent may do: decided on the parsed command, whatever is wrapped around it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.shell import parse
from toft.fleet.policy import WORDS, Policy, Target, in_directory, judge, with_environment
from toft.fleet.policy_file import FILE, load
from toft.fleet.yaml_source import BadFile

CASES = json.loads((Path(__file__).parent / "cases/policy.json").read_text())
AROUND = json.loads((Path(__file__).parent / "cases/talked_around.json").read_text())
ELSEWHERE = Path("/nonexistent")
NO_RM = """\
rules:
- {decision: deny, programs: [rm], reason: nothing is removed here}
- {decision: ask, programs: [git], subcommands: [push], reason: it is published}
"""


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


@pytest.fixture(scope="module")
def no_rm(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    return policy(tmp_path_factory.mktemp("policy"), NO_RM)


@pytest.mark.parametrize(("said", "command"), [(said, command) for said in WORDS for command in AROUND[said]])
def test_talking_around_a_rule_that_denies_rm_and_asks_for_git_push(no_rm: Policy, said: str, command: str) -> None:
    """Those under `allow` are what cannot be told from the line; the README says so."""
    assert decision(no_rm, command) == said


@pytest.mark.parametrize("command", AROUND["everyday"])
def test_everyday_commands_are_not_in_the_way(no_rm: Policy, command: str) -> None:
    assert decision(no_rm, command) == "allow"


def test_the_directory_of_the_call_and_of_the_line(tmp_path: Path) -> None:
    text = "rules:\n- {decision: allow, programs: [rm], unless: {arguments: ['/*', '~*', '*..*']}}\n"
    given = policy(tmp_path, text)
    assert decision(given, "rm -rf build") == "allow"
    assert decision(given, "cd / && rm -rf etc") == "deny"
    assert decision(given, "cd ~ && rm -rf src") == "ask"
    assert decision(given, "cd sub && rm -rf src") == "allow"
    for directory, said in (("/", "deny"), ("sub", "allow"), ("~/x", "ask")):
        assert judge(given, Target("cluster_bash"), in_directory(parse("rm -rf etc"), directory)).decision == said
    assert decision(given, "cd ~/.ssh && echo key >> authorized_keys") == "ask"
    assert decision(given, "cd ~/.config/toft && cp /tmp/x mcp-policy.yaml") == "ask"


def test_what_only_a_shell_could_tell_is_not_allowed_by_its_arguments(tmp_path: Path) -> None:
    given = policy(tmp_path, "rules:\n- {decision: allow, programs: [rm], unless: {arguments: ['/*']}}\n")
    assert decision(given, "rm -rf src") == "allow"
    for hidden in ('rm -rf "$X"', "rm -rf $(cat list)", "rm -rf {/etc,x}", "rm -rf ~"):
        assert decision(given, hidden) != "allow", hidden


def test_an_option_may_take_the_next_word_or_not(tmp_path: Path) -> None:
    allowed = "{decision: allow, programs: [git, thing], subcommands: [status, get]}"
    given = policy(tmp_path, f"default: deny\nrules:\n- {allowed}\n")
    assert decision(given, "git -p status") == "allow"
    assert decision(given, "git -C sub --no-pager status") == "allow"
    assert decision(given, "thing get x") == "allow"
    assert decision(given, "thing -v get delete x") == "deny"
    assert decision(given, "git -c core.pager='rm -rf x' status") == "ask"
    built_in = load(ELSEWHERE)
    assert decision(built_in, "kubectl --as admin -v 9 delete ns prod") == "ask"
    assert decision(built_in, "kubectl -v 9 get pods") == "allow"


@pytest.mark.parametrize(
    "command",
    [
        "psql <<E\n" + "".join(f"rm {n}\n" for n in range(9000)) + "E",
        "awk 'x; rm " + "y" * 9000 + "'",
        "node -e '" + ";".join(f"git({n})" for n in range(200)) + "'",
        "git " + "-x a " * 3000 + "push",
    ],
    ids=["many lines", "a long one", "many places", "many options"],
)
def test_more_than_can_be_looked_at_asks(no_rm: Policy, command: str) -> None:
    assert decision(no_rm, command) == "ask"


@pytest.mark.parametrize("command", ["test '" + "[" * 50_000 + "'", "awk '" + "a/" * 50_000 + "'"], ids=["[", "/"])
def test_odd_texts_take_no_square_of_their_length(no_rm: Policy, command: str) -> None:
    """Nothing is measured: a square of it takes longer than anybody would wait for a test."""
    assert decision(no_rm, command) == "allow"


def test_whom_the_owner_allows_may_be_told_what_is_only_built_in(tmp_path: Path) -> None:
    given = policy(tmp_path, "rules:\n- {decision: allow, programs: [awk]}\n- {decision: deny, programs: [curl]}\n")
    assert decision(given, "awk 'BEGIN{x=\"sudo make\"}'") == "allow"
    assert decision(given, "awk 'BEGIN{x=\"curl x\"}'") == "ask"


def test_variables_around_the_call(no_rm: Policy) -> None:
    said_of = {"PAGER=rm x": "ask", "GIT_SSH=x": "ask", "X=$(rm x)": "ask", "PAGER=less": "allow"}
    for variable, said in said_of.items():
        env = dict([variable.split("=", 1)])
        assert judge(no_rm, Target("cluster_bash"), with_environment(parse("git log"), env)).decision == said


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
    assert decision(given, "true", "PI1") == "deny"
    assert decision(given, "true", "n1", ("Production",)) == "deny"
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
