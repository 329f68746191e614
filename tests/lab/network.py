"""The lab's wires: one bridge for a lab, a network namespace and a cable for each host.

The controller is this machine itself, at the first address of the subnet. A host keeps its hardware address
across power cycles, as a real network card does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tests.lab.claim import Claim, read_claims
from tests.lab.commands import attempt, call

ASTRAY = """\
table ip {table} {{
    set astray {{ type ipv4_addr; flags dynamic; size 1024; }}
    chain in {{
        type filter hook prerouting priority raw
        iifname != "{bridge}" accept
        ip daddr {{ {subnet}, 224.0.0.0/4, 255.255.255.255 }} accept
        ip daddr 100.64.0.0/10 drop
        {besides}
        update @astray {{ ip daddr }} drop
    }}
}}
"""
IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
NAT = """\
table ip {table} {{
    chain out {{
        type nat hook postrouting priority srcnat
        ip saddr {subnet} oifname != "{bridge}" masquerade
    }}
}}
"""


def lay_bridge(claim: Claim) -> None:
    bridge = claim.bridge
    call("ip", "link", "add", bridge, "type", "bridge")
    call("ip", "addr", "add", f"{claim.gateway}/24", "dev", bridge)
    call("ip", "link", "set", bridge, "up")
    if _forwarding_is_filtered():
        for side in ("-i", "-o"):
            call("iptables", "-w", "-I", "FORWARD", side, bridge, "-j", "ACCEPT")


def _forwarding_is_filtered() -> bool:
    """Docker and its like drop what passes a bridge, unless a rule accepts it."""
    return "-P FORWARD DROP" in attempt("iptables", "-w", "-S", "FORWARD").stdout


def open_nat(claim: Claim) -> None:
    """Let the hosts out through this machine. The first lab that does so notes what ip_forward was."""
    before = [_saved_forwarding(other) for other in read_claims() if other.nat and other != claim]
    saved = next((file.read_text() for file in before if file.exists()), IP_FORWARD.read_text())
    _saved_forwarding(claim).write_text(saved)
    IP_FORWARD.write_text("1")
    rules = NAT.format(table=claim.firewall_table, subnet=claim.subnet, bridge=claim.bridge)
    call("nft", "-f", "-", given=rules)


def close_off(claim: Claim, besides: Iterable[str] = ()) -> None:
    """Let nothing of a lab out, and note where it wanted to go. `besides`: addresses that one with NAT may reach."""
    addresses = ", ".join(besides)
    rules = ASTRAY.format(
        table=claim.firewall_table,
        subnet=claim.subnet,
        bridge=claim.bridge,
        besides=f"ip daddr {{ {addresses} }} tcp dport {{ 80, 443 }} accept" if addresses else "",
    )
    call("nft", "-f", "-", given=rules)


def astray(claim: Claim) -> list[str]:
    """Addresses outside of the lab, but of no tailnet, that its hosts have sent to since `close_off`."""
    told = json.loads(call("nft", "-j", "list", "set", "ip", claim.firewall_table, "astray"))
    return [address for entry in told["nftables"] for address in entry.get("set", {}).get("elem", [])]


def name_servers() -> Path:
    """This machine's resolv.conf; the one behind systemd-resolved's loopback address, where there is that."""
    resolved = Path("/run/systemd/resolve/resolv.conf")
    return resolved if resolved.exists() else Path("/etc/resolv.conf")


def close_nat(claim: Claim) -> None:
    """Undo open_nat; the last lab with NAT puts ip_forward back."""
    attempt("nft", "delete", "table", "ip", claim.firewall_table)
    saved = _saved_forwarding(claim)
    others = [other for other in read_claims() if other.nat and other != claim]
    if saved.exists() and not others:
        IP_FORWARD.write_text(saved.read_text())


def _saved_forwarding(claim: Claim) -> Path:
    return claim.directory / "ip_forward"


def plug_in(claim: Claim, host: str, index: int) -> None:
    """A namespace for the host, and a cable from it to the bridge."""
    netns, outer = claim.netns(host), claim.link(index)
    mac = f"02:d5:00:00:{claim.number:02x}:{index + 11:02x}"
    outside = [
        f"netns add {netns}",
        f"link add {outer} type veth peer name eth0 address {mac} netns {netns}",
        f"link set {outer} master {claim.bridge} up",
    ]
    call("ip", "-batch", "-", given="\n".join(outside))
    inside = [
        "link set lo up",
        f"addr add {claim.address(index)}/24 dev eth0",
        "link set eth0 up",
        f"route add default via {claim.gateway}",
    ]
    call("ip", "-n", netns, "-batch", "-", given="\n".join(inside))


def unplug(claim: Claim, host: str, index: int) -> None:
    """Pull the cable: what is under way is lost, and so is what the kernel knew of the host's connections."""
    attempt("ip", "link", "del", claim.link(index))
    attempt("ip", "netns", "del", claim.netns(host))


def plugged_in(claim: Claim, host: str) -> bool:
    return Path("/run/netns", claim.netns(host)).exists()


def tear_out(claim: Claim) -> None:
    """Everything that carries the lab's names, also what a crash left half made."""
    for rule in attempt("iptables", "-w", "-S", "FORWARD").stdout.splitlines():
        if claim.bridge in rule.split():
            call("iptables", "-w", "-D", *rule.split()[1:])
    prefix = f"{claim.bridge}-"
    links = [link.name for link in Path("/sys/class/net").iterdir() if link.name.startswith(prefix)]
    names = [netns.name for netns in Path("/run/netns").glob(f"{claim.netns('')}*")]
    bridges = [claim.bridge] if Path("/sys/class/net", claim.bridge).exists() else []
    batch = [f"link del {link}" for link in links + bridges] + [f"netns del {name}" for name in names]
    call("ip", "-force", "-batch", "-", given="\n".join(batch) + "\n")
    close_nat(claim)
