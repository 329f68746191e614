"""Everything on this machine that carries a lab's names, found by looking rather than by remembering."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.lab.claim import Claim
from tests.lab.commands import attempt


def traces(claim: Claim, namespaces: frozenset[str] = frozenset()) -> set[str]:
    """One line for each thing that is there; `namespaces` are those whose processes count."""
    return {
        *_mounts(claim),
        *_control_groups(claim),
        *_links(claim),
        *_rules(claim),
        *_files(claim),
        *(f"process {pid}" for pid, found in _network_namespaces() if found in namespaces),
    }


def namespaces(claim: Claim) -> frozenset[str]:
    """The network namespaces of the lab's hosts, as /proc names them."""
    inodes = (Path("/run/netns", claim.netns(name)).stat().st_ino for name, _ in claim.hosts)
    return frozenset(f"net:[{inode}]" for inode in inodes)


def _mounts(claim: Claim) -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        target = line.split()[4]
        if str(claim.directory) in target or claim.netns("") in target:
            yield f"mount {target}"


def _control_groups(claim: Claim) -> Iterator[str]:
    for directory, _, _ in os.walk("/sys/fs/cgroup"):
        if claim.cgroup in directory:
            yield f"control group {directory}"


def _links(claim: Claim) -> Iterator[str]:
    for link in Path("/sys/class/net").iterdir():
        if link.name == claim.bridge or link.name.startswith(f"{claim.bridge}-"):
            yield f"link {link.name}"


def _rules(claim: Claim) -> Iterator[str]:
    saved = attempt("iptables-save").stdout + attempt("nft", "list", "tables").stdout
    for rule in saved.splitlines():
        if {claim.bridge, claim.firewall_table, claim.subnet} & set(rule.split()):
            yield f"rule {rule}"


def _files(claim: Claim) -> Iterator[str]:
    if claim.directory.exists():
        yield f"directory {claim.directory}"
    for top in (Path("/run/netns"), Path("/run/systemd/nspawn")):
        for file in top.rglob("*"):
            if claim.id in file.name and "toft" in file.name:
                yield f"file {file}"


def _network_namespaces() -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                yield int(entry.name), os.readlink(entry / "ns/net")
