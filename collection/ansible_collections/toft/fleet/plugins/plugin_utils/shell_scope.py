# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one shell process carries along: its directory, variables and functions, as far as the line itself says."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ansible_collections.toft.fleet.plugins.plugin_utils.shell_commands import Assignment, Word
from ansible_collections.toft.fleet.plugins.plugin_utils.shell_grammar import Compound

VALUE_LIMIT = 4096
"""Characters of a variable's value; it may double with each assignment."""


@dataclass(slots=True)
class Scope:
    """What one shell process carries along. `variables`: those whose value the line itself says."""

    directory: str | None = "."
    previous: str | None = None
    stack: list[str | None] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    functions: dict[str, Compound] = field(default_factory=dict)

    def child(self) -> Scope:
        return Scope(self.directory, self.previous, list(self.stack), dict(self.variables), dict(self.functions))

    def settle(self, ends: Sequence[Scope], or_none: bool = True) -> None:
        """After branches of which one was taken, or perhaps none: what all agree on is still known."""
        directories = {end.directory for end in ends} | ({self.directory} if or_none or not ends else set())
        self.directory = directories.pop() if len(directories) == 1 else None
        for end in ends:
            self.variables = {k: v for k, v in self.variables.items() if end.variables.get(k) == v}
            self.functions |= end.functions

    def go(self, directory: str | None) -> None:
        self.previous, self.directory = self.directory, directory

    def cd(self, operands: Sequence[Word]) -> None:
        """Follow `cd OPERANDS`, its options left out."""
        if not operands:
            self.go("~")
        elif operands[0].text == "-":
            self.go(self.previous)
        else:
            self.go(entered(self.directory, operands[0]))

    def remember(self, assignments: Iterable[Assignment]) -> None:
        for each in assignments:
            if each.value.literal and len(each.value.text) <= VALUE_LIMIT:
                self.variables[each.name] = each.value.text
            else:
                self.variables.pop(each.name, None)


def entered(base: str | None, target: Word) -> str | None:
    """Where `cd target` leads; None if that depends on what is not in the line."""
    text = target.text
    if not target.literal and not re.fullmatch(r"~(?:/[^$`*?\[{]*)?", text):
        return None
    if target.glob or not text:
        return None
    if text[0] in "/~":
        base = ""
    if base is None:
        return None
    path = posixpath.normpath(posixpath.join(base, text))
    climbs = base.startswith("~") and not path.startswith("~")
    return None if climbs or (text.startswith("~") and not path.startswith("~")) else path
