"""A lab: hosts on one bridge, brought up together and taken away together.

`Lab.up` writes a claim, then makes what it names; `take_down` removes whatever carries the claim's names, so
it also cleans up after a crash. `Lab.attach` finds a lab that another process brought up.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.lab import access, network
from tests.lab.body import HostIsDown
from tests.lab.cgroup import Cgroup
from tests.lab.claim import Claim, Owner, read_claims, stake
from tests.lab.commands import CommandFailed, attempt, call
from tests.lab.host import Host
from tests.lab.machine import cache_directory, install_missing
from tests.lab.rootfs import locked, rootfs

AT_ONCE = 8

SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/lab_keys
PermitRootLogin prohibit-password
UseDNS no
"""
SSHD_FOR_LOAD = "MaxSessions 1000\nMaxStartups 1000\n"


def system_names(count: int) -> list[str]:
    return [f"n{number}" for number in range(1, count + 1)]


def light_names(count: int) -> list[str]:
    return [f"h{number}" for number in range(1, count + 1)]


class Lab:
    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.id = claim.id
        self.directory = claim.directory
        self.hosts = {name: Host(claim, index) for index, (name, _) in enumerate(claim.hosts)}
        self.inventory = claim.directory / "inventory.yml"
        self.ssh_config = claim.directory / "ssh_config"

    @classmethod
    def up(
        cls,
        hosts: Iterable[str] = (),
        light: Iterable[str] = (),
        *,
        lab_id: str | None = None,
        kept: bool = False,
        owner: Owner | None = None,
        nat: bool = False,
        sshd_defaults: bool = True,
    ) -> Lab:
        """Bring a lab up: `hosts` under systemd, `light` ones with sshd alone.

        A kept lab stays when its owner (this process, unless another is named) ends; the next `up` sweeps any
        other away if it is left behind.
        `sshd_defaults` False raises MaxSessions and MaxStartups, for tests of load.
        """
        install_missing()
        sweep()
        image = rootfs()
        named = [(name, "systemd") for name in hosts] + [(name, "light") for name in light]
        claim = stake(lab_id, named, None if kept else owner or Owner.current(), nat=nat, sshd_defaults=sshd_defaults)
        lab = cls(claim)
        try:
            lab._make(image)
        except BaseException:
            take_down(claim)
            raise
        return lab

    @classmethod
    def attach(cls, lab_id: str | None = None) -> Lab:
        """The lab with this id, or the only one there is."""
        found = [claim for claim in read_claims() if lab_id in (None, claim.id)]
        if len(found) != 1:
            raise LookupError(f"{len(found)} labs are up; name one" if found else "no such lab is up")
        return cls(found[0])

    def _make(self, image: Path) -> None:
        access.make_key(self.directory)
        network.lay_bridge(self.claim)
        if self.claim.nat:
            network.open_nat(self.claim)
        self.each(lambda host: self._furnish(host, image))
        everyone = list(self.hosts.values())
        access.write_known_hosts(self.directory, everyone)
        access.write_ssh_config(self.directory, everyone)
        self.write_inventory(self.inventory.name)
        # All are under way before the first is waited for.
        self.each(Host.switch_on)
        self.each(Host.await_up)

    def _furnish(self, host: Host, image: Path) -> None:
        """A disk of its own, with what makes this host itself."""
        upper, work = host.directory / "upper", host.directory / "work"
        for directory in (upper, work, host.root):
            directory.mkdir(parents=True)
        layers = f"lowerdir={image},upperdir={upper},workdir={work}"
        call("mount", "-t", "overlay", "toft-lab", "-o", layers, str(host.root))
        etc = host.root / "etc"
        (etc / "machine-id").write_text(secrets.token_hex(16) + "\n")
        (etc / "hostname").write_text(f"{host.name}\n")
        (etc / "hosts").write_text(self._hosts_file())
        if self.claim.nat:
            shutil.copyfile(network.name_servers(), etc / "resolv.conf")
        (etc / "ssh/lab_keys").write_text((self.directory / "key.pub").read_text())
        sshd = SSHD if self.claim.sshd_defaults else SSHD + SSHD_FOR_LOAD
        (etc / "ssh/sshd_config.d/lab.conf").write_text(sshd)
        key = str(etc / "ssh/ssh_host_ed25519_key")
        call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", host.name, "-f", key)

    def _hosts_file(self) -> str:
        own = "127.0.0.1 localhost\n::1 localhost\n"
        return own + "".join(f"{host.address} {host.name}\n" for host in self.hosts.values())

    def each(self, act: Callable[[Host], object]) -> None:
        """The same for every host, several at once; the first failure is raised when all have ended."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in list(pool.map(act, self.hosts.values())):
                pass

    def write_inventory(
        self, name: str, variables: Mapping[str, Mapping[str, object]] | None = None, only: Iterable[str] = ()
    ) -> Path:
        """An inventory file in the lab's directory, with variables of your own for some hosts.

        E.g. `{"n3": lab.jump("n1")}`, or `{"n1": {"ansible_host": "no.such.name.invalid"}}` for a dead name.
        """
        chosen = [self.hosts[name] for name in only] or list(self.hosts.values())
        file = self.directory / name
        file.write_text(access.as_yaml(access.inventory(self.directory, chosen, variables or {})))
        return file

    def jump(self, via: str) -> dict[str, object]:
        """Inventory variables of a host that is reached through another one."""
        return {"ansible_ssh_common_args": f"-F {self.ssh_config} -o ProxyJump={via}"}

    def swap_addresses(self, one: str, other: str) -> None:
        """Each answers at the other's address, until healed."""
        first, second = self.hosts[one], self.hosts[other]
        first.take_address(second.address)
        second.take_address(first.address)

    def heal(self) -> None:
        """End every fault and switch on what is off; every host then answers by ssh."""
        self.each(_restore)

    def down(self) -> None:
        take_down(self.claim)


def _restore(host: Host) -> None:
    touched = bool(host.faults()) or not host.is_on()
    host.heal()
    try:
        host.boot()
    except HostIsDown:  # it was on its way down
        host.boot()
    if touched:
        _demand_ssh(host)


def _demand_ssh(host: Host) -> None:
    done = host.ssh("true")
    if done.returncode != 0:
        raise CommandFailed(done.args, done.returncode, done.stderr + host.console()[-1000:])


def sweep() -> list[str]:
    """Take down the labs whose owners are gone; their ids."""
    cache_directory().mkdir(parents=True, exist_ok=True)
    with locked(cache_directory() / "claims.lock"):
        abandoned = [claim for claim in read_claims() if claim.abandoned()]
        for claim in abandoned:
            take_down(claim)
    return [claim.id for claim in abandoned]


def take_down(claim: Claim) -> None:
    """Remove everything that carries this claim's names; the claim itself last."""
    group = Cgroup(claim.cgroup)
    group.kill()
    network.tear_out(claim)
    _unmount_below(claim.directory)
    for name, _ in claim.hosts:
        Cgroup(f"{claim.cgroup}/{name}").lift_limits()
    group.remove()
    for child in claim.directory.iterdir():
        if child.is_dir():
            shutil.rmtree(child)
    shutil.rmtree(claim.directory)


def _unmount_below(directory: Path) -> None:
    targets = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for target in reversed(targets):
        if target.startswith(f"{directory}/") and attempt("umount", target).returncode != 0:
            call("umount", "--lazy", target)
