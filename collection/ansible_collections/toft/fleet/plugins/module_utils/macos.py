# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The probe's sections of a Mac as the values of a `Load`."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.toft.fleet.plugins.module_utils import disks
from ansible_collections.toft.fleet.plugins.module_utils.sections import Sections, averages, integer, percent

SHIMS = frozenset({"cc", "c++", "clang", "gcc", "g++", "git", "make", "pip3", "python3", "swift"})
"""In /usr/bin on every Mac, where they only offer to install the developer tools until those are there."""


def values(sections: Sections) -> Dict[str, Any]:
    control = sections.pairs("sysctl", ":")
    total = integer(control.get("hw.memsize"))
    used = memory_used(sections)
    version = sections.pairs("sw_vers", ":").get("ProductVersion")
    return {
        "os": "macos",
        "distro": "macos",
        "distro_version": version,
        "kernel": control.get("kern.osrelease"),
        # a login that runs under Rosetta says x86_64
        "arch": "arm64" if control.get("hw.optional.arm64") == "1" else sections.first("arch"),
        "hostname": control.get("kern.hostname"),
        "machine_id": platform_uuid(sections),
        "boot_id": control.get("kern.bootsessionuuid"),
        "cores": integer(control.get("hw.ncpu")),
        "cpu_percent": cpu_percent(sections),
        "memory_percent": percent(used, total) if total and used is not None else None,
        "memory_bytes": total,
        "load": averages(control.get("vm.loadavg", "").strip("{} ").split()),
        "disks": disks.from_macos(sections.lines("df")),
        "uptime_s": uptime(control.get("kern.boottime", ""), integer(sections.first("now"))),
    }


def cpu_percent(sections: Sections) -> Optional[float]:
    """Not idle, in whole percents: the last line of `iostat -c 2`. Its first line is since boot."""
    rows = [line.split() for line in sections.lines("iostat")]
    head = next((row for row in rows if "id" in row and "us" in row), None)
    numbers = [row for row in rows if row and all(re.fullmatch(r"\d+([.]\d+)?", word) for word in row)]
    if head is None or len(numbers) < 2:
        return None
    place = head.index("id") - len(head)  # from the right: columns of disks may run together
    idle = integer(numbers[-1][place]) if len(numbers[-1]) >= -place else None
    return None if idle is None else percent(100 - idle, 100)


def memory_used(sections: Sections) -> Optional[int]:
    """Bytes, as Activity Monitor counts "Memory Used": app memory (anonymous pages less the purgeable
    ones), wired and compressed. Like Linux's MemAvailable, this counts the file cache as available;
    "free + inactive" (psutil) does not do that for a Mac, whose inactive pages are partly programs'."""
    pages = {key: integer(value.rstrip(".")) for key, value in sections.pairs("vm_stat", ":").items()}
    size = re.search(r"page size of (\d{1,6}) bytes", " ".join(sections.lines("vm_stat")))
    wired = pages.get("Pages wired down")
    anonymous = pages.get("Anonymous pages")
    if size is None or wired is None or anonymous is None:
        return None
    programs = anonymous - (pages.get("Pages purgeable") or 0)
    return (programs + wired + (pages.get("Pages occupied by compressor") or 0)) * int(size.group(1))


def uptime(boottime: str, now: Optional[int]) -> Optional[int]:
    """Seconds since `{ sec = 1790421415, usec = 985376 } Sat Sep 26 …`."""
    booted = re.search(r"\bsec = (\d{1,12})", boottime)
    return max(now - int(booted.group(1)), 0) if booted and now is not None else None


def platform_uuid(sections: Sections) -> Optional[str]:
    found = re.search(r'"IOPlatformUUID" = "([0-9A-Fa-f-]{36})"', "\n".join(sections.lines("ioreg")))
    return found.group(1) if found else None


def capabilities(sections: Sections, arch: Optional[str]) -> List[str]:
    """What is there without being a command. Apple's own chips have a GPU worth computing on."""
    found = ["launchd"] + (["gpu", "metal"] if arch == "arm64" else [])
    return found + (["xcode"] if "Xcode" in (sections.first("developer") or "") else [])


def usable(sections: Sections, commands: List[str]) -> Tuple[str, ...]:
    """The commands less Apple's place-holders."""
    there = bool(sections.first("developer"))
    return tuple(name for name in commands if there or name not in SHIMS)
