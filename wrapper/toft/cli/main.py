"""The command `toft`: its families of commands, put together."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

import toft
from toft.cli.session import Options, root

FAMILIES = (
    *("status", "route", "offload", "parallel", "execute", "sync", "jobs"),
    *("init", "provision", "farm", "doctor", "mcp", "engine"),
)

HELP = """Your few machines, worked as one.

\b
  toft status                    the load of every node
  toft route make -j8            where it would run, and why
  toft offload make -j8          run it there; output and exit code come here
  toft parallel pytest "npm test"  many at once, each where it runs best
  toft exec 'pi*' uptime         on many nodes, equal output folded
  toft jobs                      what runs, and what ran
  toft provision --check         what your machines lack to be a fleet

Without an inventory the fleet is this machine. `toft init` writes one from ~/.ssh/config and Tailscale.
"""


def version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"toft {toft.__version__}\n")
        raise typer.Exit


def build() -> Callable[..., Any]:
    """The whole command line, ready to be called. Building it takes longer than most commands do."""
    app = typer.Typer(
        name="toft",
        help=HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    root(app, version)
    for family in FAMILIES:
        importlib.import_module(f"toft.cli.{family}").register(app)
    return typer.main.get_command(app)


def open_standard_streams() -> None:
    """A closed stdin, stdout or stderr becomes /dev/null: else the next file that is opened would be taken for it."""
    for number, mode in enumerate("rww"):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, ("stdin", "stdout", "stderr")[number], open(number, mode, closefd=False))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def with_interval(words: list[str]) -> list[str]:
    """`status --watch` alone is every 2 seconds: an option whose value may be left out is not in the parser's power."""
    before = words[: words.index("status")] if "status" in words else ["?"]
    valued = ["", *before]
    if "--watch" not in words or not all(
        word.startswith("-") or valued[i] in ("-i", "--inventory") for i, word in enumerate(before)
    ):
        return words
    at = words.index("--watch")
    following = words[at + 1] if at + 1 < len(words) else ""
    is_number = following.replace(".", "", 1).isdigit()
    return words if is_number else [*words[:at], "--watch=2", *words[at + 1 :]]


def main(argv: list[str] | None = None, command: Callable[..., Any] | None = None) -> None:
    """`command` is what was built before, if anything was."""
    open_standard_streams()
    words = with_interval(sys.argv[1:] if argv is None else argv)
    (command or build())(args=words, prog_name="toft", obj=Options(argv=tuple(words)))


if __name__ == "__main__":
    main()
