# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The probe's sections of a Linux node as the values of a `Load`."""

from __future__ import annotations

import math
import re
from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.toft.fleet.plugins.module_utils import disks
from ansible_collections.toft.fleet.plugins.module_utils.sections import (
    Sections,
    averages,
    decimal,
    integer,
    percent,
)

TICKS = 100
"""USER_HZ: the unit of /proc/stat, whatever the kernel's own clock is."""

NARROW = {"aarch64": "armv7l", "x86_64": "i686"}
"""The programs' architecture where a 64-bit kernel carries a 32-bit system, as Raspberry Pi OS may."""

WIDE_LOADER = re.compile("aarch64|x86[-_]64")
NARROW_LOADER = re.compile("armhf|i386|ld-linux[.]so")


def values(sections: Sections) -> Dict[str, Any]:
    total, available = memory(sections)
    release = sections.pairs("os_release", "=")
    kernel = sections.first("kernel") or ""
    container = container_kind(sections)
    wsl = container is None and ("microsoft" in kernel.lower() or "/run/WSL" in sections.lines("marks"))
    uptime = decimal((sections.first("uptime") or "").split(" ")[0])
    return {
        "os": "linux",
        "distro": release.get("ID", "").strip("\"'") or None,
        "distro_version": release.get("VERSION_ID", "").strip("\"'") or None,
        "kernel": kernel or None,
        "arch": architecture(sections),
        "wsl": wsl,
        "wsl_version": (1 if kernel.endswith("-Microsoft") else 2) if wsl else None,
        "container": container,
        "hostname": sections.first("hostname"),
        "machine_id": sections.first("machine_id"),
        "boot_id": sections.first("boot_id"),
        "cores": cores(sections),
        "cpu_percent": cpu_percent(sections),
        "memory_percent": percent(total - available, total) if total and available is not None else None,
        "memory_bytes": total,
        "load": averages((sections.first("loadavg") or "").split()),
        "disks": disks.from_linux(sections.lines("disk")),
        "uptime_s": None if uptime is None else int(uptime),
    }


def architecture(sections: Sections) -> Optional[str]:
    """The kernel's, but that of the programs where only a narrower loader is there."""
    arch = sections.first("arch")
    loaders = [mark for mark in sections.lines("marks") if mark.startswith("/lib")]
    narrow = any(map(NARROW_LOADER.search, loaders)) and not any(map(WIDE_LOADER.search, loaders))
    return NARROW.get(arch, arch) if arch and narrow else arch


def cpu_percent(sections: Sections) -> Optional[float]:
    """Of all processors over the interval between two first lines of /proc/stat,
    without the probe's own share (which is large on a slow node).

    Columns: user nice system idle iowait irq softirq steal (guest is in user).
    Stolen time counts as busy: nobody here can have it.
    """
    samples = [ticks(line) for line in sections.lines("cpu") if line.strip()]
    if len(samples) != 2 or len(samples[0]) != len(samples[1]) or len(samples[0]) < 5:
        return None
    spent = [after - samples[0][place] for place, after in enumerate(samples[1])]
    whole, idle = sum(spent[:8]), spent[3] + spent[4]
    return percent(whole - idle - own_seconds(sections) * TICKS, whole)


def ticks(line: str) -> List[int]:
    words = line.split()
    numbers = [integer(word) for word in words[1:]] if words and words[0] == "cpu" else []
    return [number for number in numbers if number is not None]


def own_seconds(sections: Sections) -> float:
    """The shell's `times`: minutes and seconds of the shell and of its children, user and system."""
    found = re.findall(r"(\d{1,6})m(\d{1,2}[.]\d{1,6})s", " ".join(sections.lines("times")))
    return sum(60 * int(minutes) + float(seconds) for minutes, seconds in found)


def cores(sections: Sections) -> Optional[int]:
    """The processors that this login's programs may use: by affinity and by control groups' quotas."""
    allowed = processors(sections.first("allowed") or "")
    quotas = [quota for quota in map(cpu_quota, sections.lines("limits")) if quota]
    known = ([allowed] if allowed else []) + [math.ceil(quota) for quota in quotas]
    return min(known) if known else None


def processors(ranges: str) -> int:
    """How many `0-3,8` are."""
    found = re.findall(r"(\d{1,6})(?:-(\d{1,6}))?", ranges)
    return sum(int(last or first) - int(first) + 1 for first, last in found)


def cpu_quota(line: str) -> Optional[float]:
    """Processors, of `cpu QUOTA PERIOD`; the quota is "max" or -1 when there is none."""
    words = line.split()
    if len(words) != 3 or words[0] != "cpu":
        return None
    quota, period = integer(words[1]), integer(words[2])
    return quota / period if quota and period else None


def memory(sections: Sections) -> Tuple[Optional[int], Optional[int]]:
    """Bytes in all and available; the tightest control group counts, its file cache as available."""
    sizes = {key: integer(value.replace("kB", "")) for key, value in sections.pairs("meminfo", ":").items()}
    total, available = sizes.get("MemTotal"), sizes.get("MemAvailable")
    if available is None:  # before Linux 3.14
        parts = [sizes.get(key) or 0 for key in ("MemFree", "Buffers", "Cached")]
        available = sum(parts) if sizes.get("MemFree") is not None else None
    known = [(total * 1024, None if available is None else available * 1024)] if total else []
    known += [limit for limit in map(memory_limit, sections.lines("limits")) if limit]
    rooms = [room for _whole, room in known if room is not None]
    return min((whole for whole, _room in known), default=None), min(rooms, default=None)


def memory_limit(line: str) -> Optional[Tuple[int, Optional[int]]]:
    """Bytes in all and available, of `memory LIMIT USED INACTIVE_FILE`."""
    words = line.split()
    if len(words) < 2 or words[0] != "memory":
        return None
    limit, used, inactive = (integer(word) for word in [*words[1:], "", ""][:3])
    if not limit:
        return None
    return limit, None if used is None else max(limit - used + (inactive or 0), 0)


def container_kind(sections: Sections) -> Optional[str]:
    """What holds this system, if something does. systemd says "wsl" under WSL, which is no container."""
    marks = sections.lines("marks")
    said = [line.strip() for line in sections.lines("container") if line.strip() not in ("", "wsl")]
    if "kubernetes" in said or "/var/run/secrets/kubernetes.io" in marks:
        return "kubernetes"
    if said:
        return said[0]
    if "/proc/vz" in marks and "/proc/bc" not in marks:
        return "openvz"
    kinds = {"/run/.containerenv": "podman", "/.dockerenv": "docker", "/dev/lxd/sock": "lxc"}
    return next((kind for mark, kind in kinds.items() if mark in marks), None)


def capabilities(sections: Sections) -> List[str]:
    """What is there without being a command. A container sees the host's driver, not always its devices."""
    marks, commands = sections.lines("marks"), (sections.first("commands") or "").split()
    places = ("/dev/nv",) if container_kind(sections) else ("/dev/nv", "/proc/driver/nvidia")
    devices = [mark for mark in marks if mark.startswith(places)]
    windows = "/dev/dxg" in marks and "nvidia-smi" in commands
    found = ["nvidia"] if devices or windows else []
    found += ["amd"] if "/dev/kfd" in marks else []
    found += ["gpu"] if found else []
    return found + (["systemd"] if "/run/systemd/system" in marks else [])
