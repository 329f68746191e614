# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Here-documents, taken out of a text before it is parsed.

tree-sitter-bash loses its way after a second one on a line, and would take their lines for commands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """The text of a here-document. `exact`: its delimiter was quoted, so nothing is expanded in it."""

    body: str
    exact: bool
    op: str


_MARK = re.compile(
    r"\\.|'[^']*'|\$'(?:[^'\\]|\\.)*'|\$?\"|\$\(\(|\$\(|\$\{|\(\(|[`()}\n]|(?<![^\s;&|()])#[^\n]*"
    r"|<<<|<>|<<(?P<dash>-?)[ \t]*(?P<delimiter>(?:'[^'\n]*'|\"[^\"\n]*\"|\\.|[^\s;&|<>()'\"\\`])+)",
    re.DOTALL,
)


class Masking:
    """Rewrites `<<WORD`, `<<<` and `<>` as a plain `<`, and blanks the documents.

    Every byte keeps its place, so `operators` can say by offset what really stood there.
    """

    def __init__(self, text: str) -> None:
        self.source = text
        self.operators: dict[int, Document | str] = {}
        self._cuts: list[tuple[int, int, str]] = []
        self._open: list[str] = []
        self._waiting: list[re.Match[str]] = []
        self._skip = 0
        for mark in _MARK.finditer(text):
            if mark.start() >= self._skip:
                self._see(mark)
        for mark in self._waiting:
            self._document(mark, len(text))

    @property
    def text(self) -> str:
        """The masked text."""
        parts, at = [], 0
        for start, end, instead in sorted(self._cuts):
            parts += [self.source[at:start], instead]
            at = end
        return "".join([*parts, self.source[at:]])

    def _see(self, mark: re.Match[str]) -> None:
        what = mark[0]
        inside = self._open[-1] if self._open else ""
        closing = {"$(": ")", "(": ")", "$((": "))", "((": "))", "${": "}", "`": "`", '"': '"', '$"': '"'}
        if (inside == '"' and what[0] in "'(#<\n") or (inside == "}" and what[0] in "(#<"):
            # A plain character there. A quote only opens a pair outside of double quotes.
            self._skip = mark.start() + 1
        elif what == inside or (what == ")" and inside == "))"):
            self._close(mark)
        elif what in closing:
            self._open.append(closing[what])
        elif what == "\n":
            self._bodies(mark.end())
        elif what[0] == "<" and inside != "))":
            self._operator(mark)

    def _close(self, mark: re.Match[str]) -> None:
        ending = self._open.pop()
        if ending == "))":
            self._skip = mark.start() + (2 if self.source.startswith("))", mark.start()) else 1)

    def _operator(self, mark: re.Match[str]) -> None:
        if mark["delimiter"] is not None:
            self._waiting.append(mark)
            return
        self.operators[mark.start()] = mark[0]
        self._cuts.append((*mark.span(), "<".ljust(len(mark[0]))))

    def _bodies(self, at: int) -> None:
        for mark in self._waiting:
            at = self._document(mark, at)
        self._waiting = []
        self._skip = at

    def _document(self, mark: re.Match[str], at: int) -> int:
        """Take the lines from `at` to the delimiter; answers where the next one begins."""
        plain = re.sub(r"\\(.)|['\"]", r"\1", mark["delimiter"])
        end, after = self._delimiter(plain, at, "\t" if mark["dash"] else "")
        body = self.source[at:end]
        if mark["dash"]:
            body = re.sub(r"^\t+", "", body, flags=re.MULTILINE)
        self.operators[mark.start()] = Document(body, plain != mark["delimiter"], "<<" + mark["dash"])
        self._cuts.append((*mark.span(), "<" + "_" * (_length(mark[0]) - 1)))
        self._cuts.append((at, after, re.sub(r"[^\n]+", _blank, self.source[at:after])))
        return after

    def _delimiter(self, plain: str, at: int, indent: str) -> tuple[int, int]:
        """Where the delimiter's line begins, and the one after it; the end if there is none."""
        source, found = self.source, at - 1
        while (found := source.find(plain, found + 1)) >= 0:
            begin, after = source.rfind("\n", at, found) + 1 or at, found + len(plain)
            if not source[begin:found].strip(indent or "\n") and source[after : after + 1] in ("", "\n"):
                return begin, min(after + 1, len(source))
        return len(source), len(source)


def _length(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _blank(match: re.Match[str]) -> str:
    return " " * _length(match[0])


def by_byte(masked: Masking) -> dict[int, Document | str]:
    """Offsets in characters to offsets in bytes."""
    found: dict[int, Document | str] = {}
    at = byte = 0
    for offset, what in sorted(masked.operators.items()):
        byte += _length(masked.source[at:offset])
        at = offset
        found[byte] = what
    return found
