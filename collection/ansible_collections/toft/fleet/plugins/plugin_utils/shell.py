# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A command line as the simple commands that it would run, each with its words, redirects and directory.

A line goes through these rooms:

1. `heredocs` takes the text of here-documents out.
2. `shell_lexer` reads words and operators, with tree-sitter-bash; `shell_words` says what a word comes to.
3. `shell_grammar` puts lists, pipelines and groups together from them.
4. The walk, here, follows directories, variables, functions and subshells as a shell does (`shell_scope`), looks
   into what `wrappers` would run, and gives commands (`shell_commands`).

Nothing is run and nothing is read. No text raises: what cannot be understood is left out, and `errors` says
so. Depth, number of commands and time are bounded (the LIMITs of these rooms).
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.toft.fleet.plugins.plugin_utils.shell_commands import (
    Assignment,
    Command,
    CommandLine,
    Place,
    Redirect,
    Stage,
    Word,
    program_name,
)
from ansible_collections.toft.fleet.plugins.plugin_utils.shell_grammar import (
    Compound,
    Grammar,
    Item,
    Redirection,
    Simple,
)
from ansible_collections.toft.fleet.plugins.plugin_utils.shell_lexer import Reader
from ansible_collections.toft.fleet.plugins.plugin_utils.shell_scope import Scope, entered
from ansible_collections.toft.fleet.plugins.plugin_utils.shell_words import (
    DEPTH_LIMIT,
    NAME_VALUE,
    Piece,
    Token,
    ansi_c,
    expand,
)
from ansible_collections.toft.fleet.plugins.plugin_utils.wrappers import Inner, see_through

__all__ = [
    "Assignment",
    "Command",
    "CommandLine",
    "Place",
    "Redirect",
    "Stage",
    "Word",
    "parse",
    "parse_argv",
    "program_name",
]

STEP_LIMIT = 10_000
_DECLARES = frozenset(("export", "declare", "typeset", "local", "readonly"))


def parse(text: str, clock: Callable[[], float] = time.thread_time) -> CommandLine:
    """A shell command line. `clock` bounds the work; it counts in seconds."""
    walk = _Walk(Reader(clock))
    walk.text(text, Scope(), _Context())
    return CommandLine(text, tuple(walk.commands), walk.errors or walk.reader.errors)


def parse_argv(words: Sequence[str], clock: Callable[[], float] = time.thread_time) -> CommandLine:
    """Words that are run as they are, without a shell: none is split, expanded or taken for an operator."""
    walk = _Walk(Reader(clock))
    walk.errors = any("\0" in word for word in words)
    if words:
        walk.argv(tuple(Word(word) for word in words))
    return CommandLine(shlex.join(words), tuple(walk.commands), walk.errors or walk.reader.errors)


@dataclass(frozen=True, slots=True)
class _Context:
    """What surrounds the command that is looked at. `fed`: what is known of its standard input. `process`: a
    wrapper makes it a process of its own, so that no builtin and no function is meant. `assigned`: the variables
    before the shells around it."""

    depth: int = 0
    via: tuple[tuple[Word, ...], ...] = ()
    around: tuple[Redirect, ...] = ()
    place: Place = field(default_factory=Place)
    fed: str | None = None
    process: bool = False
    assigned: tuple[Assignment, ...] = ()

    def within(self, **changes: object) -> _Context:
        return replace(self, place=replace(self.place, **changes))  # type: ignore[arg-type]

    def subshell(self) -> _Context:
        return self.within(subshell=self.place.subshell + 1)


class _Walk:
    """Follows a line as a shell would, as far as the line itself says, and collects the commands."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.commands: list[Command] = []
        self.errors = False
        self._steps = 0
        self._pipelines = 0
        self._forks = 0

    def text(self, text: str, scope: Scope, context: _Context) -> None:
        if self._too_deep(context):
            return
        self._tokens(self.reader.read(text, context.depth), scope, context)

    def argv(self, words: tuple[Word, ...]) -> None:
        self._pipelines += 1
        place = Place(pipelines=(Stage(self._pipelines, 0, 1),))
        self.run(words, Scope(), _Context(depth=1, place=place), (), ())

    def _tokens(self, tokens: list[Token], scope: Scope, context: _Context) -> None:
        grammar = Grammar(tokens, context.depth)
        items = grammar.read()
        self.errors = self.errors or grammar.errors
        self._list(items, scope, replace(context, depth=context.depth + 1))

    def _too_deep(self, context: _Context) -> bool:
        self._steps += 1
        over = context.depth > DEPTH_LIMIT or self._steps > STEP_LIMIT
        self.errors = self.errors or over
        return over

    def _list(self, items: list[Item], scope: Scope, context: _Context) -> None:
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

    def _pipeline(self, item: Item, scope: Scope, context: _Context) -> None:
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

    def _stage(self, stage: Simple | Compound, scope: Scope, context: _Context) -> None:
        if self._too_deep(context):
            return
        if isinstance(stage, Simple):
            self._simple(stage, scope, context)
        else:
            self._compound(stage, scope, replace(context, depth=context.depth + 1))

    def _compound(self, stage: Compound, scope: Scope, context: _Context) -> None:
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

    def _branches(self, stage: Compound, scope: Scope, context: _Context) -> None:
        fork, ends = self._fork(), []
        for side, (condition, body) in enumerate(stage.clauses):
            self._list(condition, scope, context)
            end = scope.child()
            self._list(body, end, context.within(branches=(*context.place.branches, (fork, side))))
            ends.append(end)
        has_else = stage.kind == "if" and not stage.clauses[-1][0]
        scope.settle(ends, or_none=not has_else)

    def _loop(self, stage: Compound, scope: Scope, context: _Context) -> None:
        """A for over a few words that are known is followed for each of them."""
        condition, body = stage.clauses[0]
        self._list(condition, scope, context)
        values = [word for token in stage.words for word in expand(token.pieces, scope.variables)]
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

    def _again_and_again(self, stage: Compound, scope: Scope, context: _Context) -> Scope:
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

    def _substitutions(self, token: Token, scope: Scope, context: _Context) -> None:
        for kind, tokens in token.inner:
            if not self._too_deep(context):
                inside = replace(context.subshell().within(substitution=kind, after=""), around=(), fed=None)
                self._tokens(tokens, scope.child(), inside)

    def _redirects(self, found: Sequence[Redirection], scope: Scope, context: _Context) -> tuple[Redirect, ...]:
        redirects = []
        for each in found:
            target = Word("")
            if each.target is not None:
                self._substitutions(each.target, scope, context)
                words = expand(each.target.pieces or (Piece(each.target.text),), scope.variables)
                target = words[0] if len(words) == 1 else Word(each.target.text, literal=False)
            op, closes = each.op, each.op in ("<&-", ">&-")
            redirects.append(
                Redirect(op[:2] if closes else op, Word("-") if closes else target, each.fd, scope.directory)
            )
        return tuple(redirects)

    def _simple(self, simple: Simple, scope: Scope, context: _Context) -> None:
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

    def _assignment(self, token: Token, scope: Scope) -> Assignment:
        # An assigned value is never split, quoted or not.
        pieces = tuple(replace(p, quoted=p.quoted or p.name is not None) for p in token.pieces)
        assignment = Assignment(token.text, expand(pieces, scope.variables)[0])
        scope.remember([assignment])
        return assignment

    def run(
        self,
        words: tuple[Word, ...],
        scope: Scope,
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
        inner = see_through(words, fed)
        for each in inner:
            self._inside(each, scope, context, assignments, redirects)
        if not inner or inner[0].keeps:
            self._emit(words, scope, context, assignments, redirects)
            self._builtin(words, scope, context)

    def _inside(
        self,
        inner: Inner,
        scope: Scope,
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
            scope.directory = entered(scope.directory, inner.chdir)
        if inner.text is None:
            context = replace(context, process=context.process or process)
            self.run(inner.argv, scope, context, (*assignments, *inner.assignments), redirects)
            return
        assigned = (*context.assigned, *assignments, *inner.assignments)
        context = replace(context, around=(*context.around, *redirects), assigned=assigned)
        if process:
            # A shell of its own: it has builtins again, but knows none of our functions and variables.
            scope = scope if wrapper == "trap" else Scope(scope.directory)
            context = replace(context.subshell(), process=False)
        self.text(inner.text, scope, context)

    def _emit(
        self,
        words: tuple[Word, ...],
        scope: Scope,
        context: _Context,
        assignments: tuple[Assignment, ...],
        redirects: tuple[Redirect, ...],
    ) -> None:
        around, place = context.around, context.place
        fed, assigned = _here(redirects) or context.fed, (*context.assigned, *assignments)
        command = Command(words, assigned, redirects, scope.directory, context.via, around, place, fed)
        self.commands.append(command)

    def _builtin(self, words: tuple[Word, ...], scope: Scope, context: _Context) -> None:
        """What changes the shell itself."""
        if context.process:
            return
        name, *rest = words
        operands = [word for word in rest if not re.fullmatch(r"-[LPe@]+|--", word.text)]
        if name.text == "cd":
            scope.cd(operands)
        elif name.text == "pushd" and operands:
            scope.stack.append(scope.directory)
            scope.cd(operands)
        elif name.text == "popd":
            scope.go(scope.stack.pop() if scope.stack else None)
        elif name.text in _DECLARES:
            pairs = (NAME_VALUE.fullmatch(word.text) for word in rest)
            literal = {word.text: word.literal for word in rest}
            scope.remember([Assignment(m[1], Word(m[2], literal[m[0]])) for m in pairs if m])
        elif name.text in ("unset", "read"):
            for word in rest:
                scope.variables.pop(word.text, None)


def _words(token: Token, scope: Scope) -> tuple[Word, ...]:
    """A token's words; `A=b` after the command's name is a word like others."""
    if token.kind != "assign":
        return expand(token.pieces, scope.variables)
    return expand((Piece(f"{token.text}="), *token.pieces), scope.variables)


def _here(redirects: Sequence[Redirect]) -> str | None:
    """The text of a here-document or here-string on standard input."""
    texts = [each.target.text for each in redirects if each.op in ("<<", "<<-", "<<<") and not each.fd]
    return texts[-1] if texts else None


def _printed(stage: Simple | Compound, scope: Scope) -> str | None:
    """What a stage writes to the next, if it does nothing but print what the line says."""
    if not isinstance(stage, Simple) or not stage.words:
        return None
    name, *rest = [word for token in stage.words for word in _words(token, scope)]
    if name.text == "echo":
        return " ".join(word.text for word in rest if not re.fullmatch(r"-[neE]+", word.text))
    if name.text == "printf" and rest:
        return "\n".join(word.text for word in rest[1:]) if len(rest) > 1 else ansi_c(rest[0].text)
    if name.text == "cat" and not rest:
        for each in stage.redirects:
            if each.op.startswith("<<") and each.target is not None:
                return "".join(piece.text for piece in each.target.pieces)
    return None
