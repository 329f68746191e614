"""What a machine must have to hold a lab, and how it gets what it lacks."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.lab.cgroup import unified_root
from tests.lab.commands import call

# program -> the Debian or Ubuntu package that brings it
PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "nft": "nftables",
    "iptables": "iptables",
    "rsync": "rsync",
    "ssh": "openssh-client",
    "ip": "iproute2",
    "nsenter": "util-linux",
}


def why_not() -> str | None:
    """Why this machine cannot hold a lab, in one line; None if it can."""
    if sys.platform != "linux":
        return "the lab needs Linux"
    if os.geteuid() != 0:
        return "the lab needs root"
    if unified_root() is None:
        return "the lab needs cgroup v2 (or the hybrid layout)"
    if not os.access("/proc/self/ns/net", os.R_OK):
        return "the lab needs network namespaces"
    if missing_programs() and shutil.which("apt-get") is None:
        return f"the lab needs {', '.join(missing_programs())}, and there is no apt-get to install them"
    return None


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name) is None]


def install_missing() -> None:
    missing = missing_programs()
    if not missing:
        return
    packages = sorted({PROGRAMS[name] for name in missing})
    wait = ("-o", "DPkg::Lock::Timeout=500")
    call("apt-get", *wait, "update", "-q", timeout=600)
    call("apt-get", *wait, "install", "-y", "--no-install-recommends", *packages, timeout=1200)


def cache_directory() -> Path:
    """Where root file systems are kept, and where running labs live."""
    return Path(os.environ.get("TOFT_LAB_CACHE", "/var/cache/toft-lab"))
