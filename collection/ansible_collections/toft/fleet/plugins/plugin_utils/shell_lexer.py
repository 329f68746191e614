# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A text's words and operators, in their order of appearance.

tree-sitter-bash reads quotes, expansions and substitutions. Nothing else of its tree is used: it gives a redirect
to a whole list (`cd x && make > log`), puts `cd x && make | tee` into one pipeline, and has `time {` as plain
words. `shell_grammar` puts lists, pipelines and groups together from what is read here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from ansible_collections.toft.fleet.plugins.plugin_utils.heredocs import Document, Masking, by_byte
from ansible_collections.toft.fleet.plugins.plugin_utils.shell_words import (
    DEPTH_LIMIT,
    REDIRECTS,
    Piece,
    Token,
    ansi_c,
    double_quoted,
    unescaped,
    variable_name,
)

if TYPE_CHECKING:
    from tree_sitter import Language, Node

TOKEN_LIMIT = 10_000
TIME_LIMIT = 0.2
"""Seconds of this thread's CPU for tree-sitter; a handful of odd texts take it a square of their length."""
PREFIX = 2048
"""Bytes that are still looked at if the whole took too long."""
CHUNK = 1 << 16

_SEPARATORS = frozenset(("&&", "||", "|", "|&", ";", "&", "(", ")", ";;", ";&", ";;&"))
_SUBSTITUTIONS = {"command_substitution": "command", "process_substitution": "process"}
_WORDS = frozenset(
    (
        "word",
        "string",
        "raw_string",
        "ansi_c_string",
        "translated_string",
        "concatenation",
        "simple_expansion",
        "expansion",
        "arithmetic_expansion",
        "brace_expression",
        "number",
        "extglob_pattern",
        "regex",
        "variable_name",
        "special_variable_name",
        "array",
        "subscript",
        "test_operator",
    )
).union(_SUBSTITUTIONS)


class Reader:
    """Texts to tokens, by tree-sitter; keeps what is left of the limits."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.errors = False
        self._clock = clock
        self._seconds = TIME_LIMIT
        self._tokens = TOKEN_LIMIT

    def read(self, text: str, depth: int) -> list[Token]:
        if "\0" in text:
            # No shell can be given one.
            self.errors, text = True, text.replace("\0", " ")
        text = text.replace("\r\n", "\n")
        masked = Masking(text) if "<<" in text or "<>" in text else None
        source = text.encode("utf-8", "surrogateescape")
        shown = masked.text.encode("utf-8", "surrogateescape") if masked else source
        root = self._parse(shown)
        if root is None:
            return []
        self.errors = self.errors or root.has_error
        lexer = _Lexer(self, source, depth)
        if masked:
            lexer.operators = by_byte(masked)
        return lexer.tokens([root])

    def count(self) -> bool:
        """Whether another token may be read."""
        self._tokens -= 1
        self.errors = self.errors or self._tokens < 0
        return self._tokens >= 0

    def _parse(self, source: bytes) -> Node | None:
        for text in (source, source[:PREFIX]):
            begun = self._clock()
            root = self._tree(text, begun)
            self._seconds = max(0.02, self._seconds - (self._clock() - begun))
            if root is not None:
                return root
            self.errors = True
        return None

    def _tree(self, source: bytes, begun: float) -> Node | None:
        from tree_sitter import Parser

        def overdue(*_progress: object) -> bool:
            return self._clock() - begun > self._seconds

        def chunk(offset: int, _point: object) -> bytes:
            return source[offset : offset + CHUNK]

        try:
            # A text that is given as bytes cannot be interrupted; one that is fetched can.
            return Parser(_language()).parse(chunk, progress_callback=overdue).root_node
        except ValueError:
            return None


@cache
def _language() -> Language:
    import tree_sitter_bash
    from tree_sitter import Language

    return Language(tree_sitter_bash.language())


class _Lexer:
    """The words and operators of a tree, in their order."""

    def __init__(self, reader: Reader, source: bytes, depth: int) -> None:
        self.operators: dict[int, Document | str] = {}
        self._reader = reader
        self._source = source
        self._depth = depth

    def tokens(self, nodes: list[Node]) -> list[Token]:
        """Newlines between statements become `;`."""
        found: list[Token] = []
        stack = [(node, False) for node in reversed(nodes)]
        end = nodes[0].start_byte if nodes else 0
        newline = False
        while stack:
            node, plain = stack.pop()
            token = self._token(node)
            if token is None:
                # What stands in [ ] and [[ ]] are words, whatever it looks like.
                plain = plain or node.type == "test_command"
                stack += [(child, plain) for child in reversed(node.children)]
            elif node.type == "comment":
                newline = True
            elif token.end > token.start:
                if not self._reader.count():
                    break
                if newline or self._breaks(end, token.start):
                    found.append(Token("op", ";", token.start, token.start))
                newline = False
                self._add(found, _as_word(token) if plain else token)
                end = max(end, token.end)
        return found

    def _breaks(self, end: int, start: int) -> bool:
        gap = self._source[end:start]
        return b"\n" in gap and b"\n" in gap.replace(b"\\\n", b"")

    def _token(self, node: Node) -> Token | None:
        """None: look at its children."""
        kind, start, end = node.type, node.start_byte, node.end_byte
        if kind in _WORDS:
            return Token("word", self._text(node), start, end, tuple(self._pieces(node)), self._inner(node))
        if kind == "variable_assignment":
            return self._assignment(node)
        if kind == "file_descriptor":
            return Token("fd", self._text(node), start, end)
        if kind == "compound_statement" and node.children[0].type == "((":
            piece = Piece(self._text(node), exact=False)
            return Token("word", piece.text, start, end, (piece,), self._inner(node))
        return None if node.child_count else self._leaf(node)

    def _leaf(self, node: Node) -> Token:
        text, start, end = self._text(node), node.start_byte, node.end_byte
        if text in REDIRECTS or text in _SEPARATORS:
            return Token("op", text, start, end)
        if text in ("$(", "<(", ">(", "`", "\n"):
            # Left over where the parser gave up: what follows is a command.
            return Token("op", ";", start, end)
        if node.is_missing or text in ('"', "'") or not text.strip():
            return Token("op", "", start, start)
        return Token("word", text, start, end, (Piece(text),))

    def _assignment(self, node: Node) -> Token:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        text = self._text(name) if name else ""
        pieces = tuple(self._pieces(value)) if value else ()
        return Token("assign", text, node.start_byte, node.end_byte, pieces, self._inner(node))

    def _add(self, found: list[Token], token: Token) -> None:
        """Put right what was masked, and join what has no space between."""
        before = found[-1] if found else None
        what = self.operators.get(token.start) if token.is_op("<") else None
        if isinstance(what, str):
            token.text = what
        elif what is not None:
            token.text = what.op
        if before and before.is_op("<<", "<<-") and token.kind == "word":
            document = self.operators.get(before.start)
            token = self._document(token, document) if isinstance(document, Document) else token
        if before and before.is_bare("$") and token.text.startswith('"') and before.end == token.start:
            found[-1] = token
        elif before and before.kind == token.kind == "word" and before.end == token.start:
            before.text, before.end = before.text + token.text, token.end
            before.pieces, before.inner = before.pieces + token.pieces, before.inner + token.inner
        else:
            found.append(token)

    def _document(self, token: Token, document: Document) -> Token:
        expanded = not document.exact and re.search(r"[$`]", document.body) is not None
        piece = Piece(document.body, quoted=True, exact=not expanded)
        inner: tuple[tuple[str, list[Token]], ...] = ()
        if expanded and self._deeper():
            # As in double quotes, but for the double quotes themselves.
            text = '"' + re.sub(r'(?<!\\)"', " ", document.body) + '"'
            read = self._reader.read(f": {text}", self._depth + 1)
            inner = tuple(pair for each in read for pair in each.inner)
        return Token("word", token.text, token.start, token.end, (piece,), inner)

    def _deeper(self) -> bool:
        self._reader.errors = self._reader.errors or self._depth >= DEPTH_LIMIT
        return self._depth < DEPTH_LIMIT

    def _inner(self, node: Node) -> tuple[tuple[str, list[Token]], ...]:
        """The topmost substitutions within a word."""
        if not node.child_count:
            return ()
        found: list[tuple[str, list[Token]]] = []
        stack = [node]
        while stack:
            each = stack.pop()
            if each.type not in _SUBSTITUTIONS:
                stack += each.children[::-1]
            elif self._deeper():
                lexer = _Lexer(self._reader, self._source, self._depth + 1)
                lexer.operators = self.operators
                found.append((_SUBSTITUTIONS[each.type], lexer.tokens(_contents(each))))
        if not found and any("`" in text for text in re.findall(r"\$\{[^}]*\}?", self._text(node))):
            self._reader.errors = True  # ${X:-`make`} is no substitution to tree-sitter
        return tuple(found)

    def _pieces(self, node: Node, quoted: bool = False) -> Iterator[Piece]:
        text = self._text(node)
        if node.type == "concatenation":
            for child in node.children:
                # The dollar of $"…", which marks a text to be translated, is no part of it.
                yield from self._pieces(child) if child.type != "$" else ()
        elif node.type in ("string", "translated_string"):
            yield from self._string(node)
        elif node.type == "raw_string":
            yield Piece(text[1:-1], quoted=True)
        elif node.type == "ansi_c_string":
            yield Piece(ansi_c(text[2:-1]), quoted=True)
        elif node.type in ("simple_expansion", "expansion"):
            yield Piece(text, quoted, exact=False, name=variable_name(text))
        elif node.type in ("word", "number", "variable_name", "extglob_pattern", "regex", "test_operator"):
            yield from unescaped(text)
        else:
            yield Piece(text, quoted, exact=node.child_count == 0)

    def _string(self, node: Node) -> Iterator[Piece]:
        """Between the quotes; tree-sitter has no node for some of the white space."""
        if node.type == "translated_string":
            node = node.children[-1]
        at, end = node.start_byte + 1, node.end_byte - 1
        yield Piece("", quoted=True)
        for child in node.children[1:-1]:
            if child.type == "string_content":
                continue
            yield Piece(double_quoted(self._slice(at, child.start_byte)), quoted=True)
            yield from self._pieces(child, quoted=True)
            at = child.end_byte
        yield Piece(double_quoted(self._slice(at, end)), quoted=True)

    def _text(self, node: Node) -> str:
        return self._slice(node.start_byte, node.end_byte)

    def _slice(self, start: int, end: int) -> str:
        return self._source[start:end].decode("utf-8", "surrogateescape")


def _as_word(token: Token) -> Token:
    return token if token.kind == "word" else replace(token, kind="word", pieces=(Piece(token.text),))


def _contents(substitution: Node) -> list[Node]:
    """Without `$(` and `)`."""
    children = substitution.children[1:]
    return children[:-1] if children and children[-1].type in (")", "`") else children
