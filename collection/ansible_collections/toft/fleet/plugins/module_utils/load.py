# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a node is and how busy it is: the probe's text in, a :class:`Load` out.

`plugin_utils/probe.sh` prints raw sections and interprets nothing. Here they
become values, so that all that is decided about a number can be tested with a
text file. `linux.py` and `macos.py` know how each system says it.

The text comes from another machine: a login's chatter may stand before it,
parts may be absent, and any of it may be nonsense. So nothing raises; what
could not be read is ``None`` and named in ``missing``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from ansible_collections.toft.fleet.plugins.module_utils import linux, macos
from ansible_collections.toft.fleet.plugins.module_utils.disks import Disk
from ansible_collections.toft.fleet.plugins.module_utils.sections import Sections, decimal, integer, split

EXPECTED = (
    "os",
    "arch",
    "hostname",
    "machine_id",
    "boot_id",
    "cores",
    "cpu_percent",
    "memory_percent",
    "memory_bytes",
    "load",
    "disk_percent",
    "uptime_s",
    "user",
    "home",
    "shell",
    "jobs",
)
"""Every node has these: those that are ``None`` are listed in ``missing``."""

CAPABILITIES = {"apt-get": "apt", "pip3": "pip"}
"""Commands whose capability goes by another name."""

NO_CAPABILITIES = frozenset({"nvidia-smi", "systemctl"})
"""Commands that can be installed without the thing itself."""


@dataclass(frozen=True)
class Load:
    """One node at one moment.

    Percentages are 0 to 100 with one decimal; ``load`` is the averages of 1, 5
    and 15 minutes; ``disk_percent`` is the fullest of the asked paths;
    ``disks_stuck`` says that a file system did not answer in time; ``interval_s``
    is how long the processors were watched (a Mac cannot do less than 1 s).
    """

    os: Optional[str] = None
    distro: Optional[str] = None
    distro_version: Optional[str] = None
    kernel: Optional[str] = None
    arch: Optional[str] = None
    wsl: bool = False
    wsl_version: Optional[int] = None
    container: Optional[str] = None
    hostname: Optional[str] = None
    machine_id: Optional[str] = None
    boot_id: Optional[str] = None
    cores: Optional[int] = None
    cpu_percent: Optional[float] = None
    memory_percent: Optional[float] = None
    memory_bytes: Optional[int] = None
    load: Optional[Tuple[float, float, float]] = None
    disk_percent: Optional[float] = None
    disks: Tuple[Disk, ...] = ()
    disks_stuck: bool = False
    uptime_s: Optional[int] = None
    user: Optional[str] = None
    home: Optional[str] = None
    shell: Optional[str] = None
    python: Optional[str] = None
    docker_ready: bool = False
    capabilities: Tuple[str, ...] = ()
    jobs: Optional[int] = None
    interval_s: Optional[float] = None
    missing: Tuple[str, ...] = ()

    def to_dict(self) -> Dict[str, Any]:
        """As JSON has it: lists for tuples."""
        values = dict(vars(self), disks=[dict(vars(disk)) for disk in self.disks])
        for name in ("load", "capabilities", "missing"):
            values[name] = None if values[name] is None else list(values[name])
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Load:
        """The reverse of to_dict. Keys of a newer version are dropped, absent ones have their defaults."""
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        known["disks"] = tuple(Disk(**disk) for disk in known.get("disks") or ())
        known["capabilities"] = tuple(known.get("capabilities") or ())
        known["missing"] = tuple(known.get("missing") or ())
        known["load"] = tuple(known["load"]) if known.get("load") else None
        return cls(**known)


def parse(text: str) -> Load:
    """The probe's output, with whatever came before it. Never raises."""
    sections = split(text)
    values = system(sections)
    values.update(common(sections))
    full = [disk.percent for disk in values.get("disks", ())]
    values["disk_percent"] = max(full) if full else None
    missing = [name for name in EXPECTED if values.get(name) is None]
    return Load(missing=tuple(missing + ([] if sections.has("end") else ["end"])), **values)


def system(sections: Sections) -> Dict[str, Any]:
    """What is said differently by each system."""
    name = sections.first("system")
    commands = (sections.first("commands") or "").split()
    if name == "Linux":
        found = linux.values(sections)
        return {**found, "capabilities": capabilities(commands, linux.capabilities(sections))}
    if name == "Darwin":
        found = macos.values(sections)
        usable = macos.usable(sections, commands)
        return {**found, "capabilities": capabilities(usable, macos.capabilities(sections, found["arch"]))}
    return {"distro": name.lower() if name else None, "capabilities": capabilities(commands, ())}


def capabilities(commands: Sequence[str], others: Sequence[str]) -> Tuple[str, ...]:
    named = {CAPABILITIES.get(name, name) for name in commands if name not in NO_CAPABILITIES}
    return tuple(sorted(named.union(others)))


def common(sections: Sections) -> Dict[str, Any]:
    """What every system says alike."""
    python = (sections.first("python") or "").split()
    root = sections.first("uid") == "0"  # `su` leaves USER as it was
    return {
        "disks_stuck": sections.has("disk_stuck"),
        "user": "root" if root else sections.first("user"),
        "home": sections.first("home"),
        "shell": sections.first("shell"),
        "python": python[-1] if python else None,
        "docker_ready": sections.first("docker") is not None,
        "jobs": integer(sections.first("jobs")),
        "interval_s": decimal(sections.first("interval")),
    }
