"""Faults of the system on the host: its disk, sshd, Python, name service, keys, login shell."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tests.lab.body import Body
from tests.lab.commands import call
from tests.lab.faults import Lasts

ASIDE = ".aside"
DEAD_RESOLVER = "nameserver 192.0.2.1\noptions timeout:5 attempts:2\n"


def put_aside(file: Path) -> None:
    if os.path.lexists(file):
        file.rename(file.with_name(file.name + ASIDE))


def put_back(file: Path) -> None:
    aside = file.with_name(file.name + ASIDE)
    if os.path.lexists(aside):
        aside.replace(file)


@dataclass(frozen=True)
class FullDisk:
    """A small file system without a free byte, or a free inode, over a directory. Hides what was there."""

    name: ClassVar[str] = "full-disk"
    lasts: ClassVar[Lasts] = "until-boot"
    path: str
    inodes: bool = False
    size: str = "1m"

    def begin(self, host: Body) -> None:
        path = shlex.quote(self.path)
        limit = "nr_inodes=16" if self.inodes else f"size={self.size}"
        options = f"{limit},mode=$(stat -c %a {path}),uid=$(stat -c %u {path}),gid=$(stat -c %g {path})"
        host.do(f"mkdir -p {path} && mount -t tmpfs -o {options} full {path}")
        filler = (
            f"i=0; while (: > {path}/.filler$i) 2>&-; do i=$((i+1)); done"
            if self.inodes
            else f"cat /dev/zero > {path}/.filler 2>&-; true"
        )
        host.do(filler)

    def end(self, host: Body) -> None:
        if host.is_on():
            path = shlex.quote(self.path)
            mounted = f"mountpoint -q {path} && [ $(stat -f -c %T {path}) = tmpfs ]"
            host.do(f"while {mounted}; do umount -l {path}; done")


@dataclass(frozen=True)
class ReadOnly:
    """What is below a directory can only be read."""

    name: ClassVar[str] = "read-only"
    lasts: ClassVar[Lasts] = "until-boot"
    path: str

    def begin(self, host: Body) -> None:
        path = shlex.quote(self.path)
        host.do(f"mount --bind {path} {path} && mount -o remount,bind,ro {path}")

    def end(self, host: Body) -> None:
        if host.is_on():
            path = shlex.quote(self.path)
            host.do(f"while mountpoint -q {path} && ! [ -w {path} ]; do umount -l {path}; done")


@dataclass(frozen=True)
class SshdStopped:
    """Nothing listens; sessions that are open live on."""

    name: ClassVar[str] = "stop-sshd"
    lasts: ClassVar[Lasts] = "until-boot"

    def begin(self, host: Body) -> None:
        host.stop_sshd()

    def end(self, host: Body) -> None:
        if host.is_on() and not host.listens():
            host.start_sshd()


@dataclass(frozen=True)
class NoPython:
    """There is no python3 to be found. What runs already goes on."""

    name: ClassVar[str] = "no-python"
    lasts: ClassVar[Lasts] = "on-disk"

    def begin(self, host: Body) -> None:
        for file in self._programs(host):
            put_aside(file)

    def end(self, host: Body) -> None:
        for file in self._programs(host):
            put_back(file)

    def _programs(self, host: Body) -> Iterator[Path]:
        for name in ("python", "python3", *(f"python3.{minor}" for minor in range(8, 20))):
            yield host.root / "usr/bin" / name


@dataclass(frozen=True)
class DeadDns:
    """The host's name server never answers."""

    name: ClassVar[str] = "dead-dns"
    lasts: ClassVar[Lasts] = "on-disk"

    def begin(self, host: Body) -> None:
        put_aside(host.root / "etc/resolv.conf")
        (host.root / "etc/resolv.conf").write_text(DEAD_RESOLVER)

    def end(self, host: Body) -> None:
        put_back(host.root / "etc/resolv.conf")


@dataclass(frozen=True)
class AuthRefused:
    """The host knows no key any more: every login is refused."""

    name: ClassVar[str] = "auth-refused"
    lasts: ClassVar[Lasts] = "on-disk"

    def begin(self, host: Body) -> None:
        put_aside(host.root / "etc/ssh/lab_keys")

    def end(self, host: Body) -> None:
        put_back(host.root / "etc/ssh/lab_keys")


@dataclass(frozen=True)
class OtherHostKey:
    """The host shows a key that nobody has seen, as after a new installation."""

    name: ClassVar[str] = "other-host-key"
    lasts: ClassVar[Lasts] = "on-disk"

    def begin(self, host: Body) -> None:
        key = host.root / "etc/ssh/ssh_host_ed25519_key"
        put_aside(key)
        put_aside(key.with_suffix(".pub"))
        call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "other", "-f", str(key))
        _reload(host)

    def end(self, host: Body) -> None:
        key = host.root / "etc/ssh/ssh_host_ed25519_key"
        put_back(key)
        put_back(key.with_suffix(".pub"))
        _reload(host)


@dataclass(frozen=True)
class SshPort:
    """sshd listens on another port than the inventory says."""

    name: ClassVar[str] = "ssh-port"
    lasts: ClassVar[Lasts] = "on-disk"
    port: int

    def begin(self, host: Body) -> None:
        self._configure(host, f"Port {self.port}\n")

    def end(self, host: Body) -> None:
        self._configure(host, "")

    def _configure(self, host: Body, line: str) -> None:
        file = host.root / "etc/ssh/sshd_config.d/lab.conf"
        kept = [text for text in file.read_text().splitlines(keepends=True) if not text.startswith("Port ")]
        file.write_text("".join(kept) + line)
        _reload(host)


def _reload(host: Body) -> None:
    if host.is_on():
        host.restart_sshd()


@dataclass(frozen=True)
class LoginShell:
    """Another login shell for a user, e.g. /usr/bin/fish."""

    name: ClassVar[str] = "login-shell"
    lasts: ClassVar[Lasts] = "on-disk"
    shell: str
    user: str = "fleet"

    def begin(self, host: Body) -> None:
        self._set(host, self.shell)

    def end(self, host: Body) -> None:
        self._set(host, "/bin/bash")

    def _set(self, host: Body, shell: str) -> None:
        file = host.root / "etc/passwd"
        lines = [line.split(":") for line in file.read_text().splitlines()]
        changed = [[*words[:6], shell] if words[0] == self.user else words for words in lines]
        file.write_text("".join(":".join(words) + "\n" for words in changed))
