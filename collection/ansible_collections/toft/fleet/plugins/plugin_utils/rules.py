# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is known of commands, read from data: what each needs, and what it is about.

The data is `rules.yml` beside this file, whose head explains its keys. A user's own rules have the same form;
they add to the built-in ones, and one with the same name takes a built-in one's place.

Here rules are read and checked; `rulebook` has them as values, `requirements` applies them to a command line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from fnmatch import translate
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.toft.fleet.plugins.plugin_utils.requirements import Matched, Requirement, requirement
from ansible_collections.toft.fleet.plugins.plugin_utils.rulebook import (
    CONDITIONS,
    SYSTEMS,
    Conditions,
    Profile,
    Rule,
    Rules,
    Syntax,
    Topics,
)

__all__ = [
    "CONDITIONS",
    "SYSTEMS",
    "Conditions",
    "Matched",
    "Profile",
    "Requirement",
    "Rule",
    "RuleError",
    "Rules",
    "Syntax",
    "Topics",
    "built_in",
    "load",
    "requirement",
    "with_user_rules",
]


class RuleError(Exception):
    """A rule is not one. `index` counts from 0 in the list it stands in; `key` is what is wrong in it."""

    def __init__(self, index: int, name: str, key: str, problem: str, allowed: Sequence[str] = ()) -> None:
        self.index, self.name, self.key = index, name, key
        self.problem, self.allowed = problem, tuple(allowed)
        hint = f"; allowed: {', '.join(self.allowed)}" if self.allowed else ""
        called = f" ({name})" if name else ""
        super().__init__(f"rules[{index}]{called}: {key + ': ' if key else ''}{problem}{hint}")


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
