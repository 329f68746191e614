# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A command as rules see it: a program and its words, sorted into operands and options.

A command may be several invocations: itself, the script that it carries, and the wrappers around it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from ansible_collections.toft.fleet.plugins.plugin_utils.rulebook import Rules, Syntax
from ansible_collections.toft.fleet.plugins.plugin_utils.shell import Command, Redirect, Word, program_name

HELP = ("--help", "--version")


@dataclass(frozen=True, slots=True)
class Invocation:
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
        return [word for text in self.operands for word in spoken(text)]

    @property
    def asks(self) -> bool:
        """Whether it only wants to be told of its options or version."""
        return any(option in self.options for option in HELP)


def invocations(command: Command, rules: Rules) -> Iterator[Invocation]:
    """The command, the program or script that it carries, and the wrappers around it."""
    if command.argv:
        yield from _carried(_invocation(command, command.argv, rules), command, command.argv, rules)
    for at in range(len(command.via)):
        words = tuple(word for each in command.via[at:] for word in each) + command.argv
        yield replace(_invocation(command, words, rules), own=False)


def _carried(
    invocation: Invocation, command: Command, words: tuple[Word, ...], rules: Rules, depth: int = 0
) -> Iterator[Invocation]:
    yield invocation
    syntax = _syntax(invocation.program, rules)
    if not syntax.carries or not invocation.operands or depth > 3:
        return
    if any(_has(invocation.options, stop) for stop in syntax.stops):
        return
    first = 1 + [word.text for word in words[1:]].index(invocation.operands[0])
    inner = _invocation(command, words[first:], rules)
    yield from _carried(inner, command, words[first:], rules, depth + 1)


def _invocation(command: Command, words: tuple[Word, ...], rules: Rules) -> Invocation:
    program = program_name(words[0])
    operands, options = _sorted(words[1:], _syntax(program, rules))
    redirects: Sequence[Redirect] = (*command.redirects, *command.around)
    return Invocation(
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
    return tuple(text for text in operands if not any_fits(syntax.skip, text)), frozenset(options)


def _option(text: str, following: str | None, syntax: Syntax) -> Iterator[str]:
    name, equals, _value = text.partition("=")
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


def any_fits(patterns: Iterable[str], text: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _has(options: Iterable[str], pattern: str) -> bool:
    return any(fnmatchcase(option, pattern) for option in options)


def spoken(text: str) -> list[str]:
    """The plain words in a name, a path or a sentence, lower case."""
    if text.startswith(("/", "~")):
        text = posixpath.basename(text)
    text = re.sub(r"(?:^|/)(?:node_modules|\.bin|vendor|bin|\.venv|venv)(?=/)", "", text[:2000])
    return [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]
