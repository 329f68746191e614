"""What an agent may do with the fleet: allow, ask a person, or deny.

Whoever calls may have been talked into it by a text that it read (a log, a page, a node's output), so the
decision is made here, from the parsed command, and nothing that a caller can say changes it. A line is taken
apart as a shell would take it (`bash -lc`, `env`, `xargs`, `$(…)`, `eval`, here-documents), and each command in
it, and each wrapper around it, is judged by itself: the first rule that applies decides on it, the owner's rules
before the built-in ones (policy.yml), and of all of them the strictest word holds. Where a command can be read in
more than one way (`policy_readings`), or hands on a text that may be run (`policy_texts`), that is judged too.
What cannot be understood, or names its program only when it runs, asks.

It is a gate, no prison: what a script or a compiled program does when it runs cannot be read off its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

from ansible_collections.toft.fleet.plugins.plugin_utils import rules as known
from ansible_collections.toft.fleet.plugins.plugin_utils import shell

from toft.fleet import policy_readings, policy_texts
from toft.fleet.policy_texts import Texts
from toft.fleet.yaml_source import shown

Word = Literal["allow", "ask", "deny"]
WORDS: tuple[Word, ...] = ("allow", "ask", "deny")
"""From the mildest to the strictest."""
BUILT_IN = "built in"


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
    source: str = BUILT_IN
    reads_words: bool = False
    """Whether it looks at arguments: then it can allow nothing that only a shell could tell."""
    whatever_it_says: bool = False
    """Whether it looks at nothing but the program: then what that is told is the owner's own risk."""


@dataclass(frozen=True)
class Target:
    """Which tool is called, and on which node if that is known by now."""

    tool: str
    node: str | None = None
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """`command` is the part of a line that decided, `rule` what it fell under, `source` whose rule that is."""

    decision: Word
    reason: str = ""
    rule: str = ""
    command: str = ""
    source: str = BUILT_IN
    whatever_it_says: bool = False

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
    texts: Texts

    @property
    def looks_at_nodes(self) -> bool:
        return any(rule.nodes for rule in self.rules)

    def is_strict(self, name: str) -> bool:
        """Whether the rule of this name in `conditions` does not allow."""
        return self.rules[int(name)].decision != "allow"


def judge(policy: Policy, target: Target, line: shell.CommandLine | None = None) -> Verdict:
    """The strictest of what is said about the tool, and about each command of the line."""
    default = Verdict(policy.default, "no rule speaks of it")
    if line is None:
        return _first(policy, target, (), "") or default
    return max(_Judging(policy, target, default).line(line), key=lambda each: each.strictness, default=default)


def with_environment(line: shell.CommandLine, env: Mapping[str, str]) -> shell.CommandLine:
    """The line as it is with these variables around it: some of them name programs, or are run themselves."""
    added = tuple(shell.Assignment(name, shell.Word(value)) for name, value in env.items())
    return replace(line, commands=tuple(replace(c, assignments=added + c.assignments) for c in line.commands))


def in_directory(line: shell.CommandLine, directory: str) -> shell.CommandLine:
    """The line as it is if it starts there."""
    return replace(line, commands=tuple(policy_readings.entered(each, directory) for each in line.commands))


@dataclass(frozen=True)
class _Judging:
    """All that is to be said of a line; the strictest of it will hold."""

    policy: Policy
    target: Target
    default: Verdict

    def line(self, line: shell.CommandLine) -> Iterator[Verdict]:
        yield from _unreadable(line)
        for command in line.commands:
            for part, wraps in _parts(command):
                yield from self.part(part, wraps)
            yield from self.texts(command)

    def part(self, command: shell.Command, wraps: bool) -> Iterator[Verdict]:
        """As it is written; and read in another way, if a strict rule speaks of that."""
        verdict = self.first(command)
        # What a wrapper wraps is judged besides, so no rule is needed to let the wrapper through.
        yield from [verdict] if verdict else [] if wraps else [self.default]
        sure = policy_readings.is_sure(command, self.policy.conditions)
        for reading in policy_readings.others(command):
            verdict = self.first(reading)
            yield from [verdict] if verdict else [] if wraps or sure else [self.default]
        if policy_readings.is_open(command, self.policy.conditions, self.policy.is_strict):
            yield Verdict("ask", "what it is to do is not known before it runs", "unnamed (built in)", _shown(command))

    def texts(self, command: shell.Command) -> Iterator[Verdict]:
        """What is handed to another program. One that the owner allows unconditionally meets only the owner's rules."""
        allowed = self.first(replace(command, via=()))
        trusted = allowed is not None and allowed.decision == "allow" and allowed.whatever_it_says
        for why, text in policy_texts.suspicious(command, self.policy.texts):
            if not trusted:
                yield Verdict("ask", why, "text (built in)", shown(text, 200))
        names = policy_readings.strict_names(self.policy.conditions, self.policy.is_strict)
        try:
            for text in policy_texts.handed_on(command, self.policy.texts, names):
                found = self.spoken_of(text)
                if found and not (trusted and found.source == BUILT_IN):
                    why = f"a text in it may be run, and {found.reason}"
                    yield Verdict("ask", why, found.rule, shown(text, 200))
        except policy_texts.TooMuch:
            yield Verdict("ask", "it holds more text than can be looked at", "text (built in)", _shown(command))

    def spoken_of(self, text: str) -> Verdict | None:
        """The strictest that a rule says of this text, if it were run."""
        parts = [part for command in shell.parse(text).commands for part, _ in _parts(command)]
        found = [verdict for part in parts if (verdict := self.first(part)) and verdict.decision != "allow"]
        return max(found, key=lambda each: each.strictness, default=None)

    def first(self, command: shell.Command) -> Verdict | None:
        alone = shell.CommandLine("", (command,))
        matched = {int(each.rule) for each in known.requirement(alone, self.policy.conditions).matched}
        if not all(word.literal for word in command.argv):
            rules = self.policy.rules
            matched = {n for n in matched if rules[n].decision != "allow" or not rules[n].reads_words}
        return _first(self.policy, self.target, matched, _shown(command))


def _first(policy: Policy, target: Target, matched: Sequence[int] | set[int], command: str) -> Verdict | None:
    for number, rule in enumerate(policy.rules):
        if (number in matched or not rule.commands) and _speaks_of(rule, target):
            name = f"{rule.name} ({rule.source})"
            return Verdict(rule.decision, rule.reason, name, command, rule.source, rule.whatever_it_says)
    return None


def _speaks_of(rule: Rule, target: Target) -> bool:
    names = (target.node, *target.groups) if target.node else ()
    return _any(rule.tools, (target.tool,)) and _any(rule.nodes, names)


def _any(patterns: Sequence[str], names: Sequence[str]) -> bool:
    """Whatever the case: `MacPro51` and `macpro51` are nobody's two machines."""
    return not patterns or any(fnmatchcase(n.casefold(), p.casefold()) for n in names for p in patterns)


def _parts(command: shell.Command) -> Iterator[tuple[shell.Command, bool]]:
    """The command without its wrappers, and each wrapper as the command that it is itself (True)."""
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
        if command.argv and not policy_readings.is_named(command):
            why = "which program it runs is not known before it runs"
            yield Verdict("ask", why, "unnamed (built in)", _shown(command))


def _shown(command: shell.Command) -> str:
    redirects = (f"{each.op} {each.target.text}" for each in command.redirects if not each.op.startswith("<<"))
    return shown(" ".join((*command.words, *redirects)), 200)
