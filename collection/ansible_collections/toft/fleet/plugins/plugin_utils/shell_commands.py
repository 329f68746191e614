# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a command line comes to: simple commands, each with its words, redirects and directory.

A :class:`CommandLine` holds :class:`Command` values in the order in which a shell would come to them. Each says
what is run (`argv`), where (`directory`), through which wrappers (`via`) and in which position (`place`). A word
says whether it is exactly what the program gets (`literal`).
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """One word, unquoted.

    `literal`: the program gets exactly this text. Otherwise an expansion stands in it as it was written
    (`$HOME/x`, `$(nproc)`, `~/x`, `{a,b}`). `glob`: the shell would look for files that match.
    """

    text: str
    literal: bool = True
    glob: bool = False


@dataclass(frozen=True, slots=True)
class Assignment:
    name: str
    value: Word


@dataclass(frozen=True, slots=True)
class Redirect:
    """`op` as written (`>`, `>>`, `2>&1` has op `>&`, `<<` and `<<<` have the text itself as their target).

    `fd` is None where the shell's default holds. `directory` is where a relative target is looked for.
    """

    op: str
    target: Word
    fd: int | None = None
    directory: str | None = "."


@dataclass(frozen=True, slots=True)
class Stage:
    """The `number`th part (from 0) of a pipeline that has `of`; `pipeline` tells pipelines apart."""

    pipeline: int
    number: int
    of: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the line a command stands.

    `after`: what stands between the pipeline before and its own: "", ";", "&", "&&", "||".
    `pipelines`: those it is part of, outermost first; the last is its own.
    `subshell`: how many subshells deep (groups, substitutions, `sh -c`).
    `substitution`: "command" or "process" if it is run for a word of another command.
    `branches`: pairs (fork, side). Of two commands with the same fork and another side, only one is sure to
    be wanted: sides of if, case and `||`.
    """

    after: str = ""
    pipelines: tuple[Stage, ...] = ()
    subshell: int = 0
    background: bool = False
    loop: bool = False
    substitution: str = ""
    branches: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command. `argv` is empty where only something is assigned or redirected (`> out`).

    `directory` is where it runs, relative to where the line starts, normalised; absolute, or beginning with
    `~`, where the line says so; None if it cannot be known. `via` holds the words of the wrappers around it,
    outermost first. `around` holds the redirects of the groups around it. `assignments` are those before it and
    those before the shells around it. `fed`: the text on its standard input, if the line says it.
    """

    argv: tuple[Word, ...]
    assignments: tuple[Assignment, ...] = ()
    redirects: tuple[Redirect, ...] = ()
    directory: str | None = "."
    via: tuple[tuple[Word, ...], ...] = ()
    around: tuple[Redirect, ...] = ()
    place: Place = Place()
    fed: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.argv)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """`text` is how it is shown. `errors`: something in it was not understood, and may be missing."""

    text: str
    commands: tuple[Command, ...]
    errors: bool = False


def program_name(word: Word) -> str:
    """`/usr/bin/make` is make, and so is `$(which make)`. A sentence is no path, though it may have a slash."""
    looked_up = re.fullmatch(r"\$\((?:which|command -v|type -[pP]) ([\w./+-]+)\)", word.text)
    text = looked_up[1] if looked_up and not word.literal else word.text
    if re.match(r"[^/]*\s", text):
        return text
    return posixpath.basename(text.rstrip("/")).removesuffix(".exe")
