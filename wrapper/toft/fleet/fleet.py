"""Everything a use case works with, put together once for each run of a face."""

from __future__ import annotations

import os
import secrets
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from toft.engine.requests import Request, refuse_pattern
from toft.engine.runner import Answers, Engine, Refused
from toft.fleet import inventory as inventories
from toft.fleet import names
from toft.fleet.failures import NOT_STARTED, USAGE, Failure
from toft.fleet.patterns import expand
from toft.fleet.settings import Settings, load
from toft.fleet.yaml_source import BadFile
from toft.store.store import Store


@dataclass(frozen=True)
class Fleet:
    """`cwd` is the directory that the person stands in, `asked_at` (epoch seconds) when they asked, if
    they wait since then; `notices` are to be shown once; `progress` names a file that is told how far a sync is."""

    settings: Settings
    inventory: inventories.Inventory
    engine: Engine
    store: Store
    cwd: Path
    asked_at: float | None = None
    notices: tuple[str, ...] = ()
    progress: str | None = None

    def ask(self, request: Request) -> Answers:
        """Run a request; a refusal becomes a Failure that says what, why and what to type."""
        refusal = refuse_pattern(request.pattern)
        if refusal:
            raise Failure(refusal, "toft status all")
        pattern = expand(request.pattern)
        request = replace(request, pattern=pattern, body={**request.body, "pattern": pattern})
        outcome = self.engine.run(request)
        if isinstance(outcome, Refused):
            raise _failure(outcome, request.pattern, self.inventory)
        return outcome

    def body(self, **more: Any) -> dict[str, Any]:
        """What every action needs to know of the settings."""
        settings = self.settings
        return {
            "connect_timeout": settings.connect_timeout,
            "asked_at": self.asked_at,
            "interval": settings.cpu_interval,
            "policy": policy(settings),
            "here": str(self.cwd),
            **more,
        }

    def remember(self, known: Iterable[str]) -> None:
        """Names of nodes and groups, for a shell to complete."""
        names.remember(names.cache_directory(self.engine.environment), self.inventory.paths, known)

    def cancellable(self, cancelled: Callable[[], bool]) -> Fleet:
        return replace(self, engine=replace(self.engine, cancelled=cancelled))


def assemble(
    env: Mapping[str, str], cwd: Path, *, inventory: Sequence[Path] = (), asked_at: float | None = None
) -> Fleet:
    """Reads the configuration, finds the inventory; touches nothing else."""
    try:
        settings = load(env, cwd, {"inventory": [str(p) for p in inventory] or None})
        found = inventories.resolve(settings)
    except BadFile as error:
        raise Failure(str(error)) from error
    state = state_directory(env)
    engine = Engine(state / "runs", found.paths, found.text, dict(env))
    return Fleet(settings, found, engine, Store(state / "toft.db"), cwd, asked_at)


def state_directory(env: Mapping[str, str]) -> Path:
    """XDG: $XDG_STATE_HOME/toft, else ~/.local/state/toft."""
    given = env.get("XDG_STATE_HOME", "")
    home = Path(env.get("HOME") or os.path.expanduser("~"))
    return (Path(given) if given.startswith("/") else home / ".local" / "state") / "toft"


def policy(settings: Settings) -> dict[str, Any]:
    """What routing is to weigh, as JSON."""
    weights, overload = settings.load_weights, settings.overload
    return {
        "load_weights": vars(weights),
        "overload": vars(overload),
        "host_preferences": {k: list(v) for k, v in settings.host_preferences.items()},
        "rules": [dict(rule) for rule in settings.rules],
    }


def new_id(prefix: str = "j") -> str:
    """A job's id: short enough to type, long enough never to come twice."""
    alphabet = string.ascii_lowercase + string.digits
    return prefix + "".join(secrets.choice(alphabet) for _ in range(10))


def now() -> str:
    """RFC 3339, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _failure(refused: Refused, pattern: str, inventory: inventories.Inventory) -> Failure:
    where = ", ".join(map(str, inventory.paths)) or "the embedded default (this machine)"
    if refused.code == "no_hosts":
        message = f"no node matches {pattern!r} in {where}"
        return Failure(
            message, f"ansible-inventory -i {inventory.paths[0]} --graph" if inventory.paths else "toft init"
        )
    if refused.code == "cancelled":
        return Failure(refused.message, exit_code=130)
    if refused.code == "usage":
        return Failure(refused.message, exit_code=USAGE)
    return Failure(refused.message, exit_code=NOT_STARTED if refused.code == "not_started" else USAGE)
