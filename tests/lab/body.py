"""A host's body: its disk, its power switch, and a way in that does not use the network.

The disk is an overlay on the shared root file system and outlives a power cut. `run` enters the host's
namespaces from outside, so a test can see the truth when the network is cut or sshd is down.
"""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tests.lab import network
from tests.lab.cgroup import Cgroup
from tests.lab.claim import Claim
from tests.lab.commands import CommandFailed, attempt, call
from tests.lab.forms import FORMS, Case

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LISTENING = "0A"

# A host is a child of this machine's process 1, and inherits neither our environment nor our signal settings.
LAUNCH = ("setsid", "--fork", "env", "--ignore-environment", "--default-signal", f"PATH={PATH}")


class HostIsDown(Exception):
    """Nothing runs on this host."""


class Body:
    """A machine of the lab, without the faults that host.py adds."""

    def __init__(self, claim: Claim, index: int) -> None:
        self.claim = claim
        self.index = index
        self.name, form = claim.hosts[index]
        self.form = FORMS[form]
        self.address = claim.address(index)
        self.netns = claim.netns(self.name)
        self.link = claim.link(index)
        self.directory = claim.directory / "hosts" / self.name
        self.root = self.directory / "root"
        self.cgroup = Cgroup(f"{claim.cgroup}/{self.name}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {self.address})"

    # power

    def boot(self) -> None:
        """Switch on, and wait until it is up."""
        self.switch_on()
        self.await_up()

    def switch_on(self) -> None:
        if self.is_on():
            return
        if not network.plugged_in(self.claim, self.name):
            network.plug_in(self.claim, self.name, self.index)
        self.cgroup.create()
        script = self.form.script(self._case())
        with open(self.directory / "console.log", "ab") as console:
            subprocess.run(
                [*LAUNCH, "unshare", "--mount", "--propagation=private", "sh", "-c", f"umask 022\n{script}"],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                check=True,
            )
        self._await(self.is_on, "was not started")

    def _case(self) -> Case:
        return Case(
            name=self.name,
            machine=f"{self.claim.cgroup}-{self.name}",
            root=self.root,
            netns=self.netns,
            cgroup=self.cgroup.directory,
            boot_id=str(uuid.uuid4()),
        )

    def await_up(self, timeout: float = 60) -> None:
        """Until sshd listens and systemd has started what it is to start."""
        self._await(self._is_up, "is not up", timeout)

    def _is_up(self) -> bool:
        """Raises HostIsDown if it is not even on."""
        if not self.is_on():
            raise HostIsDown(self.name)
        if not self.listens():
            return False
        return not self.form.is_ready or self.run(self.form.is_ready).returncode == 0

    def power_cut(self) -> None:
        """As if the plug were pulled: no packet leaves any more, not even the end of a connection."""
        network.unplug(self.claim, self.name, self.index)
        self.cgroup.kill()
        self.cgroup.remove()

    def power_off(self, timeout: float = 30) -> None:
        """A clean shutdown, then the plug."""
        if self.is_on():
            self.run(self.form.shut_down)
            self.cgroup.await_end(timeout)
        self.power_cut()

    def reboot(self) -> None:
        """A clean shutdown and a boot."""
        self.power_off()
        self.boot()

    def is_on(self) -> bool:
        """Also true while it boots or shuts down."""
        return self.cgroup.populated()

    def leader(self) -> int | None:
        """The host's process 1, as this machine numbers it."""
        for pid in self.cgroup.processes():
            numbers = _namespace_numbers(pid)
            if len(numbers) > 1 and numbers[1] == 1:
                return pid
        return None

    def console(self) -> str:
        file = self.directory / "console.log"
        return file.read_text(errors="replace") if file.exists() else ""

    # inside

    def run(
        self,
        command: str | Sequence[str],
        *,
        user: str = "root",
        given: str | bytes | None = None,
        timeout: float = 60,
        check: bool = False,
        text: bool = True,
        native: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside the host without the network; a string is for `sh -c`.

        What it starts is outside the host's control group, so it also runs while the host is frozen or slow.
        A `native` command is in it, and shares the host's fate: so start what is to stay.
        """
        argv = ["sh", "-c", command] if isinstance(command, str) else list(command)
        home = "/root" if user == "root" else f"/home/{user}"
        return subprocess.run(
            [*self._way_in(user, native), *argv],
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=text,
            timeout=timeout,
            check=check,
            env={"PATH": PATH, "HOME": home, "USER": user, "LOGNAME": user, "LANG": "C.UTF-8"},
        )

    def _way_in(self, user: str, native: bool) -> list[str]:
        """The words in front of a command that bring it into the host's namespaces."""
        leader = self.leader()
        if leader is None:
            raise HostIsDown(self.name)
        top = f"/proc/{leader}/root"
        join = ["sh", "-c", self.cgroup.join_script("native") + 'exec "$@"', "sh"] if native else []
        enter = ["nsenter", "--target", str(leader), "--all", f"--root={top}", f"--wd={top}"]
        drop = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        return [*join, *enter, *drop]

    def do(self, command: str, *, native: bool = False) -> str:
        """Run a shell command inside that must succeed; its output."""
        done = self.run(command, native=native)
        if done.returncode != 0:
            raise CommandFailed([self.name, command], done.returncode, done.stderr)
        return done.stdout

    def do_outside(self, *argv: str) -> str:
        """Run a tool of this machine in the host's network."""
        return call("nsenter", f"--net=/run/netns/{self.netns}", *argv)

    def ssh(self, *command: str, user: str = "fleet", timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """A command by ssh as the lab's files say, host key checking included."""
        return attempt(*self.ssh_argv(*command, user=user), timeout=timeout)

    def ssh_argv(self, *command: str, user: str = "fleet") -> list[str]:
        config = str(self.claim.directory / "ssh_config")
        return ["ssh", "-F", config, "-o", "BatchMode=yes", "-l", user, "--", self.name, *command]

    def listening_ports(self) -> set[int]:
        """TCP ports that something on the host listens on, read from outside."""
        leader = self.leader()
        if leader is None:
            return set()
        return set(_listening(leader))

    def listens(self) -> bool:
        return self.ssh_ports() <= self.listening_ports()

    def ssh_ports(self) -> set[int]:
        """The ports that its sshd is told to listen on."""
        lines = (self.root / "etc/ssh/sshd_config.d/lab.conf").read_text().splitlines()
        ports = {int(line.split()[1]) for line in lines if line.startswith("Port ")}
        return ports or {22}

    def restart_sshd(self) -> None:
        """Sessions that are open live on."""
        self.stop_sshd()
        self.start_sshd()

    def stop_sshd(self) -> None:
        self.do(self.form.sshd_stop)
        self._await(lambda: not self.ssh_ports() & self.listening_ports(), "sshd still listens")

    def start_sshd(self) -> None:
        self.do(self.form.sshd_start, native=True)
        self._await(self.listens, "sshd does not listen")

    def _await(self, holds: Callable[[], bool], complaint: str, timeout: float = 10) -> None:
        deadline = time.monotonic() + timeout
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name}: {complaint} after {timeout} s: {self.console()[-2000:]}")
            time.sleep(0.01)


def _namespace_numbers(pid: int) -> list[int]:
    """The numbers of a process in each pid namespace, ours first; none if it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return [int(word) for word in line.split()[1:]]
    return []


def _listening(pid: int) -> Iterator[int]:
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING:
                    yield int(fields[1].rpartition(":")[2], 16)
