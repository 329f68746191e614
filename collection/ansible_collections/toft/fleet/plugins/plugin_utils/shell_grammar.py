# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tokens put together: lists of pipelines, of simple commands and of groups, loops, branches and functions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ansible_collections.toft.fleet.plugins.plugin_utils.shell_words import DEPTH_LIMIT, REDIRECTS, Token


@dataclass(slots=True)
class Redirection:
    op: str
    fd: int | None
    target: Token | None


@dataclass(slots=True)
class Simple:
    assignments: list[Token] = field(default_factory=list)
    words: list[Token] = field(default_factory=list)
    redirects: list[Redirection] = field(default_factory=list)


@dataclass(slots=True)
class Compound:
    """`clauses`: pairs of a condition and a body; only an if and a case have several.

    `kind`: `(`, `{`, if, while, for, case, function. `words`: a for's values, a case's subject; a function's
    or a for's `name`.
    """

    kind: str
    clauses: list[tuple[list[Item], list[Item]]]
    words: list[Token] = field(default_factory=list)
    name: str = ""
    redirects: list[Redirection] = field(default_factory=list)


@dataclass(slots=True)
class Item:
    """A pipeline in a list. `prefix`: `time` or `coproc` before it. `side`: of which `||` in which `run`."""

    op: str
    stages: list[Simple | Compound]
    prefix: tuple[str, ...] = ()
    background: bool = False
    run: int = 0
    side: int | None = 0


_OPENERS = frozenset(("{", "if", "while", "until", "for", "select", "case", "function"))
_CLOSERS = frozenset(("}", "then", "do", "done", "fi", "elif", "else", "esac"))


class Grammar:
    """Tokens to lists of pipelines. Never raises; each step takes at least one token."""

    def __init__(self, tokens: list[Token], depth: int) -> None:
        self.errors = False
        self._tokens = tokens
        self._at = 0
        self._depth = depth
        self._runs = 0

    def read(self) -> list[Item]:
        return self._list()

    def _peek(self, ahead: int = 0) -> Token | None:
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

    def _list(self, *stops: str) -> list[Item]:
        items: list[Item] = []
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

    def _and_or(self, op: str, stops: tuple[str, ...]) -> list[Item]:
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

    def _pipeline(self, op: str, stops: tuple[str, ...]) -> Item:
        item = Item(op, [], self._prefix())
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

    def _opens(self, token: Token) -> bool:
        return token.is_op("(") or token.is_bare(*_OPENERS)

    def _skip_newlines(self) -> None:
        while (token := self._peek()) is not None and token.is_op(";"):
            self._at += 1

    def _stage(self, stages: list[Simple | Compound], stops: tuple[str, ...]) -> None:
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

    def _bounded_compound(self, token: Token) -> Compound | None:
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

    def _compound(self, token: Token) -> Compound:
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
                return Compound("while", [(condition, self._do())])
            case "case":
                return self._case()
            case "function":
                return self._named_function()
        return self._for()

    def _group(self, kind: str, end: str) -> Compound:
        body = self._list(end)
        self._take(end)
        return Compound(kind, [([], body)])

    def _do(self) -> list[Item]:
        self._take("do")
        body = self._list("done")
        self._take("done")
        return body

    def _if(self) -> Compound:
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
        return Compound("if", clauses)

    def _for(self) -> Compound:
        """for NAME [in WORD…]; do …; for ((…)); do …; select."""
        words: list[Token] = []
        while (token := self._peek()) is not None and not token.is_bare("do", "{"):
            words += [token] if token.kind in ("word", "assign") else []
            self._at += 1
        name = words[0].text if words else ""
        values = words[2:] if len(words) > 1 and words[1].is_bare("in") else []
        if token is not None and token.is_bare("{"):
            self._at += 1
            return replace(self._group("for", "}"), words=values, name=name)
        return Compound("for", [([], self._do())], values, name)

    def _case(self) -> Compound:
        words: list[Token] = []
        while (token := self._peek()) is not None and not token.is_bare("in"):
            words += [token] if token.kind == "word" else []
            self._at += 1
        self._take("in")
        clauses: list[tuple[list[Item], list[Item]]] = []
        while (token := self._peek()) is not None and not token.is_bare("esac"):
            if not token.is_op(";"):
                self._pattern()
                clauses.append(([], self._list(";;", ";&", ";;&", "esac")))
                token = self._peek()
            self._at += 1 if token is not None and not token.is_bare("esac") else 0
        self._take("esac")
        return Compound("case", clauses, words)

    def _pattern(self) -> None:
        """Everything up to its `)`."""
        if (token := self._peek()) is not None and token.is_op("("):
            self._at += 1
        while (token := self._peek()) is not None and not token.is_op(")"):
            self._at += 1
        self._take(")")

    def _named_function(self) -> Compound:
        name = self._peek()
        self._at += 1
        if (token := self._peek()) is not None and token.is_op("("):
            self._at += 2
        return self._function(name.text if name else "")

    def _function(self, name: str) -> Compound:
        self._skip_newlines()
        body: list[Simple | Compound] = []
        self._stage(body, ())
        return Compound("function", [([], [Item("", body)])], name=name)

    def _redirects(self) -> list[Redirection]:
        """Those that follow a group."""
        simple = self._simple(words=False)
        return simple.redirects

    def _simple(self, words: bool = True) -> Simple:
        found = Simple()
        fd: int | None = None
        while (token := self._peek()) is not None:
            if token.kind == "op" and token.text not in REDIRECTS:
                break
            if token.kind in ("word", "assign") and not words:
                break
            self._at += 1
            if token.kind == "fd":
                fd = int(token.text) if token.text.isdecimal() else None
            elif token.kind == "op":
                found.redirects.append(Redirection(token.text, fd, self._target(token)))
                fd = None
            elif token.kind == "assign" and not found.words:
                found.assignments.append(token)
            else:
                found.words.append(token)
        return found

    def _target(self, op: Token) -> Token | None:
        token = self._peek()
        closes = op.text in ("<&-", ">&-")
        if closes or token is None or token.kind not in ("word", "fd"):
            return None
        self._at += 1
        return token
