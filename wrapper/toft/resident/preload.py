"""What every command would import: the command line, the use cases, ansible_runner, and Ansible itself.

Ansible reads its configuration while it is imported. So it is imported here under the settings that each run of
ours has anyway, and the surroundings that an engine is for (its name says them) hold the rest of it.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import struct
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

COLLECTION = "ansible_collections.toft.fleet.plugins"
ANSIBLE = (
    "ansible.cli.playbook",
    "ansible.executor.playbook_executor",
    "ansible.executor.process.worker",
    "ansible.executor.task_executor",
    "ansible.executor.task_queue_manager",
    "ansible.plugins.action.normal",
    "ansible.plugins.callback.default",
    "ansible.plugins.connection.local",
    "ansible.plugins.connection.ssh",
    "ansible.plugins.inventory.host_list",
    "ansible.plugins.inventory.ini",
    "ansible.plugins.inventory.yaml",
    "ansible.plugins.shell.sh",
    "ansible.plugins.strategy.linear",
    "ansible.plugins.vars.host_group_vars",
    "ansible.template",
    "ansible.vars.manager",
)
PLUGINS = {
    "action": ("normal",),
    "become": ("sudo", "su"),
    "cache": ("memory", "jsonfile"),
    "callback": ("default",),
    "connection": ("local", "ssh"),
    "inventory": ("host_list", "script", "auto", "yaml", "ini", "toml", "advanced_host_list"),
    "shell": ("sh",),
    "strategy": ("linear",),
    "vars": ("host_group_vars",),
}
"""Loaded as plugins: their documentation, which is parsed, says what can be set."""
ALL_OF = frozenset({"become", "connection", "shell", "vars"})
"""Of these each playbook loads all that there are. (Of callbacks too, but ansible_runner's own is for one run.)"""
READ = ("rules.yml", "effects.yml", "probe.sh")
OTHERS = (
    "typer._adapters",
    "typer._completion",
    "ansible_runner",
    "pexpect",
    "sqlite3",
    "readline",
    "tree_sitter_bash",
    "http.client",
    "email.parser",
    "ansible.utils._junit_xml",
)


@dataclass(frozen=True)
class Stamped:
    """Files with what they were when they were read.

    Each command looks at them all in a fork, where every value that is touched costs the copy of its page: so
    they are kept as two long values and not as thousands of small ones.
    """

    names: bytes
    """Joined by NUL."""
    stamps: bytes
    """STAMP for each."""

    @classmethod
    def of(cls, files: Iterable[str]) -> Stamped:
        there = [(os.fsencode(file), stamp) for file in files if (stamp := _stamp(file))]
        return cls(b"\0".join(name for name, _was in there), b"".join(was for _name, was in there))

    def __len__(self) -> int:
        return len(self.stamps) // STAMP.size

    @property
    def changed(self) -> str:
        """One that is no longer what it was, if there is one."""
        for at, name in enumerate(self.names.split(b"\0") if self.names else ()):
            if _stamp(name) != self.stamps[at * STAMP.size : (at + 1) * STAMP.size]:
                return os.fsdecode(name)
        return ""


STAMP = struct.Struct("=qq")
"""When it was written (ns), and its size (bytes)."""


def _stamp(file: str | bytes) -> bytes:
    try:
        found = os.stat(file)
    except OSError:
        return b""
    return STAMP.pack(found.st_mtime_ns, found.st_size)


@dataclass(frozen=True)
class Loaded:
    """The `files` that are loaded, the `settings` that Ansible has read, and the `command` line of toft."""

    files: Stamped
    settings: dict[str, str]
    command: Callable[..., Any]

    @property
    def changed(self) -> str:
        """A file that is no longer what is loaded, if there is one."""
        return self.files.changed


def everything() -> Loaded:
    """Imports it."""
    from toft.engine.runner import preloaded

    before = dict(os.environ)
    os.environ.update(preloaded(before))
    read = {k: v for k, v in os.environ.items() if k.startswith("ANSIBLE_")}
    for name in ANSIBLE:
        importlib.import_module(name)
    _collection()
    _plugins()
    _tables()
    for name in OTHERS:
        with_suppressed(name)
    from toft.cli.main import build

    command = build()
    _parsers(command)
    os.environ.clear()
    os.environ.update(before)
    return Loaded(Stamped.of(_files()), read, command)


def with_suppressed(name: str) -> None:
    try:
        importlib.import_module(name)
    except ImportError:
        return


def _parsers(command: Any) -> None:
    """typer makes what reads a parameter's words when it is first needed, for each in each process."""
    for parameter in command.params:
        getattr(parameter, "get_runtime_param", bool)()
    for each in getattr(command, "commands", {}).values():
        _parsers(each)


def _collection() -> None:
    """Through Ansible's own loader, which takes no collection that was imported without it."""
    from ansible.plugins.loader import init_plugin_loader

    for name in [name for name in sys.modules if name.partition(".")[0] == "ansible_collections"]:
        del sys.modules[name]
    init_plugin_loader()
    importlib.import_module("ansible_collections.ansible.builtin")
    for part in ("module_utils", "plugin_utils", "action"):
        package = importlib.import_module(f"{COLLECTION}.{part}")
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{COLLECTION}.{part}.{module.name}")


def _tables() -> None:
    """What the collection reads once in each process: its rules, the shell's grammar, the programs for nodes."""
    plugin_utils = importlib.import_module(f"{COLLECTION}.plugin_utils")
    rules, shell, program = plugin_utils.rules, plugin_utils.shell, plugin_utils.program
    rules.requirement(shell.parse("true"), rules.built_in())
    plugin_utils.effect_rules.built_in()
    plugin_utils.probing.body()
    for verb in program.MODULES:
        program.request_bytes({"verb": verb})


def _plugins() -> None:
    from ansible.plugins import loader

    for kind, names in PLUGINS.items():
        plugins = getattr(loader, f"{kind}_loader")
        for name in names:
            plugins.get(name, class_only=True)
        if kind in ALL_OF:
            for _each in plugins.all(class_only=True):
                pass
        # Some loaders keep what they gave, and would give the class where an instance is asked for.
        if plugins._plugin_instance_cache:
            plugins._plugin_instance_cache.clear()


def _files() -> list[str]:
    """The modules, and what lies beside them and was read."""
    modules = {file for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
    beside = importlib.import_module(f"{COLLECTION}.plugin_utils").__path__[0]
    return sorted(modules | {os.path.join(beside, name) for name in READ})
