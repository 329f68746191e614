"""The two forms of a host: a whole system under systemd, or an sshd alone in its own namespaces.

A form writes the shell script that becomes the host's outermost process. The script runs in a mount namespace
of its own, so what nspawn or it mounts is gone with its last process.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Case:
    """What a form needs to know of the host that it is to start."""

    name: str
    machine: str
    root: Path
    netns: str
    cgroup: Path
    boot_id: str


class Form(Protocol):
    """Commands inside a host: switch sshd off and on, say whether it has booted (if it can), shut down."""

    @property
    def sshd_stop(self) -> str: ...

    @property
    def sshd_start(self) -> str: ...

    @property
    def is_ready(self) -> str: ...

    @property
    def shut_down(self) -> str: ...

    def script(self, case: Case) -> str: ...


def _join(group: Path) -> str:
    """Fails where the host's own group is gone: the lab has been taken down meanwhile."""
    return f"[ -d {group} ] || mkdir {group} || exit; echo $$ > {group}/cgroup.procs || exit"


def _new_clock() -> str:
    """Where the kernel has time namespaces: what runs under this begins its uptime now."""
    if not Path("/proc/self/ns/time").exists():
        return ""
    return "unshare --time --boottime=-$(cut -d. -f1 /proc/uptime) --fork --kill-child"


@dataclass(frozen=True)
class Systemd:
    """systemd-nspawn with systemd as process 1. Exit code 133 is a reboot, so it is started again."""

    sshd_stop: str = "systemctl stop ssh.service"
    # reset-failed: tests start it more often than systemd's limit of starts allows.
    sshd_start: str = "systemctl reset-failed ssh.service; systemctl start ssh.service"
    is_ready: str = "systemctl is-system-running --wait | grep -Eqx 'running|degraded'"
    shut_down: str = "systemctl poweroff"

    def script(self, case: Case) -> str:
        device = "--bind=/dev/net/tun" if Path("/dev/net/tun").exists() else ""
        nspawn = (
            "systemd-nspawn --quiet --register=no --keep-unit --boot --console=pipe --resolv-conf=off"
            f" --machine={case.machine} --hostname={case.name} --directory={shlex.quote(str(case.root))}"
            f" --network-namespace-path=/run/netns/{case.netns}"
            f" --capability=CAP_NET_ADMIN,CAP_NET_RAW {device}"
        )
        return f"""
# nspawn's own notes about a machine stay in this mount namespace.
mkdir -p /run/systemd/nspawn && mount -t tmpfs tmpfs /run/systemd/nspawn
{_join(case.cgroup / "loop")}
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_API_VFS_WRITABLE=network
while :; do
    ({_join(case.cgroup / "box")}; exec {_new_clock()} {nspawn})
    [ $? = 133 ] || break
done
"""


@dataclass(frozen=True)
class Light:
    """sshd and a shell as process 1 that reaps. It has a boot id of its own, as nspawn's do."""

    sshd_stop: str = "kill $(cat /run/sshd.pid)"
    sshd_start: str = "/usr/sbin/sshd"
    is_ready: str = ""
    shut_down: str = "kill -TERM -1; kill -USR1 1"

    def script(self, case: Case) -> str:
        inner = self._process_one(case)
        return f"""
{_join(case.cgroup / "box")}
exec nsenter --net=/run/netns/{case.netns} {_new_clock()} \\
    unshare --mount --propagation=private --pid --uts --ipc --cgroup --fork --kill-child \\
    sh -c {shlex.quote(inner)}
"""

    def _process_one(self, case: Case) -> str:
        return f"""
set -e
cd {shlex.quote(str(case.root))}
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
mount --bind dev/pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 shm dev/shm
mount -t tmpfs -o mode=1777 tmp tmp
mount -t tmpfs -o mode=0755 run run
mkdir -p run/sshd run/lock
echo {case.boot_id} > run/boot_id
mount --bind run/boot_id proc/sys/kernel/random/boot_id
hostname {case.name}
pivot_root . mnt
exec chroot . /bin/sh -c '
umount -l /mnt
exec < /dev/null
/usr/sbin/sshd
trap "exit 0" USR1
while :; do sleep infinity & wait $!; done'
"""


FORMS: dict[str, Form] = {"systemd": Systemd(), "light": Light()}
