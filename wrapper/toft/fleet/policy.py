"""What an agent may do with the fleet: allow, ask a person, or deny.

Whoever calls may have been talked into it by a text that it read (a log, a page, a node's output), so the
decision is made here, from the parsed command, and nothing that a caller can say changes it. A line is taken
apart as a shell would take it (`bash -lc`, `env`, `xargs`, `$(…)`, `eval`, here-documents), and each command in
it, and each wrapper around it, is judged by itself: the first rule that applies decides on it, the owner's rules
before the built-in ones (policy.yml), and of all of them the strictest word holds. What cannot be understood,
or names its program only when it runs, asks.

It is a gate, no prison: what a script or a compiled program does when it runs cannot be read off its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, cast

import yaml
from ansible_collections.toft.fleet.plugins.plugin_utils import rules as known
from ansible_collections.toft.fleet.plugins.plugin_utils import shell

from toft.fleet.settings_keys import only, text, texts
from toft.fleet.yaml_source import Place, did_you_mean, read, shown

Word = Literal["allow", "ask", "deny"]
WORDS: tuple[Word, ...] = ("allow", "ask", "deny")
"""From the mildest to the strictest."""
OWN_KEYS = ("decision", "tools", "nodes", "reason")
FILE = "mcp-policy.yaml"


@dataclass(frozen=True)
class Rule:
    """`nodes` are patterns of names and groups, `tools` of tools; empty: all. `commands`: it speaks of commands
    only (its conditions are in `Policy.conditions`, under its number)."""

    name: str
    decision: Word
    reason: str = ""
    tools: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    commands: bool = True
    source: str = "built in"


@dataclass(frozen=True)
class Target:
    """Which tool is called, and on which node if that is known by now."""

    tool: str
    node: str | None = None
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """`command` is the part of a line that decided, `rule` what it fell under."""

    decision: Word
    reason: str = ""
    rule: str = ""
    command: str = ""

    @property
    def strictness(self) -> int:
        return WORDS.index(self.decision)


@dataclass(frozen=True)
class Policy:
    """Rules, the owner's first; `default` is for what no rule speaks of."""

    default: Word
    rules: tuple[Rule, ...]
    conditions: known.Rules
    file: Path

    @property
    def looks_at_nodes(self) -> bool:
        return any(rule.nodes for rule in self.rules)


def judge(policy: Policy, target: Target, line: shell.CommandLine | None = None) -> Verdict:
    """The strictest of what is said about the tool, and about each command of the line."""
    default = Verdict(policy.default, "no rule speaks of it")
    always = [i for i, rule in enumerate(policy.rules) if not rule.commands]
    if line is None:
        return _first(policy, target, always, "") or default
    about = list(_unreadable(line))
    for command, wraps in _parts(line):
        candidates = sorted({*always, *_matching(policy, command)})
        verdict = _first(policy, target, candidates, _shown(command))
        # What a wrapper wraps is judged besides, so no rule is needed to let the wrapper through.
        about += [verdict] if verdict else [] if wraps else [default]
    return max(about, key=lambda verdict: verdict.strictness, default=default)


def with_environment(line: shell.CommandLine, env: Mapping[str, str]) -> shell.CommandLine:
    """The line as it is with these variables around it: some of them name programs, or are run themselves."""
    added = tuple(shell.Assignment(name, shell.Word(value)) for name, value in env.items())
    return replace(line, commands=tuple(replace(c, assignments=added + c.assignments) for c in line.commands))


def _first(policy: Policy, target: Target, candidates: Sequence[int], command: str) -> Verdict | None:
    for rule in (policy.rules[i] for i in candidates):
        if _speaks_of(rule, target):
            return Verdict(rule.decision, rule.reason, f"{rule.name} ({rule.source})", command)
    return None


def _speaks_of(rule: Rule, target: Target) -> bool:
    names = (target.node, *target.groups) if target.node else ()
    return _any(rule.tools, (target.tool,)) and _any(rule.nodes, names)


def _any(patterns: Sequence[str], names: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _matching(policy: Policy, command: shell.Command) -> set[int]:
    alone = shell.CommandLine("", (command,))
    return {int(each.rule) for each in known.requirement(alone, policy.conditions).matched}


def _parts(line: shell.CommandLine) -> Iterator[tuple[shell.Command, bool]]:
    """Each command without its wrappers, and each wrapper as the command that it is itself (True)."""
    for command in line.commands:
        yield replace(command, argv=command.argv or (shell.Word(":"),), via=()), False
        for at in range(len(command.via)):
            words = tuple(word for each in command.via[at:] for word in each) + command.argv
            yield replace(command, argv=words, via=()), True


_STARTS_WITH = re.compile(r"\b(?:BASH_ENV|BASH_FUNC_\w*|PROMPT_COMMAND|LD_PRELOAD|LD_AUDIT|DYLD_INSERT_LIBRARIES)\b")
"""What a shell or loader runs besides. Looked for in the text: a wrapper's variables are not known inside it."""


def _unreadable(line: shell.CommandLine) -> Iterator[Verdict]:
    if _STARTS_WITH.search(line.text):
        yield Verdict("ask", "a variable makes programs run something else", "variables (built in)", shown(line.text))
    if line.errors:
        yield Verdict("ask", "a part of it could not be understood", "unreadable (built in)", shown(line.text))
    for command in line.commands:
        if command.argv and not _is_named(command.argv[0]):
            why = "which program it runs is not known before it runs"
            yield Verdict("ask", why, "unnamed (built in)", _shown(command))


def _is_named(word: shell.Word) -> bool:
    return word.literal or word.text.startswith(("$(which ", "$(command -v "))


def _shown(command: shell.Command) -> str:
    redirects = (f"{each.op} {each.target.text}" for each in command.redirects if not each.op.startswith("<<"))
    return shown(" ".join((*command.words, *redirects)), 200)


# ---- the owner's file --------------------------------------------------------


def load(directory: Path) -> Policy:
    """The built-in rules, and before them those of `mcp-policy.yaml` in the configuration. Raises BadFile."""
    path = directory / FILE
    document = yaml.safe_load(Path(__file__).with_name("policy.yml").read_text())
    mine = [(_built_in(entry), _conditions(entry)) for entry in document["rules"]]
    base = _vocabulary(document)
    place = Place(read(path)) if path.exists() or path.is_symlink() else None
    given = only(place, ("default", "built_in", "rules")) if place and place.value is not None else {}
    default = decision(given["default"]) if "default" in given else "allow"
    owners = [_rule(child) for _, child in given["rules"].children()] if "rules" in given else []
    if "rules" in given:
        _check(given["rules"], base)
    keeps = "built_in" not in given or _truth(given["built_in"])
    return _policy(default, [*owners, *(mine if keeps else ())], base, path)


def _policy(default: Word, pairs: list[tuple[Rule, Mapping[str, Any]]], base: known.Rules, path: Path) -> Policy:
    spoken = [
        {"name": str(i), "topics": ["policy"], **conditions}
        for i, (rule, conditions) in enumerate(pairs)
        if rule.commands
    ]
    return Policy(default, tuple(rule for rule, _ in pairs), known.with_user_rules(base, spoken), path)


def _vocabulary(document: Mapping[str, Any]) -> known.Rules:
    """No rules yet, but how the words of programs are to be read, and the sets that a rule may name."""
    built_in = known.built_in()
    ours = known.load({"rules": [], "syntax": document["syntax"], "sets": document["sets"]})
    sets = {**built_in.sets, **ours.sets}
    return replace(built_in, rules=(), syntax=(*ours.syntax, *built_in.syntax), sets=sets, index={}, patterned=())


def _conditions(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key in (*known.CONDITIONS, "unless")}


def _built_in(entry: Mapping[str, Any]) -> Rule:
    return Rule(entry["name"], entry["decision"], entry["reason"])


def _rule(place: Place) -> tuple[Rule, Mapping[str, Any]]:
    given = only(place, ("name", *OWN_KEYS, *known.CONDITIONS, "unless"))
    if "decision" not in given:
        raise place.bad("says no decision", "decision: allow, ask or deny")
    conditions = _conditions({key: child.value for key, child in given.items()})
    rule = Rule(
        name=text(given["name"]) if "name" in given else f"rule {int(str(place.path[-1])) + 1}",
        decision=decision(given["decision"]),
        reason=text(given["reason"]) if "reason" in given else "the owner's rule",
        tools=texts(given["tools"]) if "tools" in given else (),
        nodes=texts(given["nodes"]) if "nodes" in given else (),
        commands=bool(conditions),
        source=place.label,
    )
    if not conditions and not rule.tools and not rule.nodes:
        raise place.bad("says nothing about a command, a tool or a node", "to say it of all: default: deny")
    return rule, conditions


def _check(place: Place, base: known.Rules) -> None:
    """The conditions are judged by who applies them; a complaint gets its line."""
    if not isinstance(place.value, list):
        raise place.bad("must be a list of rules")
    for index, child in place.children():
        conditions = _conditions(cast("Mapping[str, Any]", child.value))
        if not conditions:
            continue
        try:
            known.with_user_rules(base, [{"name": "x", "topics": ["policy"], **conditions}])
        except known.RuleError as error:
            steps = tuple(error.key.split(".")) if error.key else ()
            fix = did_you_mean(error.key.rpartition(".")[2], error.allowed) if error.allowed else ""
            raise Place(place.document, (*place.path, index, *steps)).bad(shown(error.problem, 200), fix) from error


def decision(place: Place) -> Word:
    if place.value not in WORDS:
        raise place.bad(f"{shown(place.value)} is no decision", did_you_mean(place.value, WORDS))
    return place.value


def _truth(place: Place) -> bool:
    if not isinstance(place.value, bool):
        raise place.bad(f"must be true or false, not {shown(place.value)}")
    return place.value
