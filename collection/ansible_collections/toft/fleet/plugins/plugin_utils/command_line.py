# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a command is given: words become an argv or a shell command line, and perhaps a node before it.

Several words are an argv, run as they are. One single word with white space in it is a shell command line.
The first word is a node only if it is exactly a node's name and another word follows; `--` may part the two.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Form = Literal["auto", "shell", "exec"]


@dataclass(frozen=True)
class Command:
    """Either an argv, or one text for a shell; never both, never turned into one another."""

    argv: tuple[str, ...] = ()
    shell: str | None = None

    @property
    def words(self) -> tuple[str, ...]:
        """As it is shown and recorded."""
        return self.argv if self.shell is None else (self.shell,)

    def to_dict(self) -> dict[str, Any]:
        return {"argv": list(self.argv) if self.shell is None else None, "shell": self.shell}


@dataclass(frozen=True)
class Given:
    """What the words say: the command, and the node if one was named."""

    command: Command
    node: str | None = None


def understand(words: Sequence[str], nodes: Collection[str], form: Form, may_name_node: bool) -> Given:
    """Split off a node's name where there is one; the words themselves are never re-split."""
    named = may_name_node and len(words) > 1 and words[0] in nodes
    rest = tuple(words[1:] if named else words)
    if named and len(rest) > 1 and rest[0] == "--":
        rest = rest[1:]
    return Given(_command(rest, form), words[0] if named else None)


def _command(words: tuple[str, ...], form: Form) -> Command:
    line = form == "shell" or (form == "auto" and len(words) == 1 and any(c.isspace() for c in words[0]))
    return Command(shell=" ".join(words)) if line else Command(argv=words)
