"""A control server for one lab: `python -m tests.tailnet.control LAB`; with `--astray`, where its hosts wanted to go.

Nothing of the lab gets out from then on, and what tries to is noted: real tailscaled knows its vendor's servers. A lab
with NAT still reaches the mirrors of packages, whose names are in its hosts' files, for there is no name server. The
control server is the one of Tailscale's own tests (main.go), no headscale. It listens on the lab's own address and
lives in the lab's control group, so it ends with the lab. The auth key that it takes is in LAB/tailnet.key, and
programs of the right version are in the directory that is printed.
"""

from __future__ import annotations

import secrets
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tests.lab import network
from tests.lab.apt_sources import choose_suite, read_sources
from tests.lab.cgroup import Cgroup
from tests.lab.laboratory import Lab
from tests.lab.processes import await_line, start_in
from tests.tailnet.programs import programs

PORT = 8080
DOMAIN = "lab.test"


def start(lab: Lab) -> Path:
    """The directory of the programs; the server listens when this returns."""
    built = programs()
    network.close_off(lab.claim, _mirrors_alone(lab) if lab.claim.nat else ())
    key = lab.directory / "tailnet.key"
    key.touch(mode=0o600)
    key.write_text(f"tskey-auth-{secrets.token_hex(16)}\n")
    log = lab.directory / "control.log"
    argv = [str(built / "control"), f"{lab.claim.gateway}:{PORT}", str(key), DOMAIN]
    start_in(Cgroup(f"{lab.claim.cgroup}/control"), argv, log)
    await_line(log, "control listens")
    return built


def _mirrors_alone(lab: Lab) -> list[str]:
    """Addresses of this machine's package mirrors, which the hosts know by name from now on, and no other name."""
    _, sources = choose_suite(read_sources())
    names = sorted({name for source in sources if (name := urlsplit(source.uri).hostname)})
    found = [(socket.gethostbyname(name), name) for name in names]
    lines = "".join(f"{address} {name}\n" for address, name in found)
    for host in lab.hosts.values():
        with (host.root / "etc/hosts").open("a") as file:
            file.write(lines)
        (host.root / "etc/resolv.conf").write_text("")
        # A mirror's records of services would need a name server.
        (host.root / "etc/apt/apt.conf.d/toft-lab").write_text('Acquire::EnableSrvRecords "false";\n')
    return sorted({address for address, _ in found})


if __name__ == "__main__":
    attached = Lab.attach(sys.argv[1])
    print("\n".join(network.astray(attached.claim)) if "--astray" in sys.argv else start(attached))
