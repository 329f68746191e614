"""What commands need: cases/commands.json (shell lines), cases/argv.json (words without a shell).

A case lists the system, whether it is heavy, the capabilities (none if absent) and whether its parts
contradict each other. `topics`, where given, are among those found; an empty list means that there are none.
"""

from __future__ import annotations

import json
import random
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.rules import (
    Profile,
    Requirement,
    RuleError,
    built_in,
    load,
    requirement,
    with_user_rules,
)
from ansible_collections.toft.fleet.plugins.plugin_utils.shell import parse, parse_argv

HERE = Path(__file__).parent / "cases"
LINES = json.loads((HERE / "commands.json").read_text(encoding="utf-8"))
ARGVS = json.loads((HERE / "argv.json").read_text(encoding="utf-8"))


def needs(text: str, *user: dict[str, Any]) -> Requirement:
    return requirement(parse(text), with_user_rules(built_in(), user))


def check(found: Requirement, case: dict[str, Any]) -> None:
    told = [str(each) for each in found.matched]
    assert (found.os, found.heavy) == (case["os"], case["heavy"]), told
    assert sorted(found.capabilities) == case.get("capabilities", []), told
    assert bool(found.conflicts) == case.get("conflict", False), told
    if "topics" in case:
        assert set(case["topics"]) <= set(found.topics), told
        assert case["topics"] or not found.topics, found.topics


@pytest.mark.parametrize("case", LINES, ids=[json.dumps(case["command"])[1:51] for case in LINES])
def test_a_line(case: dict[str, Any]) -> None:
    check(needs(case["command"]), case)


@pytest.mark.parametrize("case", ARGVS, ids=[json.dumps(case["argv"])[:50] for case in ARGVS])
def test_an_argv(case: dict[str, Any]) -> None:
    check(requirement(parse_argv(case["argv"]), built_in()), case)


def test_the_table_is_balanced() -> None:
    plain = [c for c in LINES if not (c["os"] or c["heavy"] or c.get("capabilities") or c.get("conflict"))]
    assert len(LINES) >= 300
    assert len(plain) >= 0.4 * len(LINES)
    assert len({case["command"] for case in LINES}) == len(LINES)


# ---- what holds for every line -------------------------------------------------


def demands(found: Requirement) -> tuple[Any, ...]:
    return found.os, found.heavy, sorted(found.capabilities), bool(found.conflicts)


def test_a_line_needs_the_same_within_a_shell() -> None:
    """However it is quoted, and whoever starts the shell."""
    for case in LINES:
        line, plain = case["command"], demands(needs(case["command"]))
        assert demands(needs(f"bash -c {shlex.quote(line)}")) == plain, line
        assert demands(needs(f"sudo -u x sh -lc {shlex.quote(line)} arg")) == plain, line
        assert demands(requirement(parse_argv(["env", "A=b", "bash", "-c", line]), built_in())) == plain, line


def test_a_line_that_is_only_text_needs_nothing() -> None:
    nothing = demands(Requirement())
    for case in LINES:
        line = case["command"]
        assert demands(needs(f"echo {shlex.quote(line)}")) == nothing, line
        assert demands(needs(f"git commit -m {shlex.quote(line)}")) == nothing, line
        assert demands(needs(f"cat <<'THE_END' > notes\n{line}\nTHE_END\nls")) == nothing, line
        assert demands(requirement(parse_argv(["grep", "-r", line, "."]), built_in())) == nothing, line


def test_a_list_needs_what_its_parts_need() -> None:
    chance = random.Random(5)
    simple = [case["command"] for case in LINES if re.fullmatch(r"[\w ./:@%+,-]+", case["command"])]
    simple = [line for line in simple if line.split()[0] not in ("exec", "cd", "set", "alias")]
    for _ in range(1000):
        one, other = chance.choice(simple), chance.choice(simple)
        parts, both = (needs(one), needs(other)), needs(f"{one} {chance.choice(['&&', ';', '|', '&'])} {other}")
        assert both.heavy == any(part.heavy for part in parts), (one, other)
        assert set(both.capabilities) == {c for part in parts for c in part.capabilities}, (one, other)
        systems = {part.os for part in parts} - {None}
        assert both.os == (systems.pop() if len(systems) == 1 else None), (one, other)
        assert bool(both.conflicts) == ({part.os for part in parts} == {"linux", "macos"}), (one, other)


# ---- what a requirement tells ------------------------------------------------


def test_it_says_what_matched() -> None:
    found = needs("cd api && docker compose -f prod.yml build web")
    assert [str(each) for each in found.matched] == [
        "docker (docker)",
        "docker compose build (image_builds)",
    ]
    assert found.command == "cd api && docker compose -f prod.yml build web"


def test_a_conflict_names_both_parts() -> None:
    found = needs("xcodebuild && docker ps")
    ((linux, macos),) = {(a.words, b.words) for a, b in found.conflicts}
    assert (linux, macos) == ("docker", "xcodebuild")
    assert found.os is None


def test_capabilities_add_up() -> None:
    assert needs("docker run --gpus all x; podman ps").capabilities == ("docker", "gpu", "podman")


def test_the_profile_is_the_strongest_of_all_parts() -> None:
    known = built_in().profiles
    assert needs("ls").profile == Profile()
    assert needs("make").profile == known["compile"]
    assert needs("make & docker build .").profile == known["compile"].joined(known["image"])
    assert needs("gummy task 'build the api'").profile == known["serve"]


def test_words_say_what_the_work_is_about_only_where_they_are_language() -> None:
    assert {"member", "payments"} <= set(needs("claude -p 'Fix the member payments page'").words)
    assert "payments" in needs("python tools/payments.py").words
    assert "payments" in needs("make payments").words
    assert "payments" not in needs("cat payments.py; git commit -m payments; ls payments; echo payments").words


def test_programs_are_those_found_by_name() -> None:
    assert needs("make && ./configure && /usr/bin/gcc x.c && yarn jest").programs == ("make", "yarn", "jest")


# ---- a user's rules ------------------------------------------------------------


def test_a_rule_adds() -> None:
    rule = {
        "name": "ours",
        "programs": ["ship-*"],
        "os": "linux",
        "capabilities": ["vpn"],
        "topics": ["Shop"],
    }
    found = needs("sudo ./ship-it now", rule)
    assert (found.os, found.capabilities, found.topics) == ("linux", ("vpn",), ("shop",))
    assert needs("ship now", rule).os is None


def test_a_rule_with_the_name_of_a_built_in_one_takes_its_place() -> None:
    assert needs("make").heavy
    assert not needs("make", {"name": "make", "programs": ["make"], "heavy": False}).heavy
    assert needs("brew install jq", {"name": "homebrew", "programs": ["brew"], "os": "linux"}).os == "linux"


def test_of_two_with_one_name_the_first_counts() -> None:
    near = {"name": "x", "programs": ["x"], "os": "linux"}
    far = {"name": "x", "programs": ["x"], "os": "macos"}
    assert needs("x", near, far).os == "linux"


@pytest.mark.parametrize(
    ("rule", "applies", "not_these"),
    [
        ({"programs": ["t"]}, ["t", "/x/t -v", "sudo t"], ["tt", "echo t"]),
        ({"programs": ["t*", "[ab]"]}, ["tool", "a"], ["c"]),
        ({"programs": ["t"], "subcommands": ["a b"]}, ["t a b", "t -x a --y b c"], ["t b a", "t a", "t"]),
        ({"programs": ["t"], "subcommands": [""]}, ["t", "t -x"], ["t a"]),
        ({"programs": ["t"], "subcommands": ["run @heavy_task"]}, ["t run build"], ["t run dev", "t build"]),
        ({"programs": ["t"], "arguments": ["*.c"]}, ["t a.c", "t x a.c"], ["t a.h", "t --x=a.c"]),
        (
            {"programs": ["t"], "flags": ["--x"]},
            ["t --x", "t a --x=1", "t --x 1"],
            ["t x", "t -- --x", "t --xx"],
        ),
        ({"programs": ["t"], "flags": ["--x=a*"]}, ["t --x=ab", "t --x ab"], ["t --x", "t --x b"]),
        ({"environment": ["X"]}, ["X=1 t", "env X=2 t", "X= t"], ["t X=1", "XX=1 t"]),
        ({"environment": ["X=1"]}, ["X=1 t"], ["X=2 t"]),
        ({"redirects": ["/dev/x*"]}, ["t > /dev/x1", "{ t; } < /dev/x"], ["t /dev/x", "cat <<< /dev/x"]),
        ({"programs": ["t"], "unless": {"flags": ["-n"]}}, ["t", "t -m"], ["t -n", "t a -n"]),
        ({"programs": ["t"], "unless": {"only": ["a", "b"]}}, ["t", "t a c"], ["t a", "t b a"]),
        ({"programs": ["t"], "unless": {"subcommands": ["a"]}}, ["t b a"], ["t a", "t a b"]),
        ({"programs": ["t"], "unless": {"arguments": ["a"]}}, ["t b"], ["t b a"]),
    ],
)
def test_conditions(rule: dict[str, Any], applies: list[str], not_these: list[str]) -> None:
    whole = {"name": "ours", "capabilities": ["ours"], **rule}
    assert [text for text in applies if "ours" not in needs(text, whole).capabilities] == []
    assert [text for text in not_these if "ours" in needs(text, whole).capabilities] == []


@pytest.mark.parametrize(
    ("rule", "key", "words"),
    [
        ("make", "", "must be a mapping"),
        (None, "", "must be a mapping"),
        ({"programs": ["x"], "heavy": True}, "name", "needs a name"),
        ({"name": 7, "programs": ["x"], "heavy": True}, "name", "needs a name"),
        ({"name": "x", "program": ["x"], "heavy": True}, "program", "no key here"),
        ({"name": "x", "heavy": True}, "", "nothing about the command"),
        ({"name": "x", "programs": ["x"]}, "", "nothing that the command would need"),
        ({"name": "x", "programs": [], "heavy": True}, "", "nothing about the command"),
        ({"name": "x", "programs": ["x"], "os": "windows"}, "os", "no system"),
        ({"name": "x", "programs": ["x"], "os": ["linux"]}, "os", "no system"),
        ({"name": "x", "programs": ["x"], "heavy": "yes"}, "heavy", "true or false"),
        ({"name": "x", "programs": ["x"], "heavy": 1}, "heavy", "true or false"),
        ({"name": "x", "programs": [1], "heavy": True}, "programs", "list of texts"),
        ({"name": "x", "programs": {"x": 1}, "heavy": True}, "programs", "list of texts"),
        ({"name": "x", "programs": ["x"], "topics": [None]}, "topics", "list of texts"),
        ({"name": "x", "programs": ["x"], "unless": ["x"], "heavy": True}, "unless", "mapping"),
        ({"name": "x", "programs": ["x"], "unless": {"os": "x"}, "heavy": True}, "unless.os", "no key here"),
        ({"name": "x", "programs": ["x"], "profile": "quick"}, "profile", "no profile"),
        ({"name": "x", "programs": ["x"], "profile": 3}, "profile", "name or a mapping"),
        ({"name": "x", "programs": ["x"], "profile": {"gpu": 1}}, "profile.gpu", "no key here"),
        ({"name": "x", "programs": ["x"], "profile": {"cpu": 2}}, "profile.cpu", "from 0 to 1"),
        ({"name": "x", "programs": ["x"], "profile": {"cpu": True}}, "profile.cpu", "from 0 to 1"),
        ({"name": "x", "programs": ["x"], "profile": {"cpu": float("nan")}}, "profile.cpu", "from 0 to 1"),
        ({"name": "x", "programs": ["@nothing"], "heavy": True}, "@nothing", "no set"),
        ({"name": "x", True: 1, "programs": ["x"], "heavy": True}, "True", "no key here"),
    ],
)
def test_what_is_no_rule_is_said(rule: Any, key: str, words: str) -> None:
    fine = {"name": "fine", "programs": ["fine"], "heavy": True}
    with pytest.raises(RuleError) as caught:
        with_user_rules(built_in(), [fine, rule])
    error = caught.value
    assert (error.index, error.key) == (1, key)
    assert words in error.problem
    assert str(error).startswith("rules[1]")


def test_an_error_says_what_is_allowed() -> None:
    with pytest.raises(RuleError) as caught:
        with_user_rules(built_in(), [{"name": "x", "programs": ["x"], "os": "bsd"}])
    assert str(caught.value) == "rules[0] (x): os: 'bsd' is no system; allowed: linux, macos"


def test_a_users_rule_may_use_the_sets_and_profiles() -> None:
    rule = {
        "name": "ours",
        "programs": ["t"],
        "arguments": ["@heavy_task"],
        "heavy": True,
        "profile": "compile",
    }
    found = needs("t x test:unit", rule)
    assert (found.heavy, found.profile) == (True, built_in().profiles["compile"])


# ---- the built-in rules ----------------------------------------------------------


def test_every_built_in_rule_has_a_name_of_its_own_and_profiles_within_bounds() -> None:
    rules = built_in()
    names = [rule.name for rule in rules.rules]
    assert len(names) == len(set(names)) > 100
    parts = [part for each in rules.profiles.values() for part in (each.cpu, each.memory, each.io)]
    assert all(0 <= part <= 1 for part in parts)


def test_a_document_of_rules_is_read_alone() -> None:
    rules = load({"rules": [{"name": "x", "programs": ["x"], "heavy": True}]})
    assert requirement(parse("x && make"), rules).heavy
    assert not requirement(parse("make"), rules).heavy


def test_a_sentence_is_no_path() -> None:
    assert needs("'git checkout build/docker' x").os is None
    assert needs("'/opt/my tools/docker' ps").os == "linux"


def test_the_seeds_own_examples() -> None:
    """The patterns and commands in the documents that toft grew out of."""
    for text in ("docker ps", "podman ps", "apt update", "yum update", "systemctl status", "journalctl -f"):
        assert needs(text).os == "linux", text
    for text in ("make", "cargo build", "go build", "npm run build", "pytest", "jest", "gradle build"):
        assert needs(text).heavy, text
    assert needs("docker build -t myapp .").os == "linux"
    assert needs("python analyze.py").topics == ("analysis",)
    assert needs("gummy task 'optimize database queries'").topics == ("database",)
