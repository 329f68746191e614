"""Which inventory is meant: the paths that were given, the default directory, or this machine alone.

-i, TOFT_INVENTORY and the configuration are already one value in Settings; what is left is to look whether
it is there and sound, so that Ansible is not started on something that it would misunderstand. With nothing
given and nothing in `~/.config/toft/inventory`, the fleet is one node: this machine, by its short host name.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from toft.fleet.inventory_check import check, refuse_host
from toft.fleet.settings import Settings
from toft.fleet.yaml_source import BadFile

GENERATED = """\
# No inventory was given: this machine is the fleet. `toft init` writes one that can be edited.
local:
  hosts:
    "{name}":
      ansible_connection: local
"""
RESERVED = ("all", "ungrouped", "local")


@dataclass(frozen=True)
class Inventory:
    """Either `paths` (absolute, checked) or, for the one-node fleet, the `text` of a hosts.yml to write."""

    paths: tuple[Path, ...]
    files: tuple[Path, ...]  # what the paths stand for
    text: str | None
    source: str  # who said so: an option, a variable, file:line, or in words


def resolve(settings: Settings, hostname: str | None = None) -> Inventory:
    """Raises BadFile. `hostname` is this machine's, asked of the system when it is not given."""
    if settings.inventory:
        source = settings.sources["inventory"][0]
        files = [file for path in settings.inventory for file in _checked(path, source)]
        return Inventory(settings.inventory, tuple(files), None, source)
    default = settings.directory / "inventory"
    files = list(check(default)) if os.path.lexists(default) else []
    if files:
        return Inventory((default,), tuple(files), None, "the default directory")
    name = short_name(os.uname().nodename if hostname is None else hostname)
    return Inventory((), (), GENERATED.format(name=name), "none: this machine alone")


def short_name(hostname: str) -> str:
    """A host name's first label as a node name: `Marc's Mac.local` -> `Marc-s-Mac`; never a group's name."""
    label = re.sub(r"[^A-Za-z0-9_-]+", "-", hostname.split(".")[0]).strip("-_")
    usable = label and label not in RESERVED and refuse_host(label) is None
    return label if usable else "localhost"


def _checked(path: Path, source: str) -> tuple[Path, ...]:
    if not os.path.lexists(path):
        raise BadFile(str(path), None, f"no such inventory (given by {source})", _advice(path))
    files = check(path)
    if not files:
        raise BadFile(str(path), None, "this directory holds no inventory file", "toft init")
    return files


def _advice(path: Path) -> str:
    if "," in path.name:
        return "a list of hosts is not taken: write them in a file (toft init)"
    return "toft init, or give the right path with -i"
