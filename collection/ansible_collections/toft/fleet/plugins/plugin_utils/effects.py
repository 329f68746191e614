# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a command line reads and writes, as far as its words tell.

The knowledge is data: `effects.yml` beside this file, whose head explains its keys. Here it is applied to
each simple command of a parsed line. Redirects, directories and the program itself (needed, so that installing
it comes first) hold for every command. Of a program that is not in the data, options that are called like an
output are written and words that look like files are read; a word that does not is a file if another command
writes one of just that name.

Nothing is run and no file is looked at: the same words have the same effects everywhere.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ansible_collections.toft.fleet.plugins.plugin_utils import operands
from ansible_collections.toft.fleet.plugins.plugin_utils.effect_rules import Effect, Entry, Knowledge, built_in
from ansible_collections.toft.fleet.plugins.plugin_utils.resources import Access, Resource, placed
from ansible_collections.toft.fleet.plugins.plugin_utils.shell import Command, CommandLine, Redirect
from ansible_collections.toft.fleet.plugins.plugin_utils.uses import Use, use_of

PATHS = frozenset({"path", "entry", "output", "sources", "worktree", "context", "git", "compose"})
"""Kinds whose name is a path."""
BARE = Entry("", (), frozenset(), (), (), (), ())
DEVICES = ("/dev/null", "/dev/std", "/dev/tty", "/dev/fd", "/dev/zero", "/proc")


# ---- a line ------------------------------------------------------------------


def effects(line: CommandLine, knowledge: Knowledge | None = None) -> tuple[Access, ...]:
    """In the order of the line; each only once."""
    known = knowledge or built_in()
    found = (access for command in line.commands for access in _of_command(command, known))
    return tuple(dict.fromkeys(found))


def _of_command(command: Command, known: Knowledge) -> Iterator[Access]:
    for redirect in (*command.redirects, *command.around):
        yield from _redirected(redirect)
    if not command.argv:
        return
    for word in (command.argv[0], *(each[0] for each in command.via if each)):
        yield from _program(command, word.text)
    for words in command.via:
        if words and posixpath.basename(words[0].text) in known.entries:
            yield from _of_command(replace(command, argv=words, via=(), redirects=(), around=()), known)
    name = posixpath.basename(command.argv[0].text)
    own = known.entries.get(name) or known.entries.get(_unversioned(name))
    fitting = _fitting(command, own or (known.unknown,))
    for entry in fitting:
        yield from _of_entry(command, entry, known)
    if fitting and not any(effect.kind == "port" for entry in fitting for effect in entry.does):
        yield from _ports(command, own is None)


def _unversioned(name: str) -> str:
    """python3.11 is python, gcc-12 is gcc."""
    return re.sub(r"-?[0-9]+(\.[0-9]+)*$", "", name)


def _redirected(redirect: Redirect) -> Iterator[Access]:
    if redirect.op.startswith("<<") or redirect.target.text.isdigit() or redirect.op in ("<&",):
        return
    if redirect.target.text.startswith(DEVICES) or not _is_name(redirect.target.text):
        return
    name = placed(redirect.directory, redirect.target.text)
    if name is not None and name != "-":
        yield Access(Resource("path", name), redirect.op != "<")


def _program(command: Command, text: str) -> Iterator[Access]:
    """It must be there: as a file if it has a path, as an installed program otherwise."""
    if "/" not in text:
        yield Access(Resource("program", text), False)
    elif not text.startswith("/") and (name := placed(command.directory, text)) is not None:
        yield Access(Resource("path", name), False)


# ---- an entry ----------------------------------------------------------------


def _fitting(command: Command, entries: Sequence[Entry]) -> list[Entry]:
    """Those whose words and options are there; of phrases only the longest."""
    uses = [(entry, use_of(command, entry)) for entry in entries]
    there = [entry for entry, use in uses if use is not None and _holds(entry, use)]
    longest = max((len(entry.phrase) for entry in there), default=0)
    return [entry for entry in there if len(entry.phrase) in (0, longest)]


def _holds(entry: Entry, use: Use) -> bool:
    wanted = not entry.when or any(_has(use, option) for option in entry.when)
    return wanted and not any(_has(use, option) for option in entry.unless)


def _has(use: Use, option: str) -> bool:
    """An option, or an assignment such as `make O=out`."""
    return option in use.options or any(each.startswith(f"{option}=") for each in use.operands)


# ---- effects -----------------------------------------------------------------


def _of_entry(command: Command, entry: Entry, known: Knowledge) -> Iterator[Access]:
    use = use_of(command, entry)
    if use is None:
        return
    for effect in entry.does:
        for resource in _resources(effect, use, known):
            if effect.reads or not effect.writes:
                yield Access(resource, False)
            if effect.writes:
                yield Access(resource, True, effect.serves and not command.place.background)
    if entry.others is not None:
        for text, write in operands.by_looks(use, entry.others):
            if (name := _name("path", text, use)) is not None:
                yield Access(Resource("path", name), write)
        for text in operands.plain_words(use, entry.others):
            if (name := placed(use.directory, text)) is not None:
                yield Access(Resource("word", name), False)


def _ports(command: Command, unknown: bool) -> Iterator[Access]:
    """A port that is named by a command of which that is all we know."""
    use = use_of(command, BARE)
    for port, served in operands.ports(use, unknown) if use else ():
        yield Access(Resource("port", port), False)
        if served:
            yield Access(Resource("port", port), True, not command.place.background)


def _resources(effect: Effect, use: Use, known: Knowledge) -> Iterator[Resource]:
    for text in operands.texts(effect.source, use, known.packages, known.ports):
        name = _name(effect.kind, text, use)
        if name is not None:
            yield Resource(effect.kind, name, _detail(effect, known))


def _detail(effect: Effect, known: Knowledge) -> str:
    if effect.kind == "sources":
        return known.languages[effect.detail]
    return f"{effect.detail}:{known.makers[effect.detail]}" if effect.kind == "output" else ""


def _name(kind: str, text: str, use: Use) -> str | None:
    if kind in PATHS:
        return placed(use.directory, text) if _is_name(text) and not text.startswith(DEVICES) else None
    if kind == "image":
        return text if ":" in text.rpartition("/")[2] else f"{text}:latest"
    if kind == "port" and text != "*":
        found = re.search(r"([0-9]{2,5})(?:/(?:tcp|udp))?$", text)
        return found[1] if found else None
    return text.removesuffix(".service") or None


def _is_name(text: str) -> bool:
    """Of a file here: no standard stream, no address, nothing on another machine."""
    if not text or text == "-" or "://" in text or "$(" in text or "`" in text:
        return False
    return not re.match(r"[\w.@-]{2,}:(?![\\])", text)
