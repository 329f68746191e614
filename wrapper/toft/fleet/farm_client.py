"""This machine as a client of the compile farm: its compilers, and the toolchains that stand in for them elsewhere.

The role toft.fleet.icecream leaves toolchains of all nodes in a directory, with a list of what they are.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils.icecream import Toolchain, icecc_version

from toft.fleet.failures import Failure


@dataclass(frozen=True)
class Client:
    """What compiles here: the platform as icecream calls it, icecc's version, the toolchains that are usable and
    all that there are."""

    platform: str
    icecc: str | None
    own: tuple[Toolchain, ...]
    all: tuple[Toolchain, ...]

    @property
    def version(self) -> str:
        """ICECC_VERSION; empty without a toolchain of a compiler that is here."""
        return icecc_version(self.own, self.all)


@dataclass(frozen=True)
class Here:
    """This machine by the role's own note: its name in the inventory, the node that schedules and what the daemon here
    reaches it by. All empty if the role has not been here."""

    host: str = ""
    scheduler_node: str = ""
    scheduler: str = ""


def here(envs: Path) -> Here:
    told = _noted(envs / "here.json", {})
    if not told:
        return Here()
    try:
        return Here(str(told["host"]), str(told["scheduler"]["node"]), str(told["scheduler"]["host"]))
    except (TypeError, KeyError) as error:
        raise _unusable(envs / "here.json", error) from error


def client(envs: Path) -> Client:
    """This machine, looked at."""
    there = toolchains(envs / "toolchains.json")
    platform, host = _platform(), here(envs).host
    own = tuple(one for one in there if one.host == host and usable(one, platform, _gcc_version))
    return Client(platform, _icecc(), own, there)


def usable(toolchain: Toolchain, platform: str, version_of: Callable[[str], str | None]) -> bool:
    """Whether it is that of a compiler of this machine, as it is today. `version_of(program)` is None without it."""
    program = f"{toolchain.prefix}-gcc" if toolchain.prefix else "gcc"
    return toolchain.platform == platform and version_of(program) == toolchain.version


def toolchains(index: Path) -> tuple[Toolchain, ...]:
    """None if the role has not been here."""
    told = _noted(index, [])
    try:
        return tuple(Toolchain.from_dict(one) for one in told)
    except (TypeError, KeyError) as error:
        raise _unusable(index, error) from error


def _noted(file: Path, nothing: Any) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return nothing
    except (OSError, ValueError) as error:
        raise _unusable(file, error) from error


def _unusable(file: Path, error: Exception) -> Failure:
    return Failure(f"{file} cannot be used: {error}", "toft provision icecream")


def _platform() -> str:
    told = os.uname()
    return f"Darwin{told.release.split('.')[0]}_{told.machine}" if told.sysname == "Darwin" else told.machine


def _gcc_version(program: str) -> str | None:
    return _first_line([program, "-dumpfullversion", "-dumpversion"])


def _icecc() -> str | None:
    """`ICECC 1.4.0` without the first word."""
    line = _first_line(["icecc", "--version"])
    return line.split()[-1] if line else None


def _first_line(argv: Sequence[str]) -> str | None:
    if shutil.which(argv[0]) is None:
        return None
    told = subprocess.run(argv, capture_output=True, text=True, check=False)
    lines = told.stdout.splitlines()
    return lines[0].strip() if told.returncode == 0 and lines else None
