# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules as values: what each states of a command, what it makes of it, and how programs' words are read.

`rules` reads them from data, `requirements` applies them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

SYSTEMS = ("linux", "macos")
CONDITIONS = ("programs", "subcommands", "arguments", "flags", "environment", "redirects")
"""The fields of Conditions of which each must hold, if it says anything."""


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
