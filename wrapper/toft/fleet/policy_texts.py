"""Texts that a command hands to something that may run them. Pure.

A shell's own texts are parsed (`bash -c`, `eval`, here-documents of a shell). But awk, sed, vim, tar, git's
aliases, a container, a Makefile on standard input run texts too, each in a language of its own. These are not
understood here, only looked through: where a program of which a strict rule speaks stands where a command could
begin, the text from there on is judged as if it were run. Programs that merely print, search or store their
words (`inert`, in policy.yml) are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ansible_collections.toft.fleet.plugins.plugin_utils.shell import Command, Word, program_name

LONGEST = 2000
MOST = 100
"""Characters from such a place on, and such places in one command, that are looked at."""


class TooMuch(Exception):
    """There is more in the texts than can be looked at."""


@dataclass(frozen=True)
class Texts:
    """`inert` programs, and `inert_after` (program, subcommand), run none of their words. `renames` give a program
    another name. `elsewhere` take a command of several words. `interpreters` are patterns of programs that read
    what they run from standard input; `harmful` of texts that they should not."""

    inert: frozenset[str] = frozenset()
    inert_after: frozenset[tuple[str, ...]] = frozenset()
    renames: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()
    interpreters: tuple[str, ...] = ()
    harmful: tuple[str, ...] = ()


def handed_on(command: Command, known: Texts, names: Container[str]) -> Iterator[str]:
    """What would be run, if it were: from each place on where one of `names` begins a command. Raises TooMuch."""
    seen: set[str] = set()
    for text in _texts(command, known, names):
        for found in _begun(text, names):
            if found in seen:
                continue
            seen.add(found)
            if len(seen) > MOST or len(found) > LONGEST:
                raise TooMuch
            yield from _ends(found)


def suspicious(command: Command, known: Texts) -> Iterator[tuple[str, str]]:
    """(why, text): a script on standard input that cannot be seen, or can and looks harmful."""
    if not command.argv or not _reads_script(command, known):
        return
    if command.fed is None:
        yield "it runs a text that cannot be seen", " ".join(command.words)
    elif any(fnmatchcase(command.fed, pattern) for pattern in known.harmful):
        yield "its text removes files or runs commands", command.fed


def _reads_script(command: Command, known: Texts) -> bool:
    name, words = program_name(command.argv[0]), [word.text for word in command.argv[1:]]
    if not any(fnmatchcase(name, pattern) for pattern in known.interpreters):
        return False
    return "-" in words or "/dev/stdin" in words or all(re.match(r"-[bBEIiOqsSux]+\Z", word) for word in words)


def _texts(command: Command, known: Texts, names: Container[str]) -> Iterator[str]:
    yield from (each.value.text for each in command.assignments)
    for words in (*command.via, command.argv):
        if words:
            yield from _of_words(words, known, names)
    if command.fed is not None and command.argv and not _is_inert(command.argv, known):
        yield command.fed


def _of_words(words: tuple[Word, ...], known: Texts, names: Container[str]) -> Iterator[str]:
    name = program_name(words[0])
    # `test -v 'a[$(rm x)]'`: an index is computed, whoever gets it.
    yield from (word.text for word in words[1:] if re.search(r"\[[^\[\]]*[$`]", word.text) and word.literal)
    if _is_inert(words, known):
        return
    for at, word in enumerate(words[1:], 1):
        if name in known.elsewhere and program_name(word) in names:
            yield " ".join(each.text for each in words[at:])
        elif name in known.renames or _MORE_THAN_A_WORD.search(word.text) or _PROGRAM.search(word.text):
            yield word.text


def _is_inert(words: tuple[Word, ...], known: Texts) -> bool:
    name = program_name(words[0])
    plain = tuple(word.text for word in words[1:2])
    return name in known.inert or (name, *plain) in known.inert_after


_MORE_THAN_A_WORD = re.compile(r"[^\w./+,@%:-]")
_PROGRAM = re.compile(r"(?:^|[:=])/(?:\w+/)*s?bin/[\w+-]+\Z")
_NAME = re.compile(r"(?<![\w./~-])(?:[~\w.-]*/)*([A-Za-z0-9_.+-]+)")
_BEGINS = re.compile(
    r"(?:^\s*|[^\w\s./~-]\s*|\b(?:exec|system|spawn|shell|run|call|command|env|sudo|nohup|then|do|else|\d*e)\s+)\Z"
)
"""What may stand before a command: nothing, a sign, or a word that runs what follows, in whatever language."""


def _begun(text: str, names: Container[str]) -> Iterator[str]:
    """The rest of the line at each place where a command of one of these names could begin."""
    for line in text.split("\n"):
        for match in _NAME.finditer(line):
            known = match[1] in names or match[1].lower() in names
            if known and _BEGINS.search(line[max(0, match.start() - 20) : match.start()]):
                yield line[match.start() :]


def _ends(line: str) -> Iterator[str]:
    """To the end of the line, and to the next sign that may end it in another language."""
    yield line
    short = re.split(r"[\"'`)}\];|]", line, maxsplit=1)[0].strip()
    if short and short != line:
        yield short
