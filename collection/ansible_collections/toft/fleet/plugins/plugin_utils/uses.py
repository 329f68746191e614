# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A command's words as one of the entries of effects.yml reads them: operands, options and their values."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ansible_collections.toft.fleet.plugins.plugin_utils.effect_rules import Entry
from ansible_collections.toft.fleet.plugins.plugin_utils.resources import placed
from ansible_collections.toft.fleet.plugins.plugin_utils.shell import Command


@dataclass(frozen=True, slots=True)
class Use:
    """One command as an entry reads it. `operands` follow the entry's phrase; `loose` follow an option
    that is not known to take a value."""

    command: Command
    directory: str | None
    prefix: str
    options: Mapping[str, tuple[str, ...]]
    operands: tuple[str, ...]
    loose: frozenset[str] = field(default=frozenset())


def use_of(command: Command, entry: Entry) -> Use | None:
    """The command's words by the entry's options; None if its phrase is not what the words begin with."""
    texts = [word.text for word in command.argv[1:] if "$(" not in word.text and "`" not in word.text]
    if entry.dashless and texts and re.fullmatch(r"[A-Za-z]+", texts[0]):
        texts[0] = f"-{texts[0]}"
    operands, options, loose = _sorted(texts, entry)
    if not _begins(operands, entry.phrase):
        return None
    directory = command.directory
    for value in (value for option in entry.inside for value in options.get(option, ())):
        directory = placed(directory, value)
    rest = tuple(operands[len(entry.phrase) :])
    return Use(command, directory, _prefix(command), options, rest, frozenset(loose))


def _sorted(texts: list[str], entry: Entry) -> tuple[list[str], dict[str, tuple[str, ...]], set[str]]:
    """Words as operands, options with their values, and operands that may be values."""
    operands: list[str] = []
    options: dict[str, tuple[str, ...]] = {}
    loose: set[str] = set()
    while texts:
        text, texts = texts[0], texts[1:]
        if text == "--" or (entry.stops and len(operands) > len(entry.phrase)):
            return [*operands, *([text] if text != "--" else []), *texts], options, loose
        if not text.startswith("-") or text == "-":
            operands.append(text)
            continue
        names, value, taken = _option(text, texts[0] if texts else None, entry.values)
        texts = texts[taken:]
        for name in names:
            options[name] = (*options.get(name, ()), *([value] if value is not None else []))
        if value is None and texts and not texts[0].startswith("-"):
            loose.add(texts[0])
    return operands, options, loose


def _begins(operands: Sequence[str], phrase: tuple[str, ...]) -> bool:
    """A phrase's word may be a glob, as in `run build*`."""
    pairs = zip(operands, phrase, strict=False)
    return len(operands) >= len(phrase) and all(fnmatchcase(word, pattern) for word, pattern in pairs)


def _option(text: str, following: str | None, values: frozenset[str]) -> tuple[list[str], str | None, int]:
    """Its names, its value, and whether the value was the next word."""
    name, equals, value = text.partition("=")
    if equals:
        return [name], value, 0
    if text in values:
        return [text], following, 1 if following is not None else 0
    if text.startswith("--"):
        return [text], None, 0
    for at, letter in enumerate(text[1:], 1):
        if f"-{letter}" in values:
            flags = [f"-{each}" for each in text[1:at]]
            rest = text[at + 1 :]
            if rest or following is None:
                return [*flags, f"-{letter}"], rest or None, 0
            return [*flags, f"-{letter}"], following, 1
    return [text, *(f"-{each}" for each in text[1:])], None, 0


def _prefix(command: Command) -> str:
    """`.venv` of .venv/bin/pip, also if python ran it from there; "" for what is found in the PATH."""
    for text in (command.argv[0].text, *(each[0].text for each in command.via if each)):
        directory = posixpath.dirname(text)
        if posixpath.basename(directory) == "bin":
            return placed(command.directory, posixpath.dirname(directory)) or ""
    return ""
