# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Words as the shell's text has them: tokens made of quoted and plain pieces, and what they expand to.

A piece is exactly what is meant, or it stands for something that only a shell could know; a variable that the
line itself sets is known.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ansible_collections.toft.fleet.plugins.plugin_utils.shell_commands import Word

DEPTH_LIMIT = 40
"""Groups, substitutions, functions and texts within texts, all together."""
REDIRECTS = frozenset(("<", ">", ">>", ">|", "<>", ">&", "<&", "&>", "&>>", "<<", "<<-", "<<<", "<&-", ">&-"))
NAME_VALUE = re.compile(r"(\w+)=(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\.|[^\\]+|\\$", re.DOTALL)
_BRACES = re.compile(r"\{[^{}\s]*(?:,|\.\.)[^{}\s]*\}")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a word. `name`: it is the value of this variable. `exact`: the text is what is meant."""

    text: str
    quoted: bool = False
    exact: bool = True
    name: str | None = None


@dataclass(slots=True)
class Token:
    """`kind`: word, assign (`text` is the name), op, fd. `inner`: substitutions, each with its own tokens."""

    kind: str
    text: str
    start: int
    end: int
    pieces: tuple[Piece, ...] = ()
    inner: tuple[tuple[str, list[Token]], ...] = ()

    def is_bare(self, *texts: str) -> bool:
        """Whether it is one of these reserved words, unquoted."""
        return self.kind == "word" and self.text in texts and not any(piece.quoted for piece in self.pieces)

    def is_op(self, *texts: str) -> bool:
        return self.kind == "op" and self.text in texts


def variable_name(text: str) -> str | None:
    match = re.fullmatch(r"\$(?:\{(\w+)\}|(\w+))", text)
    return (match[1] or match[2]) if match else None


def unescaped(text: str) -> Iterator[Piece]:
    for part in _ESCAPE.findall(text):
        if part[0] != "\\" or part == "\\":
            yield Piece(part)
        elif part != "\\\n":
            yield Piece(part[1:], quoted=True)


def double_quoted(text: str) -> str:
    return re.sub(r'\\(["\\$`])|\\\n', r"\1", text)


def ansi_c(text: str) -> str:
    """Within $'…'."""

    def replaced(match: re.Match[str]) -> str:
        code = match[1]
        if code in "eE":
            return "\x1b"
        if code in "'\"?":
            return code
        try:
            return codecs.decode("\\" + code, "unicode_escape")
        except ValueError:
            return match[0]

    return re.sub(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|.)", replaced, text)


def expand(pieces: Sequence[Piece], variables: dict[str, str]) -> tuple[Word, ...]:
    """Words from pieces, with the variables whose values the line itself says."""
    if len(pieces) == 1 and pieces[0].name in variables and not pieces[0].quoted:
        return tuple(Word(part) for part in variables[pieces[0].name or ""].split())
    known = [_known(piece, variables) for piece in pieces]
    bare = "".join(piece.text if not piece.quoted else "_" for piece in known)
    special = bare.startswith("~") or _BRACES.search(bare) is not None
    glob = re.search(r"[*?]|\[[^\]]+\]", bare) is not None and all(piece.exact for piece in known)
    return (Word("".join(p.text for p in known), all(p.exact for p in known) and not special, glob),)


def _known(piece: Piece, variables: dict[str, str]) -> Piece:
    if piece.name is None or piece.name not in variables:
        return piece
    return Piece(variables[piece.name], piece.quoted)
