"""The ways in which one command may be read: its name, its options, its directory. Pure.

Rules speak of programs, subcommands and arguments as they are usually written. What means the same, or may mean
the same, written otherwise is another reading of the command, judged like the first:

- the name in another case, as a file system may have it (`RM` on a Mac), and `git-push` for `git push`;
- a word after an option is the option's value or the subcommand: `kubectl -v get delete …`;
- relative arguments as absolute ones, where the line says the directory (`cd / && rm -r etc`).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from ansible_collections.toft.fleet.plugins.plugin_utils import rules as known
from ansible_collections.toft.fleet.plugins.plugin_utils.rulebook import Rule, Syntax
from ansible_collections.toft.fleet.plugins.plugin_utils.shell import Command, Word, program_name
from ansible_collections.toft.fleet.plugins.plugin_utils.wrapper_table import wrappers

PLAIN = re.compile(r"[A-Za-z0-9_./+:@,=~-]+\Z|\[\[?\Z|!\Z")
"""A program's name that means nothing else than itself, to a shell or to a file system."""
AT_HOME = re.compile(r"(?:~|\$HOME|\$\{HOME\}|\$PWD|\$\{PWD\})/[A-Za-z0-9_./+@-]+\Z")
LOOKED_UP = re.compile(r"\$\((?:which|command -v) [\w./+-]+\)\Z")
FEEDS = ("xargs", "parallel")
MOST_OPTIONS = 16
"""Before a subcommand; nobody types more."""


def is_named(command: Command) -> bool:
    """Whether the line says which program is run."""
    name = command.argv[0]
    if command.via and program_name(command.via[-1][0]) in FEEDS and len(command.argv) == 1:
        # `xargs env`: what is run is on its standard input.
        return program_name(name) not in wrappers() and PLAIN.match(name.text) is not None
    if AT_HOME.match(name.text) or LOOKED_UP.match(name.text):
        return True
    return name.literal and not name.glob and PLAIN.match(name.text) is not None


def others(command: Command) -> Iterator[Command]:
    """The command in other readings than as it is written."""
    for reading in (command, *_without_values(command)):
        for named in (reading, *_by_other_names(reading)):
            for placed in (named, *_absolute(named)):
                if placed is not command:
                    yield placed


def entered(command: Command, directory: str) -> Command:
    """The command as it is if its line starts in this directory."""

    def inside(place: str | None) -> str | None:
        return place if place is None or place[:1] in "/~" else posixpath.normpath(posixpath.join(directory, place))

    redirects = tuple(replace(each, directory=inside(each.directory)) for each in command.redirects)
    return replace(command, directory=inside(command.directory), redirects=redirects)


def _by_other_names(command: Command) -> Iterator[Command]:
    first = command.argv[0]
    name = program_name(first)
    if name != name.lower():
        yield replace(command, argv=(Word(name.lower()), *command.argv[1:]))
    if name.lower().startswith("git-") and len(name) > 4:
        yield replace(command, argv=(Word("git"), Word(name[4:]), *command.argv[1:]))


def _without_values(command: Command) -> Iterator[Command]:
    """Without the first word after an option before any subcommand; without the first two; and so on."""
    words, at = list(command.argv), 1
    if _leading(command) > MOST_OPTIONS:
        return
    while at + 1 < len(words) and words[at].text.startswith("-") and words[at].text != "--":
        following = words[at + 1].text
        if following.startswith("-") or "=" in words[at].text:
            at += 1
            continue
        del words[at + 1]
        at += 1
        if any(not word.text.startswith("-") for word in words[at:]):
            yield replace(command, argv=tuple(words))


def _absolute(command: Command) -> Iterator[Command]:
    """Relative arguments and redirects from the directory that the line names."""
    words = tuple(_from(command.directory, word) for word in command.argv[1:])
    redirects = tuple(replace(each, target=_from(each.directory, each.target)) for each in command.redirects)
    if words != command.argv[1:] or redirects != command.redirects:
        yield replace(command, argv=(command.argv[0], *words), redirects=redirects)


def _from(directory: str | None, word: Word) -> Word:
    if directory in (None, ".") or not word.text or word.text[0] in "/~$-`" or "=" in word.text:
        return word
    return replace(word, text=posixpath.normpath(posixpath.join(directory or "", word.text)))


# ---- what the rules need to know ---------------------------------------------


def is_sure(command: Command, rules: known.Rules) -> bool:
    """Whether it is known of this program which of its options take a word."""
    return bool(_syntax(command, rules).values)


def is_open(command: Command, rules: known.Rules, strict: Callable[[str], bool]) -> bool:
    """Whether a strict rule may apply to it, or not, by a subcommand that stands nowhere: `git $X`."""
    if _leading(command) > MOST_OPTIONS and program_name(command.argv[0]) in strict_names(rules, strict):
        return True
    phrases = [phrase for rule in _about(command, rules) if strict(rule.name) for phrase in rule.when.subcommands]
    operands = _operands(command, _syntax(command, rules))
    return any(_may_be(phrase, operands) for phrase in phrases)


def _leading(command: Command) -> int:
    """How many options come before two words that are none."""
    options = [word.text.startswith("-") for word in command.argv[1:]]
    ends = (at for at in range(1, len(options)) if not options[at - 1] and not options[at])
    return sum(options[: next(ends, len(options))])


def _may_be(phrase: tuple[str, ...], operands: list[Word]) -> bool:
    """Literal words as the phrase has them, up to one that a shell would have to say."""
    for pattern, word in zip(phrase, operands, strict=False):
        if not word.literal or word.glob:
            return True
        if "*" in pattern or not fnmatchcase(word.text, pattern):
            return False
    return False


def _operands(command: Command, syntax: Syntax) -> list[Word]:
    found, at = [], 1
    while at < len(command.argv):
        word = command.argv[at]
        at += 1 + (word.text in syntax.values)
        found += [] if word.text.startswith("-") else [word]
    return found


def _syntax(command: Command, rules: known.Rules) -> Syntax:
    name = program_name(command.argv[0])
    return next((syntax for programs, syntax in rules.syntax if programs.match(name)), Syntax())


def _about(command: Command, rules: known.Rules) -> Iterator[Rule]:
    name = program_name(command.argv[0])
    yield from rules.index.get(name, ())
    yield from (rule for programs, rule in rules.patterned if rule.when.programs and programs.match(name))


@dataclass(frozen=True)
class Names:
    """Programs of which a strict rule speaks, whatever else it asks for."""

    plain: frozenset[str]
    patterns: tuple[re.Pattern[str], ...]

    def __contains__(self, name: object) -> bool:
        return name in self.plain or any(pattern.match(str(name)) for pattern in self.patterns)


def strict_names(rules: known.Rules, strict: Callable[[str], bool]) -> Names:
    plain = frozenset(name for name, found in rules.index.items() if any(strict(rule.name) for rule in found))
    patterns = tuple(programs for programs, rule in rules.patterned if rule.when.programs and strict(rule.name))
    return Names(plain, patterns)
