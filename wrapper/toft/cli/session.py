"""What every command shares: the global options, where things are, and how failures end.

Global options may stand before the command's name or among its own options. `command` gives them to each
command, so that nobody has to remember where they belong.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from toft.cli.terminal import Palette, as_json, clean
from toft.engine.streams import ReaderGone
from toft.fleet import hook_file
from toft.fleet.failures import NOT_STARTED, Failure
from toft.fleet.fleet import Fleet, assemble
from toft.fleet.names import cache_directory, recall


@dataclass(frozen=True)
class Options:
    """The global options as given, and the words of the whole command line."""

    inventory: tuple[Path, ...] = ()
    json: bool = False
    no_color: bool = False
    quiet: bool = False
    verbose: int = 0
    debug: bool = False
    cold: bool = False
    argv: tuple[str, ...] = ()

    def under(self, outer: Options) -> Options:
        """These, given after the command's name, and those given before it."""
        return Options(
            inventory=outer.inventory + self.inventory,
            json=outer.json or self.json,
            no_color=outer.no_color or self.no_color,
            quiet=outer.quiet or self.quiet,
            verbose=outer.verbose + self.verbose,
            debug=outer.debug or self.debug,
            cold=outer.cold or self.cold,
            argv=outer.argv,
        )


@dataclass
class Session:
    """One run of the command line. `fleet` is put together when it is first asked for."""

    options: Options
    env: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    begun: float = field(default_factory=time.time)

    @functools.cached_property
    def fleet(self) -> Fleet:
        fleet = assemble(self.env, Path.cwd(), inventory=self.options.inventory, asked_at=self.begun)
        for notice in fleet.notices:
            self.say(notice)
        return fleet

    @functools.cached_property
    def out(self) -> Palette:
        return Palette.for_stream(sys.stdout, self.env, self.options.no_color)

    @functools.cached_property
    def err(self) -> Palette:
        return Palette.for_stream(sys.stderr, self.env, self.options.no_color)

    def say(self, text: str) -> None:
        """A line of toft's own, on stderr, marked as such; -q silences it."""
        if not self.options.quiet:
            self.complain(text)

    def complain(self, text: str) -> None:
        """The same, but not to be silenced: an error."""
        sys.stderr.write("".join(f"toft: {line}\n" for line in clean(text).splitlines()))
        sys.stderr.flush()

    def separator_before(self, words: Sequence[str]) -> bool:
        """Whether `--` stood directly before these words, the end of the command line."""
        at = len(self.options.argv) - len(words) - 1
        return at >= 0 and self.options.argv[at] == "--"


def complete_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Nodes and groups that have been seen in the inventory that is meant."""
    env = dict(os.environ)
    try:
        given = ctx.params.get("inventory") or getattr(ctx.find_root(), "params", {}).get("inventory") or ()
        paths = assemble(env, Path.cwd(), inventory=tuple(given)).inventory.paths
    except Failure:
        return []
    return [name for name in recall(cache_directory(env), paths) if name.startswith(incomplete)]


def _parameters() -> list[inspect.Parameter]:
    declared: list[tuple[str, Any, Any]] = [
        (
            "inventory",
            Annotated[
                list[Path] | None,
                typer.Option("-i", "--inventory", metavar="PATH", help="Inventory file or directory (repeatable)."),
            ],
            None,
        ),
        ("json", Annotated[bool, typer.Option("--json", help="Print JSON.")], False),
        ("no_color", Annotated[bool, typer.Option("--no-color", help="No colours (also NO_COLOR).")], False),
        ("quiet", Annotated[bool, typer.Option("-q", "--quiet", help="No lines of toft's own on stderr.")], False),
        (
            "verbose",
            Annotated[int, typer.Option("-v", "--verbose", count=True, show_default=False, help="Say more.")],
            0,
        ),
        ("debug", Annotated[bool, typer.Option("--debug", help="Show a traceback on errors.")], False),
        ("cold", Annotated[bool, typer.Option("--cold", help="Not through the warm engine.")], False),
    ]
    kind = inspect.Parameter.KEYWORD_ONLY
    return [inspect.Parameter(n, kind, default=d, annotation=a) for n, a, d in declared]


def _options(given: dict[str, Any]) -> Options:
    values = {p.name: given.pop(p.name) for p in _parameters()}
    return Options(**values | {"inventory": tuple(values["inventory"] or ())})


def command(
    app: typer.Typer, name: str, *, words: bool = False, **settings: Any
) -> Callable[[Callable[..., int | None]], Callable[..., None]]:
    """Register a command whose function takes a Session first and returns an exit code.

    With `words`, the options end at the first word: what follows belongs to the command that is to be run.
    """

    def register(function: Callable[..., int | None]) -> Callable[..., None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        own_keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]

        @functools.wraps(function)
        def run(ctx: typer.Context, **given: Any) -> None:
            options = _options(given).under(ctx.find_root().obj)
            raise typer.Exit(guarded(Session(options), lambda session: function(session, **given)))

        parameters = [context, *own_keywords, *_parameters()]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        context_settings = {"allow_interspersed_args": not words, "help_option_names": ["-h", "--help"]}
        app.command(name, context_settings=context_settings, **settings)(run)
        return run

    return register


def root(app: typer.Typer, version: Callable[[bool], None]) -> None:
    """The options before any command, kept for it in the context."""

    def callback(ctx: typer.Context, **given: Any) -> None:
        given.pop("version")
        ctx.obj = replace(_options(given), argv=ctx.obj.argv)

    shown = Annotated[bool, typer.Option("--version", callback=version, is_eager=True, help="Show the version.")]
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        inspect.Parameter("version", kind, default=False, annotation=shown),
        *_parameters(),
    ]
    callback.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # typer reads it
    callback.__annotations__ = {p.name: p.annotation for p in parameters}
    app.callback()(callback)


def _as_value(failure: Failure) -> dict[str, Any]:
    error = {"message": failure.message, "hint": failure.hint, "node": failure.node}
    return {"error": error, "exit_code": failure.exit_code, "origin": "toft"}


def guarded(session: Session, run: Callable[[Session], int | None]) -> int:
    """Run, and end as the contract says: the one place where a failure becomes words and a code."""
    try:
        code = run(session) or 0
        _tell_of_damage(session)
        if "fleet" in vars(session):
            hook_file.renew(session.env)
        return _flushed(code)
    except Failure as failure:
        session.complain(failure.message)
        if failure.hint:
            session.complain(f"try: {failure.hint}")
        if session.options.json:
            sys.stdout.write(as_json(_as_value(failure)))
        if session.options.debug:
            traceback.print_exc()
        return failure.exit_code
    except (BrokenPipeError, ReaderGone):
        _say_no_more()
        return 141
    except OSError as error:
        # A state directory that cannot be written, a full disk, a directory that is gone.
        _say_no_more()
        where = f"{error.filename}: " if error.filename else ""
        session.complain(f"{where}{error.strerror or error}")
        session.complain("try: toft doctor")
        if session.options.debug:
            traceback.print_exc()
        return NOT_STARTED
    except KeyboardInterrupt:
        return 130


def _flushed(code: int) -> int:
    """What is still in our buffer may meet a closed pipe or a full disk: here, not after the last word."""
    sys.stdout.flush()
    return code


def _say_no_more() -> None:
    """What is left for stdout has nowhere to go; the interpreter would try, and complain, at its very end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _tell_of_damage(session: Session) -> None:
    """A file of records that had to be set aside is not kept quiet."""
    for notice in session.fleet.store.notices if "fleet" in vars(session) else ():
        session.complain(notice)
