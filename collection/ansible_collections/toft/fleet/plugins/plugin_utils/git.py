# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""git asked about the repository that a directory is in, and nothing of it executed.

A repository's own configuration may name programs (a file system monitor, hooks); it is perhaps a minute
old and somebody else's. Variables that point git elsewhere (it sets them for its hooks) do not count.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

SAFE = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-optional-locks")


class GitFailed(Exception):
    """git ended with an error; its words."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


def git(folder: str, *words: str, given: bytes | None = None, env: Mapping[str, str] | None = None) -> bytes:
    """What git says on stdout. Raises GitFailed."""
    argv = ["git", *SAFE, "-C", folder, *words]
    try:
        done = subprocess.run(argv, input=given or b"", capture_output=True, env=_environment(env), check=False)
    except OSError as error:
        raise GitFailed(f"git cannot be started: {error.strerror}") from error
    if done.returncode:
        raise GitFailed(done.stderr.decode(errors="replace").strip() or f"git {words[0]} failed")
    return done.stdout


def line(folder: str, *words: str) -> str | None:
    """One line of an answer; None when git has none."""
    try:
        return os.fsdecode(git(folder, *words)).rstrip("\n") or None
    except GitFailed:
        return None


def toplevel(folder: str) -> str | None:
    """The working tree that a directory is in."""
    return line(folder, "rev-parse", "--show-toplevel")


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    return {**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", **(more or {})}


_ELSEWHERE = frozenset(
    "GIT_" + name
    for name in (
        "ALTERNATE_OBJECT_DIRECTORIES",
        "CONFIG",
        "CONFIG_PARAMETERS",
        "CONFIG_COUNT",
        "OBJECT_DIRECTORY",
        "DIR",
        "WORK_TREE",
        "IMPLICIT_WORK_TREE",
        "GRAFT_FILE",
        "INDEX_FILE",
        "NO_REPLACE_OBJECTS",
        "REPLACE_REF_BASE",
        "PREFIX",
        "SHALLOW_FILE",
        "COMMON_DIR",
        "NAMESPACE",
    )
)
"""What `git rev-parse --local-env-vars` names."""
