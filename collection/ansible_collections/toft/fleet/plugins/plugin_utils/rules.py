# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a command needs: a system, capabilities, strong machines; and what it is about.

The knowledge is data: `rules.yml` beside this file, whose head explains its keys. Here it is read, checked
and applied. A user's own rules have the same form; they add to the built-in ones, and one with the same name
takes a built-in one's place.

A line of several commands needs what its parts need, taken together. Where parts need both Linux and macOS
it can run nowhere, and that is a conflict; but not where only one of them is wanted (the two sides of an
`if`, or of `brew … || apt …`).

What a command is about is said by its rules, by its program's name and, where a rule says so
(`describes`), by its words. Other arguments are data and say nothing: neither `echo make` nor
`git commit -m "fix docker"` needs anything.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase, translate
from functools import cache, reduce
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.toft.fleet.plugins.plugin_utils.shell import (
    Command,
    CommandLine,
    Redirect,
    Word,
    program_name,
)

SYSTEMS = ("linux", "macos")
HELP = ("--help", "--version")


class RuleError(Exception):
    """A rule is not one. `index` counts from 0 in the list it stands in; `key` is what is wrong in it."""

    def __init__(self, index: int, name: str, key: str, problem: str, allowed: Sequence[str] = ()) -> None:
        self.index, self.name, self.key = index, name, key
        self.problem, self.allowed = problem, tuple(allowed)
        hint = f"; allowed: {', '.join(self.allowed)}" if self.allowed else ""
        called = f" ({name})" if name else ""
        super().__init__(f"rules[{index}]{called}: {key + ': ' if key else ''}{problem}{hint}")


# ---- values ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Profile:
    """What work leans on, each 0 to 1."""

    cpu: float = 0.0
    memory: float = 0.0
    io: float = 0.0

    def joined(self, other: Profile) -> Profile:
        return Profile(max(self.cpu, other.cpu), max(self.memory, other.memory), max(self.io, other.io))


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is stated about a command; see the head of rules.yml. Empty: nothing is."""

    programs: tuple[str, ...] = ()
    subcommands: tuple[tuple[str, ...], ...] = ()
    arguments: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    redirects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    when: Conditions
    unless: Conditions = Conditions()
    os: str | None = None
    capabilities: tuple[str, ...] = ()
    heavy: bool = False
    topics: tuple[str, ...] = ()
    profile: Profile = Profile()
    describes: bool = False


@dataclass(frozen=True, slots=True)
class Syntax:
    """How the words of a program are to be read; see rules.yml."""

    values: frozenset[str] = frozenset()
    clusters: bool = False
    skip: tuple[str, ...] = ()
    carries: bool = False
    stops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Topics:
    """`canonical`: a word to the topic that it means."""

    canonical: Mapping[str, str] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=dict)

    def of(self, word: str) -> str:
        return self.canonical.get(word, word)


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules, the stronger first; built once, then only read."""

    rules: tuple[Rule, ...]
    topics: Topics
    syntax: tuple[tuple[re.Pattern[str], Syntax], ...]
    unspoken: frozenset[str]
    sets: Mapping[str, tuple[str, ...]]
    profiles: Mapping[str, Profile]
    index: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    patterned: tuple[tuple[re.Pattern[str], Rule], ...] = ()


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
    profile: Profile = Profile()
    matched: tuple[Matched, ...] = ()
    conflicts: tuple[tuple[Matched, Matched], ...] = ()
    command: str = ""


# ---- reading -----------------------------------------------------------------


@cache
def built_in() -> Rules:
    """The rules that come with the collection."""
    text = Path(__file__).with_name("rules.yml").read_text(encoding="utf-8")
    return load(yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def load(document: Mapping[str, Any]) -> Rules:
    """The whole of rules.yml. Raises RuleError."""
    profiles = {name: Profile(**value) for name, value in document.get("profiles", {}).items()}
    sets = {name: tuple(words) for name, words in document.get("sets", {}).items()}
    found = Rules(
        rules=(),
        topics=_topics(document.get("topics", {}), profiles),
        syntax=tuple(_syntaxes(document.get("syntax", ()))),
        unspoken=frozenset(document.get("unspoken", ())),
        sets=sets,
        profiles=profiles,
    )
    return _indexed(found, [_Reading(found, i, rule).rule() for i, rule in enumerate(document["rules"])])


def with_user_rules(rules: Rules, user: Sequence[Any]) -> Rules:
    """A configuration's rules before the others; of two with one name the first counts. Raises RuleError."""
    own = [_Reading(rules, index, rule).rule() for index, rule in enumerate(user)]
    return _indexed(rules, [*own, *rules.rules]) if own else rules


def _indexed(rules: Rules, found: Iterable[Rule]) -> Rules:
    by_name: dict[str, Rule] = {}
    for rule in found:
        by_name.setdefault(rule.name, rule)
    index: dict[str, list[Rule]] = {}
    patterned: list[tuple[re.Pattern[str], Rule]] = []
    for rule in by_name.values():
        plain = {program for program in rule.when.programs if not _is_pattern(program)}
        for program in plain:
            index.setdefault(program, []).append(rule)
        if len(plain) < len(set(rule.when.programs)) or not rule.when.programs:
            patterned.append((_alternatives(rule.when.programs or ("*",)), rule))
    told = {program: tuple(each) for program, each in index.items()}
    return replace(rules, rules=tuple(by_name.values()), index=told, patterned=tuple(patterned))


def _is_pattern(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _alternatives(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(pattern) for pattern in patterns))


def _topics(document: Mapping[str, Any], profiles: Mapping[str, Profile]) -> Topics:
    canonical = {word: name for name, topic in document.items() for word in topic.get("words", ())}
    leanings = {name: profiles[topic["profile"]] for name, topic in document.items() if "profile" in topic}
    return Topics(canonical | {name: name for name in document}, leanings)


def _syntaxes(document: Sequence[Mapping[str, Any]]) -> Iterator[tuple[re.Pattern[str], Syntax]]:
    for entry in document:
        syntax = Syntax(
            values=frozenset(entry.get("values", ())),
            clusters=entry.get("clusters", False),
            skip=tuple(entry.get("skip", ())),
            carries=entry.get("carries", False),
            stops=tuple(entry.get("stops", ())),
        )
        yield _alternatives(entry["programs"]), syntax


CONDITIONS = ("programs", "subcommands", "arguments", "flags", "environment", "redirects")
EFFECTS = ("os", "capabilities", "heavy", "topics", "profile", "describes")
KEYS = ("name", *CONDITIONS, "unless", *EFFECTS)


class _Reading:
    """One rule of a list, from data of which nothing is known yet."""

    def __init__(self, rules: Rules, index: int, data: Any) -> None:
        self._rules, self._index, self._data = rules, index, data
        self._name = str(data.get("name", "")) if isinstance(data, Mapping) else ""

    def rule(self) -> Rule:
        if not isinstance(self._data, Mapping):
            raise self._error("", f"must be a mapping, not {self._data!r:.60}", KEYS)
        data = self._data
        self._only(data, KEYS, "")
        if not isinstance(data.get("name"), str) or not data["name"]:
            raise self._error("name", "every rule needs a name")
        when = self._conditions(data, "", CONDITIONS)
        if when == Conditions():
            raise self._error("", "says nothing about the command", CONDITIONS)
        if not any(key in data for key in EFFECTS):
            raise self._error("", "says nothing that the command would need", EFFECTS)
        return Rule(
            name=data["name"],
            when=when,
            unless=self._unless(data.get("unless", {})),
            os=self._system(data.get("os")),
            capabilities=self._texts(data, "capabilities", ""),
            heavy=self._truth(data, "heavy"),
            topics=tuple(topic.lower() for topic in self._texts(data, "topics", "")),
            profile=self._profile(data.get("profile", {})),
            describes=self._truth(data, "describes"),
        )

    def _error(self, key: str, problem: str, allowed: Sequence[str] = ()) -> RuleError:
        return RuleError(self._index, self._name, key, problem, allowed)

    def _only(self, data: Mapping[Any, Any], allowed: Sequence[str], within: str) -> None:
        for key in data:
            if key not in allowed:
                raise self._error(f"{within}{key}", "is no key here", allowed)

    def _conditions(self, data: Mapping[str, Any], within: str, allowed: Sequence[str]) -> Conditions:
        texts = {key: self._expanded(data, key, within) for key in allowed if key != "subcommands"}
        phrases = [self._phrases(text) for text in self._texts(data, "subcommands", within)]
        return Conditions(**texts, subcommands=tuple(phrase for each in phrases for phrase in each))

    def _unless(self, data: Any) -> Conditions:
        allowed = (*CONDITIONS, "only")
        if not isinstance(data, Mapping):
            raise self._error("unless", "must be a mapping", allowed)
        self._only(data, allowed, "unless.")
        return self._conditions(data, "unless.", allowed)

    def _texts(self, data: Mapping[str, Any], key: str, within: str) -> tuple[str, ...]:
        value = data.get(key, ())
        value = (value,) if isinstance(value, str) else value
        if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
            raise self._error(f"{within}{key}", f"must be a list of texts, not {value!r:.60}")
        return tuple(value)

    def _expanded(self, data: Mapping[str, Any], key: str, within: str) -> tuple[str, ...]:
        """With @NAME replaced by the set's words."""
        return tuple(word for text in self._texts(data, key, within) for word in self._set(text))

    def _set(self, text: str) -> tuple[str, ...]:
        before, at, name = text.partition("@")
        if not at or not re.fullmatch(r"[a-z_]+", name):
            return (text,)
        if name not in self._rules.sets:
            raise self._error(text, "is no set", [f"@{each}" for each in self._rules.sets])
        return tuple(before + word for word in self._rules.sets[name])

    def _phrases(self, text: str) -> list[tuple[str, ...]]:
        """`run @heavy_task` to every phrase that it stands for; "" to the phrase of no words."""
        found: list[tuple[str, ...]] = [()]
        for word in text.split():
            found = [(*phrase, each) for phrase in found for each in self._set(word)]
        return found

    def _system(self, value: Any) -> str | None:
        if value is not None and value not in SYSTEMS:
            raise self._error("os", f"{value!r:.60} is no system", SYSTEMS)
        return str(value) if value else None

    def _truth(self, data: Mapping[str, Any], key: str) -> bool:
        value = data.get(key, False)
        if not isinstance(value, bool):
            raise self._error(key, f"must be true or false, not {value!r:.60}")
        return value

    def _profile(self, value: Any) -> Profile:
        names = [field.name for field in fields(Profile)]
        if isinstance(value, str):
            if value not in self._rules.profiles:
                raise self._error("profile", f"{value!r:.60} is no profile", list(self._rules.profiles))
            return self._rules.profiles[value]
        if not isinstance(value, Mapping):
            raise self._error("profile", "must be a name or a mapping", [*self._rules.profiles, *names])
        self._only(value, names, "profile.")
        for key, part in value.items():
            if isinstance(part, bool) or not isinstance(part, int | float) or not 0 <= part <= 1:
                raise self._error(f"profile.{key}", f"must be a number from 0 to 1, not {part!r:.60}")
        return Profile(**{key: float(part) for key, part in value.items()})


# ---- a command, as rules see it ----------------------------------------------


@dataclass(frozen=True, slots=True)
class _Invocation:
    """A program and its words, sorted. `options`: each as `--name`, and as `--name=value` with what may be
    its value. `own`: it is what is run, and no wrapper around it."""

    program: str
    path: str
    operands: tuple[str, ...]
    options: frozenset[str]
    environment: tuple[str, ...]
    redirects: tuple[str, ...]
    own: bool = True

    @property
    def name(self) -> str:
        """What it is called by, with the directories if it is called by a path."""
        return self.path if "/" in self.path else self.program

    @property
    def said(self) -> list[str]:
        """Its words, if they are plain language."""
        return [word for text in self.operands for word in _spoken(text)]

    @property
    def asks(self) -> bool:
        """Whether it only wants to be told of its options or version."""
        return any(option in self.options for option in HELP)


def _invocations(command: Command, rules: Rules) -> Iterator[_Invocation]:
    """The command, the program or script that it carries, and the wrappers around it."""
    if command.argv:
        yield from _carried(_invocation(command, command.argv, rules), command, command.argv, rules)
    for at in range(len(command.via)):
        words = tuple(word for each in command.via[at:] for word in each) + command.argv
        yield replace(_invocation(command, words, rules), own=False)


def _carried(
    invocation: _Invocation, command: Command, words: tuple[Word, ...], rules: Rules, depth: int = 0
) -> Iterator[_Invocation]:
    yield invocation
    syntax = _syntax(invocation.program, rules)
    if not syntax.carries or not invocation.operands or depth > 3:
        return
    if any(_has(invocation.options, stop) for stop in syntax.stops):
        return
    first = next(i for i, word in enumerate(words) if i and word.text == invocation.operands[0])
    inner = _invocation(command, words[first:], rules)
    yield from _carried(inner, command, words[first:], rules, depth + 1)


def _invocation(command: Command, words: tuple[Word, ...], rules: Rules) -> _Invocation:
    program = program_name(words[0])
    operands, options = _sorted(words[1:], _syntax(program, rules))
    redirects: Sequence[Redirect] = (*command.redirects, *command.around)
    return _Invocation(
        program=program,
        path=words[0].text,
        operands=operands,
        options=options,
        environment=tuple(f"{each.name}={each.value.text}" for each in command.assignments),
        redirects=tuple(each.target.text for each in redirects if not each.op.startswith("<<")),
    )


def _syntax(program: str, rules: Rules) -> Syntax:
    return next((syntax for programs, syntax in rules.syntax if programs.match(program)), Syntax())


def _sorted(words: tuple[Word, ...], syntax: Syntax) -> tuple[tuple[str, ...], frozenset[str]]:
    """The words that are neither options nor their values nor to be skipped, and the options."""
    operands: list[str] = []
    options: set[str] = set()
    ended, at = False, 0
    while at < len(words):
        text = words[at].text
        at += 1
        if text == "--" and not ended:
            ended = True
        elif ended or len(text) < 2 or (text[0] != "-" and text not in syntax.values):
            operands.append(text)
        else:
            following = words[at].text if at < len(words) else None
            options.update(_option(text, following, syntax))
            at += text in syntax.values
    return tuple(text for text in operands if not _any(syntax.skip, text)), frozenset(options)


def _option(text: str, following: str | None, syntax: Syntax) -> Iterator[str]:
    name, equals, _ = text.partition("=")
    yield name
    if equals:
        yield text
    elif following is not None and not following.startswith("-"):
        yield f"{text}={following}"
    if syntax.clusters and re.fullmatch(r"-[A-Za-z]{2,}[0-9]*", text):
        for letter in text[1:]:
            yield f"-{letter}"
            if f"-{letter}" in syntax.values:
                break


def _any(patterns: Iterable[str], text: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _has(options: Iterable[str], pattern: str) -> bool:
    return any(fnmatchcase(option, pattern) for option in options)


# ---- matching ----------------------------------------------------------------


def _candidates(invocation: _Invocation, rules: Rules) -> Iterator[Rule]:
    yield from rules.index.get(invocation.program, ())
    for programs, rule in rules.patterned:
        if programs.match(invocation.program) and invocation.program not in rule.when.programs:
            yield rule


def _applies(rule: Rule, invocation: _Invocation) -> str | None:
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


def _stated(patterns: Any, key: str, invocation: _Invocation) -> str | None:
    """The words that satisfy one of the patterns."""
    match key:
        case "programs":
            return invocation.program if _any(patterns, invocation.program) else None
        case "subcommands":
            fitting = [each for each in patterns if _fits(each, invocation.operands)]
            return " ".join(invocation.operands[: len(fitting[0])]) if fitting else None
        case "arguments":
            return _first(patterns, invocation.operands)
        case "only":
            words = invocation.operands
            return " ".join(words) if words and all(_any(patterns, word) for word in words) else None
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
    return next((text for text in texts if _any(patterns, text)), None)


def _first_variable(patterns: Iterable[str], pairs: Iterable[str]) -> str | None:
    """NAME, whatever its value, or NAME=value."""
    for pair in pairs:
        name = pair.partition("=")[0]
        if any(fnmatchcase(pair if "=" in pattern else name, pattern) for pattern in patterns):
            return name
    return None


# ---- a requirement -----------------------------------------------------------


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
    invocations = list(_invocations(command, rules))
    own = [each for each in invocations if each.own and not each.asks]
    applying = [(rule, each, why) for each in invocations for rule, why in _applying(each, rules)]
    words = [word for each in own if each.program not in rules.unspoken for word in _spoken(each.name)]
    words += [word for rule, each, _ in applying if rule.describes and each in own for word in each.said]
    matched = [_matched(rule, each, why) for rule, each, why in applying if _imposes(rule)]
    topics = [topic for each in matched for topic in each.topics]
    topics += [rules.topics.canonical[word] for word in words if word in rules.topics.canonical]
    return _Part(
        command=command,
        matched=tuple(matched),
        topics=tuple(dict.fromkeys(topics)),
        programs=tuple(each.program for each in invocations if each.own and each.path == each.program),
        words=tuple(words),
        profile=reduce(Profile.joined, (rule.profile for rule, _, _ in applying), Profile()),
    )


def _applying(invocation: _Invocation, rules: Rules) -> Iterator[tuple[Rule, str]]:
    for rule in _candidates(invocation, rules):
        why = _applies(rule, invocation)
        if why is not None:
            yield rule, why


def _matched(rule: Rule, invocation: _Invocation, why: str) -> Matched:
    """`docker --version` needs docker, but is no work about anything."""
    heavy, topics = (False, ()) if invocation.asks else (rule.heavy, rule.topics)
    return Matched(rule.name, why, rule.os, rule.capabilities, heavy, topics)


def _imposes(rule: Rule) -> bool:
    """Whether it does more than to let words speak."""
    return bool(rule.os or rule.capabilities or rule.heavy or rule.topics)


def _spoken(text: str) -> list[str]:
    """The plain words in a name, a path or a sentence, lower case."""
    if text.startswith(("/", "~")):
        text = posixpath.basename(text)
    text = re.sub(r"(?:^|/)(?:node_modules|\.bin|vendor|bin|\.venv|venv)(?=/)", "", text[:2000])
    return [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]


def _either(one: Command, other: Command) -> bool:
    """Whether only one of the two is wanted."""
    forks = dict(one.place.branches)
    return any(forks.get(fork, side) != side for fork, side in other.place.branches)


def _leaning(parts: Iterable[_Part], topics: Iterable[str], rules: Rules) -> Profile:
    known = rules.topics.profiles
    leanings = [*(part.profile for part in parts), *(known[topic] for topic in topics if topic in known)]
    return reduce(Profile.joined, leanings, Profile())
