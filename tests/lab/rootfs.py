"""The root file system that every host of every lab is an overlay on.

It is built once for each recipe and kept in the cache. A build happens in a temporary directory that is
renamed when it is complete, under a lock, so that two processes build once and nobody sees half of one.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.lab.apt_sources import AptSource, choose_suite, read_sources
from tests.lab.commands import call
from tests.lab.machine import cache_directory

PACKAGES = (
    *("systemd", "systemd-sysv", "libpam-systemd", "dbus"),
    *("openssh-server", "sudo", "rsync", "python3", "ca-certificates", "iproute2", "procps"),
    *("git", "make", "gcc", "libc6-dev", "faketime"),
    *("fish", "tcsh", "zsh"),
)

# Runs in the new root once. Host keys and machine ids belong to a host, not to the image.
FINISH = r"""
set -eu
useradd --create-home --uid 1000 --shell /bin/bash --password '*' fleet
echo 'fleet ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/fleet
chmod 0440 /etc/sudoers.d/fleet
systemctl enable ssh.service
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id /etc/hostname /etc/resolv.conf
: > /etc/machine-id
: > /etc/resolv.conf
echo LANG=C.UTF-8 > /etc/default/locale
for unit in console-getty.service getty@tty1.service apt-daily.timer apt-daily-upgrade.timer \
    ssh.socket dpkg-db-backup.timer man-db.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer; do
    ln -sf /dev/null "/etc/systemd/system/$unit"
done
"""


def recipe_hash() -> str:
    recipe = json.dumps([sorted(PACKAGES), FINISH])
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def rootfs() -> Path:
    """The root file system of the present recipe, built now if it is not there yet (about 40 s)."""
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / f"rootfs-{recipe_hash()}"
    if target.is_dir():
        return target
    with locked(cache / "rootfs.lock"):
        if not target.is_dir():
            _build(target)
    return target


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a lock that other processes wait for, and that the kernel gives up if this one dies."""
    with open(file, "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build(target: Path) -> None:
    for left_over in target.parent.glob(f"{target.name}.building-*"):
        shutil.rmtree(left_over)
    building = target.with_name(f"{target.name}.building-{os.getpid()}")
    suite, sources = choose_suite(read_sources())
    _bootstrap(building, suite, sources)
    call("chroot", str(building), "/bin/sh", "-c", FINISH)
    building.rename(target)


def _bootstrap(target: Path, suite: str, sources: Sequence[AptSource]) -> None:
    call(
        "mmdebstrap",
        "--quiet",
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        suite,
        str(target),
        *(source.line() for source in sources),
        timeout=1800,
    )
