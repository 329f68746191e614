"""A run of the collection's own playbooks, with Ansible's events told as they come.

Unlike a Request this is Ansible as people know it: forks, modules on the nodes, `--check`, `--diff`, extra variables.
What the user gives goes into files of the run's private directory (variables) or over Ansible's terminal (passwords),
and never into an argv or the environment; the directory goes when the run has ended.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toft.engine.descendants import descendants, end
from toft.engine.events import Event, read
from toft.engine.runner import (
    ASK_CANCELLED_S,
    NO_CONFIGURATION,
    Engine,
    collections_path,
    errors,
    private_umask,
    readable_environment,
    settings,
    whole_text,
)

PROMPTS = {"ssh": r"^SSH password:\s*$", "become": r"^BECOME password.*:\s*$"}
ASKING = {"ssh": "--ask-pass", "become": "--ask-become-pass"}
SETTINGS = "ansible_collections/toft/fleet/playbooks/ansible.cfg"
"""The collection's own, which plain ansible-playbook can use as well."""


@dataclass(frozen=True)
class Provisioning:
    """`playbooks` by their full names, in order; `variables` are mappings or files of them, a later one wins;
    `passwords` by what asks for them, `ssh` or `become`."""

    playbooks: tuple[str, ...]
    limit: str | None = None
    check: bool = False
    diff: bool = False
    variables: tuple[Mapping[str, Any] | Path, ...] = ()
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Ended:
    """`status` is successful, failed or canceled; `errors` what Ansible said of itself, if anything."""

    status: str
    errors: str


def provision(engine: Engine, what: Provisioning, tell: Callable[[Event], None]) -> Ended:
    """Runs it here and now; the engine's `cancelled` ends it, and all that it has started here."""
    engine.runs.mkdir(mode=0o700, parents=True, exist_ok=True)
    run_dir = engine.runs / f"p{secrets.token_hex(5)}"
    try:
        with private_umask():
            words = _written(engine, what, run_dir)
        return _run(engine, what, run_dir, words, tell)
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)


def _written(engine: Engine, what: Provisioning, run_dir: Path) -> list[str]:
    """The run's files, and the options of ansible-playbook that name them."""
    (run_dir / "project").mkdir(parents=True)
    imports = [{"import_playbook": name} for name in what.playbooks]
    (run_dir / "project" / "provision.yml").write_text(json.dumps(imports))
    if engine.inventory_text is not None:
        (run_dir / "hosts.yml").write_text(engine.inventory_text)
    words = [f"--limit={what.limit}"] if what.limit else []
    words += [f"--{name}" for name, wanted in (("check", what.check), ("diff", what.diff)) if wanted]
    words += [ASKING[kind] for kind in what.passwords]
    for number, given in enumerate(what.variables):
        file = given
        if not isinstance(file, Path):
            file = run_dir / f"variables{number}.json"
            file.write_text(json.dumps(given))
        words.append(f"--extra-vars=@{file}")
    return words


def _run(engine: Engine, what: Provisioning, run_dir: Path, words: list[str], tell: Callable[[Event], None]) -> Ended:
    import ansible_runner

    doomed: set[int] = set()

    def handle(raw: dict[str, Any]) -> bool:
        event = read(raw)
        if event is not None:
            tell(event)
        return False  # nothing of it into a file

    def cancelled() -> bool:
        if engine.cancelled():
            doomed.update(descendants([os.getpid()]))
        return engine.cancelled()

    with readable_environment():
        runner = ansible_runner.run(
            private_data_dir=str(run_dir),
            project_dir=str(run_dir / "project"),
            playbook="provision.yml",
            inventory=engine.sources(run_dir),
            envvars=_settings(engine.environment) | {"ANSIBLE_LOCAL_TEMP": str(run_dir / "tmp")},
            cmdline=shlex.join(words) or None,
            passwords={PROMPTS[kind]: given for kind, given in what.passwords.items()},
            suppress_env_files=True,  # else passwords would be written down
            settings={"pexpect_use_poll": True, "idle_timeout": 0, "pexpect_timeout": ASK_CANCELLED_S},
            event_handler=handle,
            cancel_callback=cancelled,
            quiet=True,
        )
    end(doomed)
    return Ended(runner.status, errors(whole_text(runner.stdout)))


def _settings(environment: Mapping[str, str]) -> dict[str, str]:
    """As for every run; the user's ansible.cfg if there is one, else what serves provisioning."""
    always = settings(environment)
    if Path(always["ANSIBLE_CONFIG"]) != NO_CONFIGURATION:
        return always
    return always | {"ANSIBLE_CONFIG": str(Path(collections_path(environment)[0]) / SETTINGS)}
