# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a node is asked for its load: a constant command, a script on its stdin, and its output read.

The command is the same for every node and question, so that any login shell can read it (sh, bash, zsh, fish,
csh). What differs is in the first lines of the script, as assignments of numbers and of quoted words. Nothing
has to be installed on the node, and it needs no Python.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal

from ansible_collections.toft.fleet.plugins.module_utils.load import Load, parse
from ansible_collections.toft.fleet.plugins.module_utils.sections import started

COMMAND = "exec sh -s"
MOST = 1 << 20
"""Bytes of output that are looked at. A probe prints 2,000; the rest is for a talkative login."""

SHORTEST, LONGEST = 0.05, 10.0
"""Seconds. In less than SHORTEST the kernel's clock of 1/100 s counts hardly anything."""

NAMES = (
    "docker podman nvidia-smi gcc g++ clang rustc cargo go node npm pnpm yarn bun deno java mvn gradle "
    "ruby swift python3 pip3 uv make cmake ninja rsync git brew apt-get dnf pacman apk tmux ffmpeg "
    "sqlite3 psql kubectl terraform icecc ccache claude codex agentapi"
)
"""Commands that are looked for on every node: those found are its capabilities."""

SLURP = '[ -z "$BASH_VERSION" ] || { eval "$(cat)"; exit; }'
"""bash reads a script on stdin one byte at a time; taking the rest at once saves a fifth of its time."""

NO_SHELL = re.compile("not recognized|not available|not found|nologin", re.IGNORECASE)
A_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def script(paths: Iterable[str], interval: float | None = 0.2, names: Iterable[str] = (), root: str = "") -> bytes:
    """What the node's sh is to read from stdin.

    `paths` are those whose disk is wanted: absolute, from `~`, or relative to the home directory; none at all
    stands for the home directory. What is no path is left out, as an unknown command in `names` is. Without
    an `interval` only what is known at once is told: no load of the processors, no disks. `root` looks below
    another directory than /, for tests.
    """
    wanted = [quoted(path) for path in paths if is_path(path)] or ['"$HOME"']
    commands = " ".join([NAMES, *filter(A_NAME.fullmatch, names)])
    seconds = 0.0 if interval is None else min(LONGEST, max(SHORTEST, interval))
    values = f"root={shlex.quote(root)} interval={seconds:g} names='{commands}'"
    head = f"{SLURP}\n{values}\nset -- {' '.join(wanted)}\n"
    return head.encode("utf-8", "surrogateescape") + body()


def read(stdout: bytes | str) -> Load | Literal["no_sh", "protocol"]:
    """The load, or the code of the cause why there is none. What comes may be anything, of any size."""
    text = stdout[:MOST] if isinstance(stdout, str) else stdout[:MOST].decode("utf-8", "replace")
    if not started(text):
        return "no_sh" if not text.strip() or NO_SHELL.search(text) else "protocol"
    load = parse(text)
    return load if load.cores or "end" not in load.missing else "protocol"


def is_path(path: str) -> bool:
    """Whether it can be named in the script."""
    return bool(path) and not CONTROL.search(path)


def quoted(path: str) -> str:
    """One word for sh. Only a leading `~` and a relative path mean something: the home directory."""
    if path.startswith("/"):
        return shlex.quote(path)
    below = path.removeprefix("~").lstrip("/") if path == "~" or path.startswith("~/") else path
    return '"$HOME"' + ("/" + shlex.quote(below) if below else "")


@cache
def body() -> bytes:
    """probe.sh without its comments and indentation, which are half of it."""
    lines = map(str.strip, Path(__file__).with_name("probe.sh").read_text("utf-8").split("\n"))
    return "\n".join(line for line in lines if line and not line.startswith("#")).encode() + b"\n"
