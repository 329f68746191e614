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


def client(envs: Path) -> Client:
    """This machine, looked at."""
    there = toolchains(envs / "toolchains.json")
    platform = _platform()
    own = tuple(dict.fromkeys(one for one in there if usable(one, platform, _gcc_version)))
    return Client(platform, _icecc(), own, there)


def usable(toolchain: Toolchain, platform: str, version_of: Callable[[str], str | None]) -> bool:
    """Whether it is that of a compiler of this machine, as it is today. `version_of(program)` is None without it."""
    program = f"{toolchain.prefix}-gcc" if toolchain.prefix else "gcc"
    return toolchain.platform == platform and version_of(program) == toolchain.version


def toolchains(index: Path) -> tuple[Toolchain, ...]:
    """None if the role has not been here."""
    try:
        told = json.loads(index.read_text(encoding="utf-8"))
        return tuple(Toolchain.from_dict(one) for one in told)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise Failure(f"{index} cannot be used: {error}", "toft provision icecream") from error


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
