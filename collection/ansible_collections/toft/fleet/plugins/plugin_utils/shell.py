# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A command line as the simple commands that it would run, each with its words, redirects and directory.

The model, in the order of this file:

1. *Values.* A :class:`CommandLine` holds :class:`Command` values in the order in which a shell would come to
   them. Each says what is run (`argv`), where (`directory`), through which wrappers (`via`) and in which
   position (`place`). A word says whether it is exactly what the program gets (`literal`).
2. *Here-documents.* Their text is taken out first, because tree-sitter-bash loses its way after a second one
   on a line and would take their lines for commands.
3. *Words.* tree-sitter-bash reads quotes, expansions and substitutions. Of its tree only the words and the
   operators are used, in their order of appearance.
4. *Grammar.* Lists, pipelines and groups are put together here, from those words: tree-sitter's tree gives a
   redirect to a whole list (`cd x && make > log`), puts `cd x && make | tee` into one pipeline, and has
   `time {` as plain words.
5. *Wrappers.* What `sudo`, `env`, `bash -c`, `xargs` and so on would run is a command of its own. A program
   that runs something elsewhere (ssh, docker run, kubectl exec) is no wrapper.
6. *The walk.* It follows directories, variables, functions and subshells as a shell does, and gives commands.

Nothing is run and nothing is read. No text raises: what cannot be understood is left out, and `errors` says
so. Depth, number of commands and time are bounded (the LIMITs below).
"""

from __future__ import annotations

import codecs
import posixpath
import re
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Language, Node

DEPTH_LIMIT = 40
"""Groups, substitutions, functions and texts within texts, all together."""
TOKEN_LIMIT = 10_000
STEP_LIMIT = 10_000
VALUE_LIMIT = 4096
"""Characters of a variable's value; it may double with each assignment."""
TIME_LIMIT = 0.2
"""Seconds of this thread's CPU for tree-sitter; a handful of odd texts take it a square of their length."""
PREFIX = 2048
"""Bytes that are still looked at if the whole took too long."""
CHUNK = 1 << 16


# ---- values ------------------------------------------------------------------


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
    outermost first. `around` holds the redirects of the groups around it.
    """

    argv: tuple[Word, ...]
    assignments: tuple[Assignment, ...] = ()
    redirects: tuple[Redirect, ...] = ()
    directory: str | None = "."
    via: tuple[tuple[Word, ...], ...] = ()
    around: tuple[Redirect, ...] = ()
    place: Place = Place()

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


def parse(text: str, clock: Callable[[], float] = time.thread_time) -> CommandLine:
    """A shell command line. `clock` bounds the work; it counts in seconds."""
    walk = _Walk(_Reader(clock))
    walk.text(text, _Scope(), _Context())
    return CommandLine(text, tuple(walk.commands), walk.errors or walk.reader.errors)


def parse_argv(words: Sequence[str], clock: Callable[[], float] = time.thread_time) -> CommandLine:
    """Words that are run as they are, without a shell: none is split, expanded or taken for an operator."""
    walk = _Walk(_Reader(clock))
    walk.errors = any("\0" in word for word in words)
    if words:
        walk.argv(tuple(Word(word) for word in words))
    return CommandLine(shlex.join(words), tuple(walk.commands), walk.errors or walk.reader.errors)


# ---- here-documents ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Document:
    """The text of a here-document. `exact`: its delimiter was quoted, so nothing is expanded in it."""

    body: str
    exact: bool
    op: str


_MARK = re.compile(
    r"\\.|'[^']*'|\$'(?:[^'\\]|\\.)*'|\$?\"|\$\(\(|\$\(|\$\{|\(\(|[`()}\n]|(?<![^\s;&|()])#[^\n]*"
    r"|<<<|<>|<<(?P<dash>-?)[ \t]*(?P<delimiter>(?:'[^'\n]*'|\"[^\"\n]*\"|\\.|[^\s;&|<>()'\"\\`])+)",
    re.DOTALL,
)


class _Masking:
    """Rewrites `<<WORD`, `<<<` and `<>` as a plain `<`, and blanks the documents.

    Every byte keeps its place, so `operators` can say by offset what really stood there.
    """

    def __init__(self, text: str) -> None:
        self.source = text
        self.operators: dict[int, _Document | str] = {}
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
        self.operators[mark.start()] = _Document(body, plain != mark["delimiter"], "<<" + mark["dash"])
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


# ---- words -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of a word. `name`: it is the value of this variable. `exact`: the text is what is meant."""

    text: str
    quoted: bool = False
    exact: bool = True
    name: str | None = None


@dataclass(slots=True)
class _Token:
    """`kind`: word, assign (`text` is the name), op, fd. `inner`: substitutions, each with its own tokens."""

    kind: str
    text: str
    start: int
    end: int
    pieces: tuple[_Piece, ...] = ()
    inner: tuple[tuple[str, list[_Token]], ...] = ()

    def is_bare(self, *texts: str) -> bool:
        """Whether it is one of these reserved words, unquoted."""
        return self.kind == "word" and self.text in texts and not any(piece.quoted for piece in self.pieces)

    def is_op(self, *texts: str) -> bool:
        return self.kind == "op" and self.text in texts


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_REDIRECTS = _names("< > >> >| <> >& <& &> &>> << <<- <<< <&- >&-")
_SEPARATORS = frozenset(("&&", "||", "|", "|&", ";", "&", "(", ")", ";;", ";&", ";;&"))
_SUBSTITUTIONS = {"command_substitution": "command", "process_substitution": "process"}
_WORDS = _names(
    """word string raw_string ansi_c_string translated_string concatenation simple_expansion expansion
    arithmetic_expansion brace_expression number extglob_pattern regex variable_name special_variable_name
    array subscript test_operator"""
).union(_SUBSTITUTIONS)
_ESCAPE = re.compile(r"\\.|[^\\]+|\\$", re.DOTALL)
_BRACES = re.compile(r"\{[^{}\s]*(?:,|\.\.)[^{}\s]*\}")


class _Reader:
    """Texts to tokens, by tree-sitter; keeps what is left of the limits."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.errors = False
        self._clock = clock
        self._seconds = TIME_LIMIT
        self._tokens = TOKEN_LIMIT

    def read(self, text: str, depth: int) -> list[_Token]:
        if "\0" in text:
            # No shell can be given one.
            self.errors, text = True, text.replace("\0", " ")
        text = text.replace("\r\n", "\n")
        masked = _Masking(text) if "<<" in text or "<>" in text else None
        source = text.encode("utf-8", "surrogateescape")
        shown = masked.text.encode("utf-8", "surrogateescape") if masked else source
        root = self._parse(shown)
        if root is None:
            return []
        self.errors = self.errors or root.has_error
        lexer = _Lexer(self, source, depth)
        if masked:
            lexer.operators = _by_byte(masked)
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

        def overdue(*_: object) -> bool:
            return self._clock() - begun > self._seconds

        def chunk(offset: int, _: object) -> bytes:
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


def _by_byte(masked: _Masking) -> dict[int, _Document | str]:
    """Offsets in characters to offsets in bytes."""
    found: dict[int, _Document | str] = {}
    at = byte = 0
    for offset, what in sorted(masked.operators.items()):
        byte += _length(masked.source[at:offset])
        at = offset
        found[byte] = what
    return found


class _Lexer:
    """The words and operators of a tree, in their order."""

    def __init__(self, reader: _Reader, source: bytes, depth: int) -> None:
        self.operators: dict[int, _Document | str] = {}
        self._reader = reader
        self._source = source
        self._depth = depth

    def tokens(self, nodes: list[Node]) -> list[_Token]:
        """Newlines between statements become `;`."""
        found: list[_Token] = []
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
                    found.append(_Token("op", ";", token.start, token.start))
                newline = False
                self._add(found, _as_word(token) if plain else token)
                end = max(end, token.end)
        return found

    def _breaks(self, end: int, start: int) -> bool:
        gap = self._source[end:start]
        return b"\n" in gap and b"\n" in gap.replace(b"\\\n", b"")

    def _token(self, node: Node) -> _Token | None:
        """None: look at its children."""
        kind, start, end = node.type, node.start_byte, node.end_byte
        if kind in _WORDS:
            return _Token("word", self._text(node), start, end, tuple(self._pieces(node)), self._inner(node))
        if kind == "variable_assignment":
            return self._assignment(node)
        if kind == "file_descriptor":
            return _Token("fd", self._text(node), start, end)
        if kind == "compound_statement" and node.children[0].type == "((":
            piece = _Piece(self._text(node), exact=False)
            return _Token("word", piece.text, start, end, (piece,), self._inner(node))
        return None if node.child_count else self._leaf(node)

    def _leaf(self, node: Node) -> _Token:
        text, start, end = self._text(node), node.start_byte, node.end_byte
        if text in _REDIRECTS or text in _SEPARATORS:
            return _Token("op", text, start, end)
        if text in ("$(", "<(", ">(", "`", "\n"):
            # Left over where the parser gave up: what follows is a command.
            return _Token("op", ";", start, end)
        if node.is_missing or text in ('"', "'") or not text.strip():
            return _Token("op", "", start, start)
        return _Token("word", text, start, end, (_Piece(text),))

    def _assignment(self, node: Node) -> _Token:
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        text = self._text(name) if name else ""
        pieces = tuple(self._pieces(value)) if value else ()
        return _Token("assign", text, node.start_byte, node.end_byte, pieces, self._inner(node))

    def _add(self, found: list[_Token], token: _Token) -> None:
        """Put right what was masked, and join what has no space between."""
        before = found[-1] if found else None
        what = self.operators.get(token.start) if token.is_op("<") else None
        if isinstance(what, str):
            token.text = what
        elif what is not None:
            token.text = what.op
        if before and before.is_op("<<", "<<-") and token.kind == "word":
            document = self.operators.get(before.start)
            token = self._document(token, document) if isinstance(document, _Document) else token
        if before and before.is_bare("$") and token.text.startswith('"') and before.end == token.start:
            found[-1] = token
        elif before and before.kind == token.kind == "word" and before.end == token.start:
            before.text, before.end = before.text + token.text, token.end
            before.pieces, before.inner = before.pieces + token.pieces, before.inner + token.inner
        else:
            found.append(token)

    def _document(self, token: _Token, document: _Document) -> _Token:
        expanded = not document.exact and re.search(r"[$`]", document.body) is not None
        piece = _Piece(document.body, quoted=True, exact=not expanded)
        inner: tuple[tuple[str, list[_Token]], ...] = ()
        if expanded and self._deeper():
            # As in double quotes, but for the double quotes themselves.
            text = '"' + re.sub(r'(?<!\\)"', " ", document.body) + '"'
            read = self._reader.read(f": {text}", self._depth + 1)
            inner = tuple(pair for each in read for pair in each.inner)
        return _Token("word", token.text, token.start, token.end, (piece,), inner)

    def _deeper(self) -> bool:
        self._reader.errors = self._reader.errors or self._depth >= DEPTH_LIMIT
        return self._depth < DEPTH_LIMIT

    def _inner(self, node: Node) -> tuple[tuple[str, list[_Token]], ...]:
        """The topmost substitutions within a word."""
        if not node.child_count:
            return ()
        found: list[tuple[str, list[_Token]]] = []
        stack = [node]
        while stack:
            each = stack.pop()
            if each.type not in _SUBSTITUTIONS:
                stack += each.children[::-1]
            elif self._deeper():
                lexer = _Lexer(self._reader, self._source, self._depth + 1)
                lexer.operators = self.operators
                found.append((_SUBSTITUTIONS[each.type], lexer.tokens(_contents(each))))
        return tuple(found)

    def _pieces(self, node: Node, quoted: bool = False) -> Iterator[_Piece]:
        text = self._text(node)
        if node.type == "concatenation":
            for child in node.children:
                # The dollar of $"…", which marks a text to be translated, is no part of it.
                yield from self._pieces(child) if child.type != "$" else ()
        elif node.type in ("string", "translated_string"):
            yield from self._string(node)
        elif node.type == "raw_string":
            yield _Piece(text[1:-1], quoted=True)
        elif node.type == "ansi_c_string":
            yield _Piece(_ansi_c(text[2:-1]), quoted=True)
        elif node.type in ("simple_expansion", "expansion"):
            yield _Piece(text, quoted, exact=False, name=_variable(text))
        elif node.type in ("word", "number", "variable_name", "extglob_pattern", "regex", "test_operator"):
            yield from _unescaped(text)
        else:
            yield _Piece(text, quoted, exact=node.child_count == 0)

    def _string(self, node: Node) -> Iterator[_Piece]:
        """Between the quotes; tree-sitter has no node for some of the white space."""
        if node.type == "translated_string":
            node = node.children[-1]
        at, end = node.start_byte + 1, node.end_byte - 1
        yield _Piece("", quoted=True)
        for child in node.children[1:-1]:
            if child.type == "string_content":
                continue
            yield _Piece(_double_quoted(self._slice(at, child.start_byte)), quoted=True)
            yield from self._pieces(child, quoted=True)
            at = child.end_byte
        yield _Piece(_double_quoted(self._slice(at, end)), quoted=True)

    def _text(self, node: Node) -> str:
        return self._slice(node.start_byte, node.end_byte)

    def _slice(self, start: int, end: int) -> str:
        return self._source[start:end].decode("utf-8", "surrogateescape")


def _as_word(token: _Token) -> _Token:
    return token if token.kind == "word" else replace(token, kind="word", pieces=(_Piece(token.text),))


def _contents(substitution: Node) -> list[Node]:
    """Without `$(` and `)`."""
    children = substitution.children[1:]
    return children[:-1] if children and children[-1].type in (")", "`") else children


def _variable(text: str) -> str | None:
    match = re.fullmatch(r"\$(?:\{(\w+)\}|(\w+))", text)
    return (match[1] or match[2]) if match else None


def _unescaped(text: str) -> Iterator[_Piece]:
    for part in _ESCAPE.findall(text):
        if part[0] != "\\" or part == "\\":
            yield _Piece(part)
        elif part != "\\\n":
            yield _Piece(part[1:], quoted=True)


def _double_quoted(text: str) -> str:
    return re.sub(r'\\(["\\$`])|\\\n', r"\1", text)


def _ansi_c(text: str) -> str:
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


def _expand(pieces: Sequence[_Piece], variables: dict[str, str]) -> tuple[Word, ...]:
    """Words from pieces, with the variables whose values the line itself says."""
    if len(pieces) == 1 and pieces[0].name in variables and not pieces[0].quoted:
        return tuple(Word(part) for part in variables[pieces[0].name or ""].split())
    known = [_known(piece, variables) for piece in pieces]
    bare = "".join(piece.text if not piece.quoted else "_" for piece in known)
    special = bare.startswith("~") or _BRACES.search(bare) is not None
    glob = re.search(r"[*?]|\[[^\]]+\]", bare) is not None and all(piece.exact for piece in known)
    return (Word("".join(p.text for p in known), all(p.exact for p in known) and not special, glob),)


def _known(piece: _Piece, variables: dict[str, str]) -> _Piece:
    if piece.name is None or piece.name not in variables:
        return piece
    return _Piece(variables[piece.name], piece.quoted)


# ---- grammar -----------------------------------------------------------------


@dataclass(slots=True)
class _Redirection:
    op: str
    fd: int | None
    target: _Token | None


@dataclass(slots=True)
class _Simple:
    assignments: list[_Token] = field(default_factory=list)
    words: list[_Token] = field(default_factory=list)
    redirects: list[_Redirection] = field(default_factory=list)


@dataclass(slots=True)
class _Compound:
    """`clauses`: pairs of a condition and a body; only an if and a case have several.

    `kind`: `(`, `{`, if, while, for, case, function. `words`: a for's values, a case's subject; a function's
    or a for's `name`.
    """

    kind: str
    clauses: list[tuple[list[_Item], list[_Item]]]
    words: list[_Token] = field(default_factory=list)
    name: str = ""
    redirects: list[_Redirection] = field(default_factory=list)


@dataclass(slots=True)
class _Item:
    """A pipeline in a list. `prefix`: `time` or `coproc` before it. `side`: of which `||` in which `run`."""

    op: str
    stages: list[_Simple | _Compound]
    prefix: tuple[str, ...] = ()
    background: bool = False
    run: int = 0
    side: int | None = 0


_OPENERS = _names("{ if while until for select case function")
_CLOSERS = _names("} then do done fi elif else esac")


class _Grammar:
    """Tokens to lists of pipelines. Never raises; each step takes at least one token."""

    def __init__(self, tokens: list[_Token], depth: int) -> None:
        self.errors = False
        self._tokens = tokens
        self._at = 0
        self._depth = depth
        self._runs = 0

    def read(self) -> list[_Item]:
        return self._list()

    def _peek(self, ahead: int = 0) -> _Token | None:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else None

    def _take(self, *texts: str) -> bool:
        """Step over a reserved word or operator; it is an error if it is not there."""
        token = self._peek()
        if token is not None and (token.is_bare(*texts) or token.is_op(*texts)):
            self._at += 1
            return True
        self.errors = True
        return False

    def _list(self, *stops: str) -> list[_Item]:
        items: list[_Item] = []
        op = ""
        while (token := self._peek()) is not None:
            if token.is_bare(*stops) or token.is_op(*stops):
                break
            if token.is_op(";", "&"):
                self._at += 1
                op = op if op == "&" else token.text
            elif token.is_bare(*_CLOSERS) or token.is_op(")", ";;", ";&", ";;&", "|", "|&", "&&", "||"):
                self._at += 1
                self.errors = True
            else:
                items += self._and_or(op if items else "", stops)
                op = ""
        return items

    def _and_or(self, op: str, stops: tuple[str, ...]) -> list[_Item]:
        self._runs += 1
        sides, items = 0, [self._pipeline(op, stops)]
        while (token := self._peek()) is not None and token.is_op("&&", "||"):
            self._at += 1
            self._skip_newlines()
            items.append(self._pipeline(token.text, stops))
            sides += token.text == "||"
            # In `a || b && c` the last is run whichever of the others succeeded.
            items[-1].side = None if sides and token.text == "&&" else sides
        for item in items:
            item.run = self._runs if sides and item.side is not None else 0
            item.background = token is not None and token.is_op("&")
        return items

    def _pipeline(self, op: str, stops: tuple[str, ...]) -> _Item:
        item = _Item(op, [], self._prefix())
        while True:
            self._stage(item.stages, stops)
            token = self._peek()
            if token is None or not token.is_op("|", "|&"):
                return item
            self._at += 1
            self._skip_newlines()

    def _prefix(self) -> tuple[str, ...]:
        """`!`, and `time` or `coproc` before a group; before a plain command they are wrappers."""
        found: list[str] = []
        while (token := self._peek()) is not None:
            following = self._peek(1)
            if token.is_bare("!"):
                self._at += 1
                continue
            if not token.is_bare("time", "coproc") or following is None:
                break
            named = self._peek(2) if token.text == "coproc" else None
            if not self._opens(following) and (named is None or not self._opens(named)):
                break
            self._at += 1 if self._opens(following) else 2
            found.append(token.text)
        return tuple(found)

    def _opens(self, token: _Token) -> bool:
        return token.is_op("(") or token.is_bare(*_OPENERS)

    def _skip_newlines(self) -> None:
        while (token := self._peek()) is not None and token.is_op(";"):
            self._at += 1

    def _stage(self, stages: list[_Simple | _Compound], stops: tuple[str, ...]) -> None:
        token = self._peek()
        if token is None or token.is_bare(*stops, *_CLOSERS):
            self.errors = True
            return
        if self._opens(token) or self._defines():
            stage = self._bounded_compound(token)
            if stage is not None:
                stage.redirects += self._redirects()
                stages.append(stage)
            return
        at = self._at
        simple = self._simple()
        if self._at == at:
            self._at += 1
            self.errors = True
        else:
            stages.append(simple)

    def _defines(self) -> bool:
        """name ( )"""
        name, left, right = self._peek(), self._peek(1), self._peek(2)
        return bool(name and left and right and name.kind == "word" and left.is_op("(") and right.is_op(")"))

    def _bounded_compound(self, token: _Token) -> _Compound | None:
        if self._depth >= DEPTH_LIMIT:
            # What is inside is read as if the group were not there.
            self._at += 1
            self.errors = True
            return None
        self._depth += 1
        try:
            return self._compound(token)
        finally:
            self._depth -= 1

    def _compound(self, token: _Token) -> _Compound:
        if token.kind == "word" and not token.is_bare(*_OPENERS):
            self._at += 3
            return self._function(token.text)
        self._at += 1
        match token.text:
            case "(":
                return self._group("(", ")")
            case "{":
                return self._group("{", "}")
            case "if":
                return self._if()
            case "while" | "until":
                condition = self._list("do")
                return _Compound("while", [(condition, self._do())])
            case "case":
                return self._case()
            case "function":
                return self._named_function()
        return self._for()

    def _group(self, kind: str, end: str) -> _Compound:
        body = self._list(end)
        self._take(end)
        return _Compound(kind, [([], body)])

    def _do(self) -> list[_Item]:
        self._take("do")
        body = self._list("done")
        self._take("done")
        return body

    def _if(self) -> _Compound:
        clauses = []
        while True:
            condition = self._list("then")
            self._take("then")
            clauses.append((condition, self._list("elif", "else", "fi")))
            token = self._peek()
            if token is None or not token.is_bare("elif"):
                break
            self._at += 1
        if token is not None and token.is_bare("else"):
            self._at += 1
            clauses.append(([], self._list("fi")))
        self._take("fi")
        return _Compound("if", clauses)

    def _for(self) -> _Compound:
        """for NAME [in WORD…]; do …; for ((…)); do …; select."""
        words: list[_Token] = []
        while (token := self._peek()) is not None and not token.is_bare("do", "{"):
            words += [token] if token.kind in ("word", "assign") else []
            self._at += 1
        name = words[0].text if words else ""
        values = words[2:] if len(words) > 1 and words[1].is_bare("in") else []
        if token is not None and token.is_bare("{"):
            self._at += 1
            return replace(self._group("for", "}"), words=values, name=name)
        return _Compound("for", [([], self._do())], values, name)

    def _case(self) -> _Compound:
        words: list[_Token] = []
        while (token := self._peek()) is not None and not token.is_bare("in"):
            words += [token] if token.kind == "word" else []
            self._at += 1
        self._take("in")
        clauses: list[tuple[list[_Item], list[_Item]]] = []
        while (token := self._peek()) is not None and not token.is_bare("esac"):
            if not token.is_op(";"):
                self._pattern()
                clauses.append(([], self._list(";;", ";&", ";;&", "esac")))
                token = self._peek()
            self._at += 1 if token is not None and not token.is_bare("esac") else 0
        self._take("esac")
        return _Compound("case", clauses, words)

    def _pattern(self) -> None:
        """Everything up to its `)`."""
        if (token := self._peek()) is not None and token.is_op("("):
            self._at += 1
        while (token := self._peek()) is not None and not token.is_op(")"):
            self._at += 1
        self._take(")")

    def _named_function(self) -> _Compound:
        name = self._peek()
        self._at += 1
        if (token := self._peek()) is not None and token.is_op("("):
            self._at += 2
        return self._function(name.text if name else "")

    def _function(self, name: str) -> _Compound:
        self._skip_newlines()
        body: list[_Simple | _Compound] = []
        self._stage(body, ())
        return _Compound("function", [([], [_Item("", body)])], name=name)

    def _redirects(self) -> list[_Redirection]:
        """Those that follow a group."""
        simple = self._simple(words=False)
        return simple.redirects

    def _simple(self, words: bool = True) -> _Simple:
        found = _Simple()
        fd: int | None = None
        while (token := self._peek()) is not None:
            if token.kind == "op" and token.text not in _REDIRECTS:
                break
            if token.kind in ("word", "assign") and not words:
                break
            self._at += 1
            if token.kind == "fd":
                fd = int(token.text) if token.text.isdecimal() else None
            elif token.kind == "op":
                found.redirects.append(_Redirection(token.text, fd, self._target(token)))
                fd = None
            elif token.kind == "assign" and not found.words:
                found.assignments.append(token)
            else:
                found.words.append(token)
        return found

    def _target(self, op: _Token) -> _Token | None:
        token = self._peek()
        closes = op.text in ("<&-", ">&-")
        if closes or token is None or token.kind not in ("word", "fd"):
            return None
        self._at += 1
        return token


# ---- wrappers ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """How to find what a program would run among its words.

    `path`: its subcommands (`uv run`). `values`: options that take the next word. `text`: options whose value
    is a shell text. `starts`: options after which the command begins. `chdir`: options whose value is the
    directory. `quits`: options with which it runs nothing. `operands`: words before the command. `dashes`:
    the command begins only after `--`. `joined`: the words are one shell text. `each`: every word is one.
    `assigns`: NAME=VALUE may come first. `keeps`: it does work of its own too.
    """

    path: tuple[str, ...]
    values: frozenset[str] = frozenset()
    text: frozenset[str] = frozenset()
    starts: frozenset[str] = frozenset()
    chdir: frozenset[str] = frozenset()
    quits: frozenset[str] = frozenset()
    operands: int = 0
    dashes: bool = False
    joined: bool = False
    each: bool = False
    assigns: bool = False
    keeps: bool = False


_TABLE = """
sudo: -u -g -p -C -h -r -t -T -U -R -D --user --group --prompt --close-from --host --role --type --chroot
  --chdir --other-user --command-timeout; assigns; chdir -D --chdir; quits -l -v -e -k -K -V --list --edit
doas: -u -C; quits -L
pkexec: --user
su: -g -G -s -w --shell --group; text -c --command; operands 99
runuser: -u -g -G -s -w --user --group --shell; text -c --command
gosu: ; operands 1
su-exec: ; operands 1
setpriv: --reuid --regid --groups
sshpass: -f -d -p -P
env: -u --unset -C --chdir -S --split-string --argv0 -a; text -S --split-string; chdir -C --chdir; assigns
nice: -n --adjustment
gnice: -n --adjustment
ionice: -c -n --class --classdata -p -P -u; quits -p -P -u
nohup:
setsid:
stdbuf: -i -o -e --input --output --error
gstdbuf: -i -o -e
time: -f -o --format --output; assigns
gtime: -f -o --format --output
coproc: ; assigns
timeout: -k -s --kill-after --signal; operands 1
gtimeout: -k -s --kill-after --signal; operands 1
chronic:
ifne:
grc: -c
pump:
sem: -j --id --jobs
run-one:
lckdo: ; operands 1
setlock: ; operands 1
nq:
tsp: -N -L -D -S; quits -l -C -K -c -t
pueue add: -g -w -d -a -l --group --working-directory --delay --after --label; chdir -w --working-directory
caffeinate: -t -w
command: ; quits -v -V
builtin:
exec: -a
xargs: -I -n -P -L -d -a -E -s -J -R -S --max-args --max-procs --max-lines --delimiter --arg-file --replace
flock: -w -E --wait --timeout --conflict-exit-code; operands 1; text -c --command
watch: -n --interval -q --equexit; joined
unbuffer:
script: -I -O -B -T -m -o -E -F -t; operands 1; text -c --command
strace: -e -o -p -s -u -E -P -I -a -b -O -S -U -X --output --trace; quits -p
ltrace: -e -o -p -s -u -a -l -n -A -D -F -x; quits -p
perf stat: -e -o -C -p -t -r -G -x -I; quits -p
perf record: -e -o -C -p -t -F -c -G --call-graph; quits -p
perf trace: -e -o -p -t; quits -p
valgrind:
heaptrack: -o
rr record:
uftrace record: -d -F -N
samply record: -o -r
flamegraph: -o; dashes
py-spy record: -o -d -r -f; dashes
memray run: -o
gdb: -x -ex -p; starts --args
lldb: -o -s -p; dashes
hyperfine: -w -r -m -M -p -c -s -i -n -S -L -P --warmup --runs --min-runs --prepare --cleanup --setup --shell
  --export-json --export-markdown --export-csv --command-name --parameter-list --parameter-scan; each
taskset: -p; operands 1; quits -p
chrt: -p -T -P -D; operands 1; quits -p
numactl: -m -N -C -p -i -l -w --membind --cpunodebind --physcpubind --interleave
  ; quits -s -H --show --hardware
cpulimit: -l -p -e; quits -p -e
setarch:
linux32:
linux64:
faketime: -f; operands 1
trickle: -d -u -w -t -l -L -n
retry: -t -d -m -s --times --delay --tries
prlimit: -p --pid -o; quits -p --pid
cgexec: -g
systemd-run: -p -u -E -H -M -d -t -P -G --unit --property --description --slice --uid --gid --setenv --nice
  --working-directory --on-active --on-boot --on-calendar; chdir --working-directory
systemd-cat: -t -p --identifier --priority
systemd-inhibit: --what --who --why --mode
unshare: -S -G -R -w --root --wd --setuid --setgid
nsenter: -t -S -G --target --setuid --setgid
chroot: ; operands 1
fakeroot: -l -s -i -b
fakechroot:
firejail:
eatmydata:
dbus-run-session: --config-file
xvfb-run: -s -n -e -f -p -w --server-args --server-num --error-file --auth-file
distrobox enter: -n --name; operands 1
toolbox run: -c --container -d --distro -r --release
proxychains: -f
proxychains4: -f
torsocks: -a -u -p -P
torify:
tini: -p -e
dumb-init:
busybox:
toybox:
arch: -e -d; quits -h
xcrun: --sdk -sdk --toolchain -toolchain
  ; quits -f -find --find --show-sdk-path --show-sdk-version --kill-cache
sandbox-exec: -f -p -n -D
rlwrap: -a -b -c -f -H -s -t -w
ccache: -k -M -F -o --set-config --get-config --max-size
  ; quits -s -c -C -z -p -x --show-stats --clear --cleanup
sccache: ; quits -s -z --show-stats --start-server --stop-server --zero-stats
distcc: ; quits --show-hosts -j
icecc:
buildcache: ; quits -s -z
bear: -o --output --config
compiledb: -o -p -f
intercept-build: --cdb
scan-build: -o -enable-checker -disable-checker --use-cc --use-c++
emmake:
emcmake:
emconfigure:
checkinstall: --pkgname --pkgversion
entr: -s; text -s
watchexec: -e -w -i -f -d -s --exts --watch --ignore --filter --debounce --signal
nodemon: -w -e -d -i --watch --ext --delay --ignore -x --exec; text -x --exec
concurrently: -n -c -k -p --names --prefix-colors --prefix --max-processes -m; each
nyc: --reporter -r --report-dir --temp-dir --include --exclude -x -n; quits --help
c8: --reporter -r --reports-dir --include --exclude -x -n
percy exec: ; dashes
reflex: -r -g -R -G -d; dashes
asciinema rec: -c --command -t -i; text -c --command; operands 99
cross-env: ; assigns
cross-env-shell: ; assigns; joined
env-cmd: -f -e -r --file --environments
dotenv: -e -f -c -v -p -o
dotenvx run: -f --env-file -e --env
op run: --env-file --account
doppler run: -p -c -t --project --config --token --command; text --command; dashes
infisical run: --env --path --projectId; dashes
teller run:
chamber exec: ; dashes
aws-vault exec: -d --duration -n; operands 1
envchain: ; operands 1
sops exec-env: ; operands 1; joined
direnv exec: ; operands 1
envdir: ; operands 1
ssh-agent: -a -t -E; quits -k
rbenv exec:
pyenv exec:
nodenv exec:
goenv exec:
asdf exec:
nvm exec: ; operands 1
fnm exec: --using --fnm-dir
volta run: --node --npm --yarn
rustup run: ; operands 1
mise exec: -C -j --cd; dashes; text -c --command
mise x: -C -j --cd; dashes; text -c --command
opam exec: --switch --root
stack exec: --resolver --package --stack-yaml
cabal exec: --project-file
npx: -p --package -c --call -w --workspace; text -c --call
npm exec: -p --package -c --call -w --workspace --prefix; text -c --call
npm x: -p --package -c --call -w --workspace --prefix; text -c --call
pnpm exec: -F --filter -C --dir -c
pnpm dlx: --package
pnpx: --package
yarn exec: --cwd
yarn dlx: -p --package
bunx: -p --package
bun x: -p --package
bundle exec: --gemfile
composer exec: -d --working-dir
poetry run: -C -P --directory --project; chdir -C --directory
pipenv run:
pdm run: -p --project -e --env-file -s --site-packages
rye run: --pyproject
hatch run: -e --env
pixi run: -e --environment --manifest-path -m
conda run: -n -p --name --prefix --cwd; chdir --cwd
mamba run: -n -p --name --prefix --cwd; chdir --cwd
micromamba run: -n -p --name --prefix --cwd; chdir --cwd
uv run: --with --with-requirements --with-editable -p --python --extra --group --only-group --no-group
  --env-file --directory --project --package --index --index-url --default-index --index-strategy -C -P
  --config-setting --upgrade-package --link-mode --color --config-file --cache-dir --refresh-package
  -m --module
  ; starts -m --module; chdir --directory
uvx: --from --with -p --python --index --index-url --default-index
uv tool run: --from --with -p --python --index --index-url
pipx run: --spec --python --pip-args
coverage run: --source --omit --include --rcfile --context --data-file --concurrency -m --module
  ; starts -m --module
kernprof: -o -p
nix-shell: -p -A -E -I --packages --attr --argstr --arg; text --run --command; operands 99
nix develop: -c --command --override-input --profile; starts -c --command; operands 99
nix shell: -c --command --override-input; starts -c --command; operands 99
guix shell: -m -D -f -e -L --manifest --development; dashes
guix environment: -l -e -L; dashes
devbox run: -c --config -e --env
git bisect run: -C -c
git submodule foreach: -C -c; joined
git rebase: -x --exec -C -c --onto -s -X; text -x --exec; keeps; operands 99
tmux new-session: -s -n -c -t -x -y -F -e -f; joined
tmux new: -s -n -c -t -x -y -F -e -f; joined
tmux new-window: -n -c -t -F -e; joined
tmux split-window: -c -t -l -F -e; joined
screen: -S -c -h -p -s -t -T -L -e; quits -ls -list -r -x -X -wipe
wait-for-it.sh: -h -p -t; operands 1; dashes
trap: ; each
eval: ; joined
"""


@cache
def _wrappers() -> dict[str, tuple[_Wrapper, ...]]:
    """By program, those with the longest path first."""
    found: dict[str, list[_Wrapper]] = {}
    for line in re.sub(r"\n +", " ", _TABLE.strip()).splitlines():
        wrapper = _wrapper(line)
        found.setdefault(wrapper.path[0], []).append(wrapper)
    return {name: tuple(sorted(each, key=lambda w: -len(w.path))) for name, each in found.items()}


def _wrapper(line: str) -> _Wrapper:
    path, _, rest = line.partition(":")
    values, *parts = [part.split() for part in rest.split(";")]
    said = {name: words for name, *words in parts}
    valued = [*values, *said.get("text", ()), *said.get("chdir", ())]
    return _Wrapper(
        path=tuple(path.split()),
        values=frozenset(valued),
        text=frozenset(said.get("text", ())),
        starts=frozenset(said.get("starts", ())),
        chdir=frozenset(said.get("chdir", ())),
        quits=frozenset(said.get("quits", ())),
        operands=int(said.get("operands", ["0"])[0]),
        dashes="dashes" in said,
        joined="joined" in said,
        each="each" in said,
        assigns="assigns" in said,
        keeps="keeps" in said,
    )


@dataclass(frozen=True, slots=True)
class _Inner:
    """What a wrapper runs: an argv, or a shell text. `before` are the wrapper's own words.

    `same_shell`: it is no process of its own (eval). `keeps`: the wrapper counts as a command besides.
    """

    before: tuple[Word, ...]
    argv: tuple[Word, ...] = ()
    text: str | None = None
    assignments: tuple[Assignment, ...] = ()
    chdir: Word | None = None
    same_shell: bool = False
    keeps: bool = False


_SHELLS = _names("sh bash zsh dash ksh mksh ash fish rbash")
_SHELL_VALUES = _names("-o -O +o +O --rcfile --init-file -C --init-command")
_BY_VERSION = _names("npx uvx uv bunx bun pnpx pnpm npm yarn")
"""These run `PROGRAM@VERSION`."""
_PARALLEL_VALUES = _names(
    """-j -I -a -N -n -L -d -S -C -E -P --jobs --arg-file --colsep --delay --timeout --joblog --results
    --retries --load --memfree --sshlogin --sshloginfile --tmpdir --workdir --wd --tagstring --max-args
    --halt --delimiter --nice --env --block --recstart --recend --shuf --rpl"""
)
_PYTHON_VALUES = _names("-W -X -m -c --check-hash-based-pycs")
_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*\Z")
_NAME_VALUE = re.compile(r"(\w+)=(.*)", re.DOTALL)


def _see_through(words: tuple[Word, ...], fed: str | None) -> list[_Inner]:
    """What these words would run besides themselves. `fed`: what is known of their standard input."""
    program = program_name(words[0])
    if program in _SHELLS:
        return _shell_text(words, fed)
    if _PYTHON.match(program):
        return _python_module(words)
    if program in ("find", "fd", "fdfind"):
        return _executed_by_find(words)
    if program == "parallel":
        return _parallel(words)
    for wrapper in _wrappers().get(program, ()):
        inner = _unwrapped(wrapper, words)
        if inner is not None:
            return inner
    return []


@dataclass(slots=True)
class _Stripping:
    """Where in a wrapper's words the command begins, as far as it is known."""

    at: int = 1
    path: list[str] = field(default_factory=list)
    operands: int = 0
    ended: bool = False
    assignments: list[Assignment] = field(default_factory=list)
    chdir: Word | None = None
    texts: list[int] = field(default_factory=list)


def _unwrapped(wrapper: _Wrapper, words: tuple[Word, ...]) -> list[_Inner] | None:
    """None: this is another use of the program."""
    state = _Stripping(path=list(wrapper.path[1:]), operands=wrapper.operands)
    while state.at < len(words):
        step = _strip(wrapper, words, state)
        if step is None:
            break
        if step < 0:
            return None
        state.at += step
    if state.path:
        return None
    if state.texts:
        before, keeps, chdir = words[: state.texts[0]], wrapper.keeps, state.chdir
        return [_Inner(before, text=words[i].text, chdir=chdir, keeps=keeps) for i in state.texts]
    if state.at >= len(words) or (wrapper.dashes and not state.ended):
        return []
    return _inner_words(wrapper, words, state)


def _strip(wrapper: _Wrapper, words: tuple[Word, ...], state: _Stripping) -> int | None:
    """How many words to step over; None: the command begins here; negative: this is no wrapper here."""
    text = words[state.at].text
    if text == "--" and not state.ended:
        state.ended, state.operands = True, 0 if wrapper.dashes or wrapper.operands > 9 else state.operands
        return 1
    if not state.ended and text.startswith("-") and len(text) > 1:
        return _strip_option(wrapper, words, state)
    if state.path:
        return 1 if text == state.path.pop(0) else -1
    match = _NAME_VALUE.fullmatch(text) if wrapper.assigns else None
    if match and not state.ended:
        state.assignments.append(Assignment(match[1], Word(match[2], words[state.at].literal)))
        return 1
    if state.operands > 0 or (wrapper.dashes and not state.ended):
        state.operands -= 1
        return 1
    return None


def _strip_option(wrapper: _Wrapper, words: tuple[Word, ...], state: _Stripping) -> int:
    option, value, length = _option(words, state.at, wrapper.values)
    if option in wrapper.quits or words[state.at].text in wrapper.quits:
        return -1
    if option in wrapper.starts:
        state.operands, state.ended = 0, True
        return 1
    if option in wrapper.text and length == 2 and state.at + 1 < len(words):
        state.texts.append(state.at + 1)
    if option in wrapper.chdir and value is not None:
        state.chdir = value
    return length


def _option(words: tuple[Word, ...], at: int, values: frozenset[str]) -> tuple[str, Word | None, int]:
    """The option in this word, its value, and how many words that is: `--user=x`, `-u x`, `-nu x`, `-n5`."""
    word, following = words[at], words[at + 1] if at + 1 < len(words) else None
    text = word.text
    name, equals, value = text.partition("=")
    if text in values:
        return text, following, 2
    if text.startswith("--"):
        return name, Word(value, word.literal) if equals else None, 1
    for place, letter in enumerate(text[1:], 1):
        if f"-{letter}" in values:
            rest = text[place + 1 :]
            return f"-{letter}", Word(rest, word.literal) if rest else following, 1 if rest else 2
    return text, None, 1


def _inner_words(wrapper: _Wrapper, words: tuple[Word, ...], state: _Stripping) -> list[_Inner]:
    before, rest = words[: state.at], words[state.at :]
    same = wrapper.path == ("eval",)
    if wrapper.joined:
        return [_Inner(before, text=" ".join(word.text for word in rest), same_shell=same, chdir=state.chdir)]
    if wrapper.each:
        texts = rest[:1] if wrapper.path == ("trap",) else rest
        return [_Inner(before, text=word.text) for word in texts if word.text not in ("", "-")]
    if wrapper.path[0] in _BY_VERSION:
        rest = (replace(rest[0], text=re.sub(r"(?<=.)@.*", "", rest[0].text)), *rest[1:])
    return [_Inner(before, rest, None, tuple(state.assignments), state.chdir, keeps=wrapper.keeps)]


def _shell_text(words: tuple[Word, ...], fed: str | None) -> list[_Inner]:
    """sh -c TEXT, or the text on its standard input if it is given no script."""
    text_comes, at = False, 1
    while at < len(words):
        text = words[at].text
        if text == "--" or len(text) < 2 or text[0] not in "-+":
            at += text == "--"
            break
        if text == "--command" or (text[0] == "-" and text[1] != "-" and "c" in text):
            text_comes = True
        if text in ("--version", "--help"):
            return []
        takes = text in _SHELL_VALUES or (text[1] != "-" and text[-1] in "oO")
        fed = fed if text != "-n" else None
        at += 2 if takes else 1
    if text_comes:
        return [_Inner(words[:at], text=words[at].text)] if at < len(words) else []
    reads = at >= len(words) or words[at].text == "-" or any(w.text == "-s" for w in words[1:at])
    return [_Inner(words, text=fed)] if fed is not None and reads else []


def _python_module(words: tuple[Word, ...]) -> list[_Inner]:
    """python -m MODULE: what is run is the module."""
    at = 1
    while at < len(words) and words[at].text.startswith("-") and len(words[at].text) > 1:
        option, value, length = _option(words, at, _PYTHON_VALUES)
        if option == "-c":
            break
        if option == "-m" and value is not None:
            return [_Inner((*words[:at], Word("-m")), (value, *words[at + length :]))]
        at += length
    return []


def _executed_by_find(words: tuple[Word, ...]) -> list[_Inner]:
    """find -exec COMMAND ; and fd -x COMMAND."""
    find = program_name(words[0]) == "find"
    options = ("-exec", "-execdir", "-ok", "-okdir") if find else ("-x", "-X", "--exec", "--exec-batch")
    found: list[_Inner] = []
    at = 1
    while at < len(words):
        if words[at].text in options and words[at].literal:
            end = next((i for i in range(at + 1, len(words)) if words[i].text in (";", "+")), len(words))
            if end > at + 1:
                found.append(_Inner((words[0], words[at]), words[at + 1 : end], keeps=True))
            at = end
        at += 1
    return found


def _parallel(words: tuple[Word, ...]) -> list[_Inner]:
    """GNU parallel: COMMAND ::: ARGUMENTS, or each argument a command of its own."""
    at = 1
    while at < len(words) and words[at].text.startswith("-") and len(words[at].text) > 1:
        option, _, length = _option(words, at, _PARALLEL_VALUES)
        if option in ("-S", "--sshlogin", "--sshloginfile"):
            return []
        at += length
    ends = (i for i in range(at, len(words)) if words[i].text in (":::", "::::", ":::+", "::::+"))
    end = next(ends, len(words))
    if end > at:
        return [_Inner(words[:at], text=" ".join(word.text for word in words[at:end]))]
    if end < len(words) and words[end].text == ":::":
        return [_Inner(words[: end + 1], text=word.text) for word in words[end + 1 :]]
    return []


# ---- the walk ----------------------------------------------------------------


@dataclass(slots=True)
class _Scope:
    """What one shell process carries along. `variables`: those whose value the line itself says."""

    directory: str | None = "."
    previous: str | None = None
    stack: list[str | None] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    functions: dict[str, _Compound] = field(default_factory=dict)

    def child(self) -> _Scope:
        return _Scope(self.directory, self.previous, list(self.stack), dict(self.variables), dict(self.functions))

    def settle(self, ends: Sequence[_Scope], or_none: bool = True) -> None:
        """After branches of which one was taken, or perhaps none: what all agree on is still known."""
        directories = {end.directory for end in ends} | ({self.directory} if or_none or not ends else set())
        self.directory = directories.pop() if len(directories) == 1 else None
        for end in ends:
            self.variables = {k: v for k, v in self.variables.items() if end.variables.get(k) == v}
            self.functions |= end.functions

    def go(self, directory: str | None) -> None:
        self.previous, self.directory = self.directory, directory


@dataclass(frozen=True, slots=True)
class _Context:
    """What surrounds the command that is looked at. `fed`: what is known of its standard input. `process`: a
    wrapper makes it a process of its own, so that no builtin and no function is meant."""

    depth: int = 0
    via: tuple[tuple[Word, ...], ...] = ()
    around: tuple[Redirect, ...] = ()
    place: Place = Place()
    fed: str | None = None
    process: bool = False

    def within(self, **changes: object) -> _Context:
        return replace(self, place=replace(self.place, **changes))  # type: ignore[arg-type]

    def subshell(self) -> _Context:
        return self.within(subshell=self.place.subshell + 1)


_DECLARES = _names("export declare typeset local readonly")


class _Walk:
    """Follows a line as a shell would, as far as the line itself says, and collects the commands."""

    def __init__(self, reader: _Reader) -> None:
        self.reader = reader
        self.commands: list[Command] = []
        self.errors = False
        self._steps = 0
        self._pipelines = 0
        self._forks = 0

    def text(self, text: str, scope: _Scope, context: _Context) -> None:
        if self._too_deep(context):
            return
        self._tokens(self.reader.read(text, context.depth), scope, context)

    def argv(self, words: tuple[Word, ...]) -> None:
        self._pipelines += 1
        place = Place(pipelines=(Stage(self._pipelines, 0, 1),))
        self.run(words, _Scope(), _Context(depth=1, place=place), (), ())

    def _tokens(self, tokens: list[_Token], scope: _Scope, context: _Context) -> None:
        grammar = _Grammar(tokens, context.depth)
        items = grammar.read()
        self.errors = self.errors or grammar.errors
        self._list(items, scope, replace(context, depth=context.depth + 1))

    def _too_deep(self, context: _Context) -> bool:
        self._steps += 1
        over = context.depth > DEPTH_LIMIT or self._steps > STEP_LIMIT
        self.errors = self.errors or over
        return over

    def _list(self, items: list[_Item], scope: _Scope, context: _Context) -> None:
        forks: dict[int, int] = {}
        for item in items:
            background = item.background or context.place.background
            here = context.within(after=item.op or context.place.after, background=background)
            if item.run:
                fork = forks.setdefault(item.run, self._fork())
                here = here.within(branches=(*here.place.branches, (fork, item.side or 0)))
            if item.background or item.op == "||":
                child = scope.child()
                self._pipeline(item, child, here)
                scope.settle([] if item.background else [child])
            else:
                self._pipeline(item, scope, here)

    def _fork(self) -> int:
        self._forks += 1
        return self._forks

    def _pipeline(self, item: _Item, scope: _Scope, context: _Context) -> None:
        self._pipelines += 1
        pipeline, fed = self._pipelines, context.fed
        context = replace(context, via=(*context.via, *((Word(word),) for word in item.prefix)))
        if "coproc" in item.prefix:
            context = context.within(background=True)
        for number, stage in enumerate(item.stages):
            own = Stage(pipeline, number, len(item.stages))
            here = replace(context.within(pipelines=(*context.place.pipelines, own)), fed=fed)
            self._stage(stage, scope.child() if len(item.stages) > 1 else scope, here)
            fed = _printed(stage, scope)

    def _stage(self, stage: _Simple | _Compound, scope: _Scope, context: _Context) -> None:
        if self._too_deep(context):
            return
        if isinstance(stage, _Simple):
            self._simple(stage, scope, context)
        else:
            self._compound(stage, scope, replace(context, depth=context.depth + 1))

    def _compound(self, stage: _Compound, scope: _Scope, context: _Context) -> None:
        if stage.kind == "function":
            scope.functions[stage.name] = stage
            return
        redirects = self._redirects(stage.redirects, scope, context)
        context = replace(context, around=(*context.around, *redirects), fed=_here(redirects) or context.fed)
        for word in stage.words:
            self._substitutions(word, scope, context)
        if stage.kind == "(":
            self._list(stage.clauses[0][1], scope.child(), context.subshell())
        elif stage.kind == "{":
            self._list(stage.clauses[0][1], scope, context)
        elif stage.kind in ("if", "case"):
            self._branches(stage, scope, context)
        else:
            self._loop(stage, scope, context.within(loop=True))

    def _branches(self, stage: _Compound, scope: _Scope, context: _Context) -> None:
        fork, ends = self._fork(), []
        for side, (condition, body) in enumerate(stage.clauses):
            self._list(condition, scope, context)
            end = scope.child()
            self._list(body, end, context.within(branches=(*context.place.branches, (fork, side))))
            ends.append(end)
        has_else = stage.kind == "if" and not stage.clauses[-1][0]
        scope.settle(ends, or_none=not has_else)

    def _loop(self, stage: _Compound, scope: _Scope, context: _Context) -> None:
        """A for over a few words that are known is followed for each of them."""
        condition, body = stage.clauses[0]
        self._list(condition, scope, context)
        values = [word for token in stage.words for word in _expand(token.pieces, scope.variables)]
        known = [word.text for word in values if word.literal and not word.glob]
        end = scope.child()
        if values and len(known) == len(values) <= 16:
            for value in known:
                end.variables[stage.name] = value
                self._list(body, end, context)
        else:
            end = self._again_and_again(stage, scope, context)
        scope.settle([end])
        scope.variables.pop(stage.name, None)

    def _again_and_again(self, stage: _Compound, scope: _Scope, context: _Context) -> _Scope:
        """A body that changes the directory starts from another one the next time."""
        begin, body = len(self.commands), stage.clauses[0][1]
        start = scope.child()
        start.variables.pop(stage.name, None)
        end = start.child()
        self._list(body, end, context)
        if end.directory != start.directory:
            del self.commands[begin:]
            start.directory, end = None, start
            self._list(body, end, context)
        return end

    def _substitutions(self, token: _Token, scope: _Scope, context: _Context) -> None:
        for kind, tokens in token.inner:
            if not self._too_deep(context):
                inside = replace(context.subshell().within(substitution=kind, after=""), around=(), fed=None)
                self._tokens(tokens, scope.child(), inside)

    def _redirects(self, found: Sequence[_Redirection], scope: _Scope, context: _Context) -> tuple[Redirect, ...]:
        redirects = []
        for each in found:
            target = Word("")
            if each.target is not None:
                self._substitutions(each.target, scope, context)
                words = _expand(each.target.pieces or (_Piece(each.target.text),), scope.variables)
                target = words[0] if len(words) == 1 else Word(each.target.text, literal=False)
            op, closes = each.op, each.op in ("<&-", ">&-")
            redirects.append(
                Redirect(op[:2] if closes else op, Word("-") if closes else target, each.fd, scope.directory)
            )
        return tuple(redirects)

    def _simple(self, simple: _Simple, scope: _Scope, context: _Context) -> None:
        for token in (*simple.assignments, *simple.words):
            self._substitutions(token, scope, context)
        redirects = self._redirects(simple.redirects, scope, context)
        words = tuple(word for token in simple.words for word in _words(token, scope))
        # A=1 B=$A: each may use those before it, and stays if there is no command.
        assigning = scope.child() if words else scope
        assignments = tuple(self._assignment(token, assigning) for token in simple.assignments)
        if not words:
            if assignments or redirects:
                self._emit((), scope, context, assignments, redirects)
            return
        self.run(words, scope, context, assignments, redirects)

    def _assignment(self, token: _Token, scope: _Scope) -> Assignment:
        # An assigned value is never split, quoted or not.
        pieces = tuple(replace(p, quoted=p.quoted or p.name is not None) for p in token.pieces)
        assignment = Assignment(token.text, _expand(pieces, scope.variables)[0])
        _remember(scope, [assignment])
        return assignment

    def run(
        self,
        words: tuple[Word, ...],
        scope: _Scope,
        context: _Context,
        assignments: tuple[Assignment, ...],
        redirects: tuple[Redirect, ...],
    ) -> None:
        """One simple command: a function, a wrapper, or a command in its own right."""
        if self._too_deep(context):
            self._emit(words, scope, context, assignments, redirects)
            return
        context = replace(context, depth=context.depth + 1)
        function = None if context.process else scope.functions.get(words[0].text)
        if function is not None:
            inside = replace(context, around=(*context.around, *redirects))
            self._list(function.clauses[0][1], scope, inside)
            return
        fed = _here(redirects) or context.fed
        inner = _see_through(words, fed)
        for each in inner:
            self._inside(each, scope, context, assignments, redirects)
        if not inner or inner[0].keeps:
            self._emit(words, scope, context, assignments, redirects)
            self._builtin(words, scope, context)

    def _inside(
        self,
        inner: _Inner,
        scope: _Scope,
        context: _Context,
        assignments: tuple[Assignment, ...],
        redirects: tuple[Redirect, ...],
    ) -> None:
        context = replace(context, via=(*context.via, inner.before), fed=None if inner.text else context.fed)
        wrapper = inner.before[0].text
        process = wrapper not in ("command", "builtin", "exec", "time") and not inner.same_shell
        if wrapper == "coproc":
            context = context.within(background=True)
        scope = scope.child() if process else scope
        if inner.chdir is not None:
            scope.directory = _entered(scope.directory, inner.chdir)
        if inner.text is None:
            context = replace(context, process=context.process or process)
            self.run(inner.argv, scope, context, (*assignments, *inner.assignments), redirects)
            return
        context = replace(context, around=(*context.around, *redirects))
        if process:
            # A shell of its own: it has builtins again, but knows none of our functions and variables.
            scope = scope if wrapper == "trap" else _Scope(scope.directory)
            context = replace(context.subshell(), process=False)
        self.text(inner.text, scope, context)

    def _emit(
        self,
        words: tuple[Word, ...],
        scope: _Scope,
        context: _Context,
        assignments: tuple[Assignment, ...],
        redirects: tuple[Redirect, ...],
    ) -> None:
        around, place = context.around, context.place
        command = Command(words, assignments, redirects, scope.directory, context.via, around, place)
        self.commands.append(command)

    def _builtin(self, words: tuple[Word, ...], scope: _Scope, context: _Context) -> None:
        """What changes the shell itself."""
        if context.process:
            return
        name, *rest = words
        operands = [word for word in rest if not re.fullmatch(r"-[LPe@]+|--", word.text)]
        if name.text == "cd":
            scope.go(_cd(scope, operands))
        elif name.text == "pushd" and operands:
            scope.stack.append(scope.directory)
            scope.go(_cd(scope, operands))
        elif name.text == "popd":
            scope.go(scope.stack.pop() if scope.stack else None)
        elif name.text in _DECLARES:
            pairs = (_NAME_VALUE.fullmatch(word.text) for word in rest)
            literal = {word.text: word.literal for word in rest}
            _remember(scope, [Assignment(m[1], Word(m[2], literal[m[0]])) for m in pairs if m])
        elif name.text in ("unset", "read"):
            for word in rest:
                scope.variables.pop(word.text, None)


def _words(token: _Token, scope: _Scope) -> tuple[Word, ...]:
    """A token's words; `A=b` after the command's name is a word like others."""
    if token.kind != "assign":
        return _expand(token.pieces, scope.variables)
    return _expand((_Piece(f"{token.text}="), *token.pieces), scope.variables)


def _remember(scope: _Scope, assignments: Sequence[Assignment]) -> None:
    for each in assignments:
        if each.value.literal and len(each.value.text) <= VALUE_LIMIT:
            scope.variables[each.name] = each.value.text
        else:
            scope.variables.pop(each.name, None)


def _cd(scope: _Scope, operands: list[Word]) -> str | None:
    if not operands:
        return "~"
    if operands[0].text == "-":
        return scope.previous
    return _entered(scope.directory, operands[0])


def _entered(base: str | None, target: Word) -> str | None:
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


def _here(redirects: Sequence[Redirect]) -> str | None:
    """The text of a here-document or here-string on standard input."""
    texts = [each.target.text for each in redirects if each.op in ("<<", "<<-", "<<<") and not each.fd]
    return texts[-1] if texts else None


def _printed(stage: _Simple | _Compound, scope: _Scope) -> str | None:
    """What a stage writes to the next, if it does nothing but print what the line says."""
    if not isinstance(stage, _Simple) or not stage.words:
        return None
    name, *rest = [word for token in stage.words for word in _words(token, scope)]
    if name.text == "echo":
        return " ".join(word.text for word in rest if not re.fullmatch(r"-[neE]+", word.text))
    if name.text == "printf" and rest:
        return "\n".join(word.text for word in rest[1:]) if len(rest) > 1 else _ansi_c(rest[0].text)
    if name.text == "cat" and not rest:
        for each in stage.redirects:
            if each.op.startswith("<<") and each.target is not None:
                return "".join(piece.text for piece in each.target.pieces)
    return None
