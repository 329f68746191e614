# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is only remembered to be quick: JSON files that may be gone, old or cut at any time."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any


def write_json(path: Path, value: object) -> None:
    """Whole or not at all; one that cannot be written is done without."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.write_text(json.dumps(value, separators=(",", ":")))
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """Empty when there is none, or none that can be read."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def tidy(folder: Path, pattern: str, kept: int) -> None:
    """Remove all but the newest files."""
    found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in found[kept:]:
        old.unlink(missing_ok=True)
