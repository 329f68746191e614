"""A headscale for one lab: `python -m tests.tailnet.control LAB`; with `--astray`, where its hosts wanted to go.

Nothing of the lab gets out from then on, and what tries to is noted: real tailscaled knows its vendor's servers. A lab
with NAT still reaches the mirrors of packages, whose names are in its hosts' files, for there is no name server.

The headscale listens on the lab's own address, with a certificate that its hosts trust and a relay (DERP) of its own,
and lives in the lab's control group, so it ends with the lab. Its files are in LAB/headscale, config.yaml among them
for its command line. LAB/tailnet.key lets nodes in that are gone when they log out, LAB/tailnet-node.key nodes with the
tag `tag:node`. The directory that is printed has the programs.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.lab import network
from tests.lab.apt_sources import choose_suite, read_sources
from tests.lab.cgroup import Cgroup
from tests.lab.commands import call
from tests.lab.laboratory import Lab
from tests.lab.processes import await_line, start_in
from tests.tailnet.programs import programs

PORT, CALLS_PORT, STUN_PORT = 8080, 50443, 3478
DOMAIN = "lab.test"
USER = "lab"
TRUSTED = "etc/ssl/certs/toft-lab-control.pem"
READY = "listening and serving HTTP on"


def start(lab: Lab) -> Path:
    """The directory of the programs; the server listens when this returns."""
    built = programs()
    network.close_off(lab.claim, _mirrors_alone(lab) if lab.claim.nat else ())
    place = lab.directory / "headscale"
    place.mkdir(mode=0o700)
    certificate = _certify(place, lab.claim.gateway)
    for host in lab.hosts.values():
        trusted = host.root / TRUSTED
        trusted.parent.mkdir(parents=True, exist_ok=True)
        trusted.write_text(certificate)
    config = place / "config.yaml"
    config.write_text(json.dumps(_settings(place, lab.claim.gateway)))
    headscale = [str(built / "headscale"), "--config", str(config)]
    log = lab.directory / "headscale.log"
    start_in(Cgroup(f"{lab.claim.cgroup}/control"), [*headscale, "serve"], log)
    await_line(log, READY, timeout=60)
    call(*headscale, "users", "create", USER)
    create = (*headscale, "preauthkeys", "create", "--reusable", "--expiration", "24h")
    _keep(lab.directory / "tailnet.key", call(*create, "--user", "1", "--ephemeral"))
    _keep(lab.directory / "tailnet-node.key", call(*create, "--tags", "tag:node"))
    return built


def _settings(place: Path, address: str) -> dict[str, object]:
    """JSON, which is YAML."""
    relay = {
        "enabled": True,
        "region_id": 900,
        "region_code": "lab",
        "region_name": "Lab",
        "verify_clients": True,
        "stun_listen_addr": f"{address}:{STUN_PORT}",
        "private_key_path": str(place / "relay.key"),
        "automatically_add_embedded_derp_region": True,
        "ipv4": address,
    }
    return {
        "server_url": f"https://{address}:{PORT}",
        "listen_addr": f"{address}:{PORT}",
        "metrics_listen_addr": "",
        "grpc_listen_addr": f"{address}:{CALLS_PORT}",
        "unix_socket": str(place / "socket"),
        "unix_socket_permission": "0700",
        "tls_cert_path": str(place / "certificate.pem"),
        "tls_key_path": str(place / "certificate.key"),
        "noise": {"private_key_path": str(place / "noise.key")},
        "prefixes": {"v4": "100.64.0.0/10", "v6": "fd7a:115c:a1e0::/48", "allocation": "sequential"},
        "derp": {"server": relay, "urls": [], "paths": [], "auto_update_enabled": False},
        "database": {"type": "sqlite", "sqlite": {"path": str(place / "db.sqlite")}},
        "dns": {
            "magic_dns": True,
            "base_domain": DOMAIN,
            "override_local_dns": False,
            "nameservers": {"global": []},
        },
        "disable_check_updates": True,
        "logtail": {"enabled": False},
    }


def _certify(place: Path, address: str) -> str:
    """A certificate for the address, which vouches for itself; PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "toft lab")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=7))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _keep(place / "certificate.key", key.private_bytes(serialization.Encoding.PEM, *plain).decode())
    text = certificate.public_bytes(serialization.Encoding.PEM).decode()
    (place / "certificate.pem").write_text(text)
    return text


def _keep(file: Path, secret: str) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
        written.write(secret)


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
