# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a command line needs, by the rules that apply to its parts.

A line of several commands needs what its parts need, taken together. Where parts need both Linux and macOS
it can run nowhere, and that is a conflict; but not where only one of them is wanted (the two sides of an
`if`, or of `brew … || apt …`).

What a command is about is said by its rules, by its program's name and, where a rule says so
(`describes`), by its words. Other arguments are data and say nothing: neither `echo make` nor
`git commit -m "fix docker"` needs anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import reduce
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils.invocations import Invocation, any_fits, invocations, spoken
from ansible_collections.toft.fleet.plugins.plugin_utils.rulebook import CONDITIONS, SYSTEMS, Profile, Rule, Rules
from ansible_collections.toft.fleet.plugins.plugin_utils.shell import Command, CommandLine


@dataclass(frozen=True, slots=True)
class Matched:
    """A rule that applies, the words for which it does, and what it made of them."""

    rule: str
    words: str
    os: str | None = None
    capabilities: tuple[str, ...] = ()
    heavy: bool = False
    topics: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.words} ({self.rule})"


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a command line needs.

    `words`: what it says of itself in plain language, to be compared with preferences and specializations
    that no rule knows. `programs`: those that it finds by their name, if the node has them. `conflicts`:
    pairs of parts of which one node cannot have both; `os` is None then.
    """

    os: str | None = None
    capabilities: tuple[str, ...] = ()
    heavy: bool = False
    topics: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    profile: Profile = field(default_factory=Profile)
    matched: tuple[Matched, ...] = ()
    conflicts: tuple[tuple[Matched, Matched], ...] = ()
    command: str = ""


def requirement(line: CommandLine, rules: Rules) -> Requirement:
    """What this line needs, all its parts together."""
    parts = [_part(command, rules) for command in line.commands]
    matched = tuple(dict.fromkeys(each for part in parts for each in part.matched))
    found = [(each, part.command) for part in parts for each in part.matched if each.os]
    linux, macos = ([pair for pair in found if pair[0].os == system] for system in SYSTEMS)
    clashes = [(a, b) for a, one in linux for b, other in macos if not _either(one, other)]
    topics = tuple(dict.fromkeys(topic for part in parts for topic in part.topics))
    return Requirement(
        os=None if linux and macos else "linux" if linux else "macos" if macos else None,
        capabilities=tuple(dict.fromkeys(c for each in matched for c in each.capabilities)),
        heavy=any(each.heavy for each in matched),
        topics=topics,
        programs=tuple(dict.fromkeys(program for part in parts for program in part.programs)),
        words=tuple(dict.fromkeys(word for part in parts for word in part.words)),
        profile=_leaning(parts, topics, rules),
        matched=matched,
        conflicts=tuple(dict.fromkeys(clashes)),
        command=line.text,
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """What one command of a line needs."""

    command: Command
    matched: tuple[Matched, ...]
    topics: tuple[str, ...]
    programs: tuple[str, ...]
    words: tuple[str, ...]
    profile: Profile


def _part(command: Command, rules: Rules) -> _Part:
    found = list(invocations(command, rules))
    own = [each for each in found if each.own and not each.asks]
    applying = [(rule, each, why) for each in found for rule, why in _applying(each, rules)]
    words = [word for each in own if each.program not in rules.unspoken for word in spoken(each.name)]
    words += [word for rule, each, _why in applying if rule.describes and each in own for word in each.said]
    matched = [_matched(rule, each, why) for rule, each, why in applying if _imposes(rule)]
    topics = [topic for each in matched for topic in each.topics]
    topics += [rules.topics.canonical[word] for word in words if word in rules.topics.canonical]
    return _Part(
        command=command,
        matched=tuple(matched),
        topics=tuple(dict.fromkeys(topics)),
        programs=tuple(each.program for each in found if each.own and each.path == each.program),
        words=tuple(words),
        profile=reduce(Profile.joined, (rule.profile for rule, _each, _why in applying), Profile()),
    )


def _applying(invocation: Invocation, rules: Rules) -> Iterator[tuple[Rule, str]]:
    for rule in _candidates(invocation, rules):
        why = _applies(rule, invocation)
        if why is not None:
            yield rule, why


def _matched(rule: Rule, invocation: Invocation, why: str) -> Matched:
    """`docker --version` needs docker, but is no work about anything."""
    heavy, topics = (False, ()) if invocation.asks else (rule.heavy, rule.topics)
    return Matched(rule.name, why, rule.os, rule.capabilities, heavy, topics)


def _imposes(rule: Rule) -> bool:
    """Whether it does more than to let words speak."""
    return bool(rule.os or rule.capabilities or rule.heavy or rule.topics)


def _either(one: Command, other: Command) -> bool:
    """Whether only one of the two is wanted."""
    forks = dict(one.place.branches)
    return any(forks.get(fork, side) != side for fork, side in other.place.branches)


def _leaning(parts: Iterable[_Part], topics: Iterable[str], rules: Rules) -> Profile:
    known = rules.topics.profiles
    leanings = [*(part.profile for part in parts), *(known[topic] for topic in topics if topic in known)]
    return reduce(Profile.joined, leanings, Profile())


# ---- matching ----------------------------------------------------------------


def _candidates(invocation: Invocation, rules: Rules) -> Iterator[Rule]:
    yield from rules.index.get(invocation.program, ())
    for programs, rule in rules.patterned:
        if programs.match(invocation.program) and invocation.program not in rule.when.programs:
            yield rule


def _applies(rule: Rule, invocation: Invocation) -> str | None:
    """The words for which it does."""
    found = []
    for key in CONDITIONS:
        patterns = getattr(rule.when, key)
        found.append(_stated(patterns, key, invocation) if patterns else "")
        if found[-1] is None:
            return None
    for key in (*CONDITIONS, "only"):
        patterns = getattr(rule.unless, key)
        if patterns and _stated(patterns, key, invocation) is not None:
            return None
    return " ".join(dict.fromkeys(words for words in found if words))


def _stated(patterns: Any, key: str, invocation: Invocation) -> str | None:
    """The words that satisfy one of the patterns."""
    match key:
        case "programs":
            return invocation.program if any_fits(patterns, invocation.program) else None
        case "subcommands":
            fitting = [each for each in patterns if _fits(each, invocation.operands)]
            return " ".join(invocation.operands[: len(fitting[0])]) if fitting else None
        case "arguments":
            return _first(patterns, invocation.operands)
        case "only":
            words = invocation.operands
            return " ".join(words) if words and all(any_fits(patterns, word) for word in words) else None
        case "flags":
            return _first(patterns, sorted(invocation.options))
        case "environment":
            return _first_variable(patterns, invocation.environment)
    return _first(patterns, invocation.redirects)


def _fits(phrase: tuple[str, ...], words: tuple[str, ...]) -> bool:
    if not phrase:
        return not words
    return len(words) >= len(phrase) and all(map(fnmatchcase, words, phrase))


def _first(patterns: Iterable[str], texts: Iterable[str]) -> str | None:
    return next((text for text in texts if any_fits(patterns, text)), None)


def _first_variable(patterns: Iterable[str], pairs: Iterable[str]) -> str | None:
    """NAME, whatever its value, or NAME=value."""
    for pair in pairs:
        name = pair.partition("=")[0]
        if any(fnmatchcase(pair if "=" in pattern else name, pattern) for pattern in patterns):
            return name
    return None
