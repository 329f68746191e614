# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One host's load as facts, through whatever connection and become Ansible has for it.

The probe is a text for sh, so the node needs no Python. Other than `probe`, this
is an ordinary action: it runs once for each host, and a host's failure is its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.toft.fleet.plugins.module_utils.load import Load
from ansible_collections.toft.fleet.plugins.plugin_utils import probing

OPTIONS = {
    "paths": {"type": "list", "elements": "str"},
    "interval": {"type": "float", "default": 0.2},
    "commands": {"type": "list", "elements": "str", "default": []},
}

STORAGE = ("toft_workdir", "toft_storage_hot", "toft_storage_cold")
"""Host variables whose paths are looked at unless others are asked for."""

REASONS = {
    "no_sh": "this host has no POSIX shell that could be asked for its load",
    "protocol": "this host answered something else than its load",
}


class ActionModule(ActionBase):
    """See the documentation of the module of the same name."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        options = self.validate_argument_spec(argument_spec=OPTIONS)[1]
        paths = options["paths"] or self._storage(task_vars or {})
        bad = [repr(path) for path in paths if not probing.is_path(path)]
        if bad:
            return result | {"failed": True, "msg": f"not a path: {', '.join(bad)}"}
        done = self._ask(probing.script(paths, options["interval"], options["commands"]))
        load = probing.read(str(done.get("stdout", "")).encode("utf-8", "surrogateescape"))
        if isinstance(load, Load):
            return result | {"changed": False, "ansible_facts": {"toft_load": load.to_dict()}}
        return result | _failed(load, done)

    def _storage(self, task_vars: Mapping[str, Any]) -> list[str]:
        values = (self._templar.template(task_vars.get(name)) for name in STORAGE)
        return [str(value) for value in values if value]

    def _ask(self, script: bytes) -> dict[str, Any]:
        """The script on stdin if that reaches the shell, else as the command itself (where a csh as the login
        shell would stumble over its lines)."""
        if self._has_stdin():
            done = self._low_level_execute_command(probing.COMMAND, in_data=script)
        else:
            done = self._low_level_execute_command(script.decode("utf-8", "surrogateescape"))
        told: dict[str, Any] = done
        return told

    def _has_stdin(self) -> bool:
        """Not every connection carries it, and a become method may put a terminal in its place."""
        become = self._connection.become
        through = become is None or (become.name == "sudo" and self._connection.transport != "local")
        return bool(self._connection.has_pipelining and through)


def _failed(code: str, done: Mapping[str, Any]) -> dict[str, Any]:
    words = str(done.get("stderr", "")).strip()[-300:]
    return {"failed": True, "cause": code, "msg": f"{REASONS[code]}{': ' if words else ''}{words}"}
