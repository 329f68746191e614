"""The names that a shell may complete: nodes and groups as they were last seen.

To ask Ansible takes a second, too long for the tab key; so each answer about nodes leaves their names in the
cache, one small file an inventory. What is wrong with it is nobody's business: then nothing is completed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path


def remember(directory: Path, inventory: Sequence[Path], names: Iterable[str]) -> None:
    """Only what is new is added; an inventory that shrank is forgotten when its file changes its path."""
    file = _file(directory, inventory)
    known = set(recall(directory, inventory))
    if known.issuperset(wanted := set(names)):
        return
    with contextlib.suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(sorted(known | wanted)))
        draft.replace(file)


def recall(directory: Path, inventory: Sequence[Path]) -> list[str]:
    try:
        found = json.loads(_file(directory, inventory).read_text())
    except (OSError, ValueError):
        return []
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def cache_directory(env: Mapping[str, str]) -> Path:
    """XDG: $XDG_CACHE_HOME/toft, else ~/.cache/toft."""
    given = env.get("XDG_CACHE_HOME", "")
    return (Path(given) if given.startswith("/") else Path(env.get("HOME") or "/") / ".cache") / "toft"


def _file(directory: Path, inventory: Sequence[Path]) -> Path:
    key = hashlib.sha256("\0".join(map(str, inventory)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return directory / "names" / f"{key}.json"
