"""The hosts on which ways are compared, and each peer's own way to have them told.

One lab: hosts with sshd alone, and some under systemd (`n1` and so on). Everybody gets the same key, user and known
hosts. Two ssh configurations name the hosts: a cold one that shares no connection, and a warm one that uses masters
which stand open (opened here, shared by all peers that start ssh).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.meter import LIMIT_S, Cost, Meter, Start
from tests.lab.cgroup import Cgroup
from tests.lab.laboratory import Lab, light_names, system_names

SYSTEM = "n1"
COLD = "    ControlMaster no\n    ControlPath none\n"
WARM = "    ControlMaster no\n    ControlPath {sockets}/%C\n"
PYINFRA = """\
settings = dict(
    ssh_user="fleet", ssh_key={key!r}, ssh_known_hosts_file={known!r}, ssh_strict_host_key_checking="yes",
)
hosts = [(address, settings) for address in {addresses!r}]
"""


@dataclass(frozen=True)
class Field:
    """`home` is ours alone, and its path short: control sockets are in it."""

    lab: Lab
    meter: Meter
    home: Path

    @property
    def light(self) -> list[str]:
        return [name for name in self.lab.hosts if name != SYSTEM]

    def ssh_config(self, warm: bool) -> Path:
        return self.home / ("warm" if warm else "cold")

    def sockets(self) -> Path:
        return self.home / "s"

    def hosts_file(self, names: Sequence[str]) -> Path:
        return self.made(f"hosts-{len(names)}", "".join(f"{name}\n" for name in names))

    def inventory(self, names: Sequence[str]) -> Path:
        """For Ansible and toft."""
        file = f"bench-{names[0]}-{len(names)}.yml"
        return self.lab.write_inventory(file, only=names)

    def pyinfra_inventory(self, names: Sequence[str]) -> Path:
        addresses = [self.lab.hosts[name].address for name in names]
        key, known = (str(self.lab.directory / name) for name in ("key", "known_hosts"))
        return self.made(f"pyinfra_{len(names)}.py", PYINFRA.format(key=key, known=known, addresses=addresses))

    def made(self, name: str, text: str) -> Path:
        file = self.home / name
        file.write_text(text)
        return file

    def cost(self, way: str, start: Start, limit: float = LIMIT_S) -> Cost:
        return self.meter.cost(way, replace(start, env=self.environment() | start.env), cwd=self.home, limit=limit)

    def environment(self) -> dict[str, str]:
        """Nothing of whoever runs this reaches a way, but where programs are."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TERM") if name in os.environ}
        return kept | {"HOME": str(self.home), "LC_ALL": "C.UTF-8", "TMPDIR": str(self.home)}

    def open_masters(self, names: Sequence[str]) -> None:
        """A connection that stands open to each of them, in the shared group. Those that are open stay."""
        self.sockets().mkdir(exist_ok=True)
        listing = self.made("to-open", "".join(f"{name}\n" for name in names))
        words = "-oControlMaster=auto -oControlPersist=1800"
        script = f"xargs -P 8 -I{{}} ssh -n -F {self.ssh_config(True)} {words} -- {{}} true < {listing}"
        if self.meter.run(self.meter.shared, ["sh", "-c", script], self.environment(), cwd=self.home) != 0:
            raise RuntimeError("ssh masters could not be opened")

    def close_masters(self) -> None:
        self.meter.forget_shared()
        shutil.rmtree(self.sockets(), ignore_errors=True)


@contextlib.contextmanager
def standing(light: int = 0, system: int = 1) -> Iterator[Field]:
    lab = Lab.up(system_names(system), light_names(light), sshd_defaults=False)
    meter = Meter(hosts=Cgroup(lab.claim.cgroup))
    home = Path(tempfile.mkdtemp(prefix="tb-", dir="/tmp"))
    try:
        field = Field(lab, meter, home)
        plain = lab.ssh_config.read_text()
        (home / "cold").write_text(plain + COLD)
        (home / "warm").write_text(plain + WARM.format(sockets=home / "s"))
        yield field
    finally:
        meter.end()
        lab.down()
        shutil.rmtree(home)
