"""The inventory's own word, as `ansible-inventory --list` gives it: groups and variables, no node reached.

Values are as they stand in the files: a template in one is still a template.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toft.engine.runner import Engine, Refused, errors, private_umask, readable_environment, settings


@dataclass(frozen=True)
class Listed:
    """What `ansible-inventory --list` says."""

    raw: Mapping[str, Any]

    def members(self, group: str) -> tuple[str, ...]:
        """The nodes of a group and of its children, in order; none if there is no such group."""
        return tuple(dict.fromkeys(self._members(group)))

    def variables(self, node: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.raw.get("_meta", {}).get("hostvars", {}).get(node, {})
        return found

    def _members(self, group: str) -> Iterator[str]:
        told = self.raw.get(group, {})
        yield from told.get("hosts", ())
        for child in told.get("children", ()):
            yield from self._members(child)


def listed(engine: Engine) -> Listed | Refused:
    engine.runs.mkdir(mode=0o700, parents=True, exist_ok=True)
    run_dir = engine.runs / f"i{secrets.token_hex(5)}"
    try:
        with private_umask():
            run_dir.mkdir()
            if engine.inventory_text is not None:
                (run_dir / "hosts.yml").write_text(engine.inventory_text)
        return _asked(engine, run_dir)
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)


def _asked(engine: Engine, run_dir: Path) -> Listed | Refused:
    """Not by ansible_runner's get_inventory: that looks for the program in the PATH that this process has."""
    import ansible_runner

    mine = settings(engine.environment) | {"ANSIBLE_LOCAL_TEMP": str(run_dir / "tmp")}
    sources = [word for source in engine.sources(run_dir) for word in ("-i", source)]
    with readable_environment():
        told, said, code = ansible_runner.run_command(
            shutil.which("ansible-inventory", path=mine["PATH"]) or "ansible-inventory",
            ["--list", *sources],
            runner_mode="subprocess",
            private_data_dir=str(run_dir),
            envvars=mine,
            suppress_env_files=True,
            quiet=True,
        )
    if code != 0:
        return Refused("ansible", errors(said) or f"ansible-inventory ended with {code}", said)
    return Listed(json.loads(told))
