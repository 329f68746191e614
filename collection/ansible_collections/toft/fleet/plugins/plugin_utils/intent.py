# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which jobs are about to be started where, written down before any node is asked.

The file comes into being once, whole: either the action that starts the jobs makes it, and whoever looks
later knows where to ask; or somebody who finds its toft dead makes an empty one first, and then the action
may not start anything any more. A link decides who was first. What a node has refused for want of a slot is
declared anew for the next one.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

NAME = "intents.json"


@dataclass(frozen=True)
class Intent:
    """Job `id` is about to be started on `node`; `transport` as JSON; `at` is RFC 3339."""

    id: str
    node: str
    transport: dict[str, Any]
    command: tuple[str, ...]
    at: str


class Cancelled(Exception):
    """Nothing may be started any more: the toft that wanted it is gone, and somebody has said so."""


def declare(run_dir: Path, intents: list[Intent]) -> None:
    """Raises Cancelled if it is too late. On disk when it returns."""
    if not _first(run_dir, intents):
        raise Cancelled("the run was cancelled before anything was started")


def declare_anew(run_dir: Path, intents: list[Intent]) -> None:
    """The same for what was declared before, and has been provably refused there. Raises Cancelled."""
    if _first(run_dir, intents):
        return
    if not json.loads((run_dir / NAME).read_text()):
        raise Cancelled("the run was cancelled")
    _draft(run_dir, intents).replace(run_dir / NAME)


def read_or_cancel(run_dir: Path) -> list[Intent]:
    """What was declared; if nothing was, nothing ever will be."""
    if not run_dir.is_dir() or _first(run_dir, []):
        return []
    told = json.loads((run_dir / NAME).read_text())
    return [Intent(**item | {"command": tuple(item["command"])}) for item in told]


def _first(run_dir: Path, intents: list[Intent]) -> bool:
    """Whether ours became the file."""
    draft = _draft(run_dir, intents)
    try:
        os.link(draft, run_dir / NAME)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _draft(run_dir: Path, intents: list[Intent]) -> Path:
    """On the disk."""
    draft = run_dir / f".{NAME}.{secrets.token_hex(4)}"
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileNotFoundError as error:
        raise Cancelled("the run's directory is gone") from error
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump([asdict(intent) for intent in intents], file)
        file.flush()
        os.fsync(file.fileno())
    return draft
