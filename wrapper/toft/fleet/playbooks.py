"""The playbooks of the collection that set nodes up, by the names that `toft provision` takes.

Found, not listed: a playbook counts when it uses roles, itself or through one that it imports. `site` is the whole
fleet, and its imports say in which order roles go; a playbook that it does not import comes after those (`verify`),
but `bootstrap` first, for without it there is nothing to go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

COLLECTION = "toft.fleet"
WHOLE, FIRST = "site", "bootstrap"
ROLE_ACTIONS = {f"{prefix}{action}_role" for prefix in ("", "ansible.builtin.") for action in ("include", "import")}
IMPORTS = ("ansible.builtin.import_playbook", "import_playbook")
TASK_LISTS = ("pre_tasks", "tasks", "post_tasks", "handlers", "block", "rescue", "always")


@dataclass(frozen=True)
class Play:
    """`role` is the playbook it stands in, `hosts` whom it is for."""

    role: str
    name: str
    hosts: str


@dataclass(frozen=True)
class Playbooks:
    """`plays` has every playbook's own plays and imports in order; `usable` those that use roles."""

    contents: Mapping[str, Sequence[Mapping[str, Any]]]

    def roles(self) -> tuple[str, ...]:
        """What can be asked for, in the order in which it is done."""
        found = [name for name in self.contents if name != WHOLE and self._uses_roles(name)]
        order = [FIRST, *self._imports(WHOLE)]
        return tuple(sorted(found, key=lambda name: (order.index(name) if name in order else len(order), name)))

    def whole(self) -> tuple[str, ...]:
        """The roles of the whole fleet."""
        return tuple(name for name in self._imports(WHOLE) if name in self.contents)

    def plays(self, name: str) -> tuple[Play, ...]:
        """In the order in which Ansible runs them; those of an imported playbook are that one's."""
        return tuple(self._plays(name))

    def _plays(self, name: str) -> Iterator[Play]:
        for part in self.contents.get(name, ()):
            imported = _imported(part)
            if imported:
                yield from self._plays(imported)
            elif "hosts" in part:
                hosts = part["hosts"]
                pattern = ",".join(map(str, hosts)) if isinstance(hosts, list) else str(hosts)
                yield Play(name, str(part.get("name") or pattern), pattern)

    def _imports(self, name: str) -> list[str]:
        return [imported for part in self.contents.get(name, ()) if (imported := _imported(part))]

    def _uses_roles(self, name: str) -> bool:
        return any(
            part.get("roles") or _includes_role(part) or self._uses_roles(_imported(part) or "")
            for part in self.contents.get(name, ())
        )


def _imported(part: Mapping[str, Any]) -> str | None:
    """The name of the playbook of this collection that this part of a playbook imports."""
    for key in IMPORTS:
        name = str(part.get(key) or "")
        if name:
            return name.removeprefix(f"{COLLECTION}.").removesuffix(".yml")
    return None


def _includes_role(part: Mapping[str, Any]) -> bool:
    tasks = [task for key in TASK_LISTS for task in part.get(key) or () if isinstance(task, dict)]
    return any(ROLE_ACTIONS & task.keys() or _includes_role(task) for task in tasks)


def read(directory: Path) -> Playbooks:
    """Those of a collection's directory `playbooks`."""
    return Playbooks({file.stem: _parts(file) for file in sorted(directory.glob("*.yml"))})


def _parts(file: Path) -> list[Mapping[str, Any]]:
    loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    return [part for part in loaded if isinstance(part, dict)] if isinstance(loaded, list) else []
