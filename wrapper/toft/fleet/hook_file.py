"""The table of the Claude Code hook as a file: there or not (that is the switch), and renewed when it is old.

The hook itself only reads. Whoever runs toft for anything else looks, when done, whether the table still holds:
a source of it (configuration, inventory, our own rules) may have changed, or an hour may have passed, in which
nodes come and go. Then a process of its own asks the fleet again and puts the new table in the old one's place;
nobody waits for it. Until then the hook says nothing where a source has changed.

The table is of the owner's machine, not of a directory: `.toft.yaml` of some repository is not in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import inspect
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import rules

from toft.fleet import hook_table
from toft.fleet.claude_plugin import this_toft
from toft.fleet.failures import Failure
from toft.fleet.fleet import Fleet, assemble, state_directory
from toft.fleet.inventory_check import variable_files
from toft.fleet.settings import home_directory
from toft.fleet.unattended import begin

ON = "toft plugin hook on"
RENEW_AFTER_S = 3600.0
RETRY_AFTER_S = 600.0
"""A renewal that failed (no node answered) is not tried again sooner, unless a source has changed since."""

Sources = list[list[Any]]
"""[path, its time of change in nanoseconds or None if it is not there] each."""


@dataclass(frozen=True)
class State:
    """`stale`: why the hook says nothing though it is on, "" if it speaks; `made_at` and `text` are for a person."""

    on: bool
    stale: str = ""
    made_at: str = ""
    text: str = ""


def state(env: Mapping[str, str]) -> State:
    path = _path(env)
    if not path.exists():
        return State(on=False)
    table = _read(path)
    if table is None:
        return State(on=True, stale=f"{path} cannot be read")
    made_at = datetime.fromtimestamp(table["made_at"], UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    changed = [place for place, before in table["made_from"] if _changed(Path(place)) != before]
    stale = f"{changed[0]} has changed since {made_at}" if changed else ""
    return State(True, stale, made_at, str(table["elsewhere"]))


def switch_on(env: Mapping[str, str], inventory: Sequence[Path] = ()) -> str:
    """Ask the fleet and write the table; answers what belongs elsewhere. Raises Failure."""
    given = [str(path.absolute()) for path in inventory] or [
        os.path.abspath(path) for path in env.get("TOFT_INVENTORY", "").split(os.pathsep) if path
    ]
    return _write(env, given, switch=True)


def switch_off(env: Mapping[str, str]) -> None:
    with _locked(env):
        _path(env).unlink(missing_ok=True)


def renew(env: Mapping[str, str]) -> None:
    """Begin a renewal if one is due, and wait for nothing. Whatever goes wrong is no concern of the caller's."""
    with contextlib.suppress(OSError):
        table = _read(_path(env))
        if table is not None and _is_due(env, table):
            quiet = {name: value for name, value in env.items() if not name.startswith("TOFT_")}
            begin((sys.executable, "-P", "-m", __name__, *table["inventory"]), quiet)


def main() -> int:
    """`python -P -m toft.fleet.hook_file [INVENTORY…]`: the renewal itself."""
    os.nice(10)
    try:
        _write(dict(os.environ), sys.argv[1:], switch=False)
    except (Failure, OSError):
        return 1
    return 0


def _is_due(env: Mapping[str, str], table: Mapping[str, Any]) -> bool:
    """Notes that it was, so that the next command does not begin another."""
    now = time.time()
    current = _with_times(Path(place) for place, _ in table["made_from"])
    if current == table["made_from"] and now - table["made_at"] < RENEW_AFTER_S:
        return False
    with _locked(env) as file:
        text = file.read()
        with contextlib.suppress(ValueError, KeyError, TypeError):
            tried = json.loads(text)
            if tried["saw"] == current and now - tried["at"] < RETRY_AFTER_S:
                return False
        file.seek(0)
        file.truncate()
        file.write(json.dumps({"at": now, "saw": current}))
    return True


def _write(env: Mapping[str, str], inventory: Sequence[str], *, switch: bool) -> str:
    """One step, for this user alone. Without `switch`, a hook that is off stays off."""
    fleet = assemble(env, home_directory(env), inventory=tuple(map(Path, inventory)))
    try:
        sources = _sources(fleet)  # before the fleet is asked: what changes meanwhile counts as changed
        found, table = hook_table.table_of(fleet)
    finally:
        fleet.store.close()
    about = {"made_at": time.time(), "made_from": sources, "inventory": list(inventory), "elsewhere": found.text}
    about["toft"] = _typed(env)
    # The programs stand by themselves in the first line: for most commands the hook need not read on.
    text = " ".join(table["programs"]) + "\n" + json.dumps({**about, **table}, separators=(",", ":"))
    with _locked(env):
        if switch or _path(env).exists():
            _put(_path(env), text)
    return found.text


def _typed(env: Mapping[str, str]) -> str:
    """How this toft is called from a shell: by its name, if that leads here."""
    here, found = this_toft(), shutil.which("toft", path=env.get("PATH"))
    return "toft" if found and os.path.realpath(found) == os.path.realpath(here) else shlex.quote(here)


def _put(path: Path, text: str) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.touch(mode=0o600)
    new.write_text(text)
    new.replace(path)


def _read(path: Path) -> dict[str, Any] | None:
    """None: there is none, or none that this toft has written."""
    try:
        table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8").partition("\n")[2])
        return table if table.keys() >= {"made_at", "made_from", "inventory", "elsewhere"} else None
    except (OSError, ValueError, AttributeError):
        return None


def _sources(fleet: Fleet) -> Sources:
    """Directories too: a file that is new there changes them. What is not there yet may come."""
    inventory, settings = fleet.inventory, fleet.settings
    defaults = (settings.directory / "config.yaml", settings.directory / "inventory")
    variables = [file for path in inventory.paths for file in variable_files(path)]
    ours = [Path(inspect.getfile(module)) for module in (rules, hook_table)]
    data = ours[0].with_name("rules.yml")
    found = (*settings.files, *defaults, *inventory.paths, *inventory.files, *variables, *ours, data)
    return _with_times(dict.fromkeys(found))


def _with_times(paths: Iterable[Path]) -> Sources:
    return [[str(path), _changed(path)] for path in paths]


def _changed(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _path(env: Mapping[str, str]) -> Path:
    return state_directory(env) / "hook.json"


@contextlib.contextmanager
def _locked(env: Mapping[str, str]) -> Iterator[Any]:
    """Switching and renewing, one after another. The file says which renewal was begun last."""
    path = state_directory(env) / "hook.lock"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


if __name__ == "__main__":
    sys.exit(main())
