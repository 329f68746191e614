"""Options that several commands share, turned into values; a bad one is a usage error with its reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from toft.fleet.failures import Failure

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def form_of(shell: bool, exec_: bool) -> Literal["auto", "shell", "exec"]:
    if shell and exec_:
        raise Failure("--shell and --exec exclude each other", "toft offload --help")
    return "shell" if shell else "exec" if exec_ else "auto"


def environment(ours: Mapping[str, str], given: Sequence[str], file: Path | None) -> dict[str, str]:
    """--env-file first, then --env: NAME takes today's value here, NAME=VALUE is as it says."""
    found = _from_file(file) if file else {}
    for item in given:
        name, equals, value = item.partition("=")
        _check_name(name, f"--env {item}")
        if not equals and name not in ours:
            raise Failure(f"--env {name}: there is no such variable here", f"--env {name}=VALUE")
        found[name] = value if equals else ours[name]
    return found


def _from_file(file: Path) -> dict[str, str]:
    try:
        # Not splitlines: it would also part a value at a form feed or at U+2028.
        lines = file.read_bytes().decode(errors="surrogateescape").split("\n")
    except OSError as error:
        raise Failure(f"--env-file {file}: {error.strerror}") from error
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.removesuffix("\r").partition("=")
        _check_name(name, f"{file}:{number}")
        if not equals:
            raise Failure(f"{file}:{number}: NAME=VALUE is expected")
        found[name] = value
    return found


def _check_name(name: str, where: str) -> None:
    if not _NAME.match(name):
        raise Failure(f"{where}: {name!r} is no name for a variable")
