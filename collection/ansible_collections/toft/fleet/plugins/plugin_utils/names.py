# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What may name a node, an address, a user, a port or a job. Everything else is refused at entry.

Names become words of ssh's and rsync's command lines, parts of file names and keys of records. So the
patterns say what is allowed, not what is dangerous: a name that begins with `-` is an option to ssh
(`-oProxyCommand=…` executes), and one with `/` or `..` is a path.

Each function answers None, or why the value is refused: what it is, why, and what to type instead.
"""

from __future__ import annotations

import ipaddress
import re

NODE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}\Z")
LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")
ZONE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}\Z")
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}\$?\Z")
DOMAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\Z")
JOB = re.compile(r"[a-z0-9][a-z0-9-]{2,40}\Z")

RESERVED = frozenset({"all", "ungrouped"})
"""Ansible's own groups."""


def refuse_node(name: object) -> str | None:
    """An inventory name: letters, digits, `_`, `.` and `-`."""
    if not isinstance(name, str):
        return _refusal(name, "cannot be the name of a node: it is no text", "put it in quotes")
    if name in RESERVED:
        return _refusal(name, "cannot be the name of a node: Ansible calls a group so", "rename the node")
    if not NODE.match(name) or ".." in name:
        why = "it may have letters, digits, '_', '-' and '.', but neither '..' nor '-' or '.' in front"
        return _refusal(name, f"cannot be the name of a node: {why}", "rename it, e.g. node-1")
    return None


def refuse_address(address: object) -> str | None:
    """What is connected to: a host name, an IPv4 or an IPv6 address, that with a zone (`fe80::1%eth0`)."""
    if isinstance(address, str) and (_is_ip(address) or _is_host(address)):
        return None
    why = "is no host name and no IP address"
    return _refusal(address, why, "set ansible_host to one, e.g. 192.168.1.27 or pi.tail1234.ts.net")


def refuse_user(user: object) -> str | None:
    """A login name; with a domain as Windows and directories have it (`DOMAIN\\ann`, `ann@example.org`)."""
    if isinstance(user, str) and _is_user(user):
        return None
    why = "cannot be a user's name: it may have letters, digits, '_', '-' and '.', but no '-' in front"
    return _refusal(user, why, "set ansible_user to one, e.g. marc")


def refuse_port(port: object) -> str | None:
    """1 to 65535, as a number or its digits."""
    if isinstance(port, int) and not isinstance(port, bool):
        number = port
    elif isinstance(port, str) and re.fullmatch(r"[0-9]{1,5}", port, re.ASCII):
        number = int(port)
    else:
        number = 0
    if 1 <= number <= 65535:
        return None
    why = "is no port: it must be a number from 1 to 65535"
    return _refusal(port, why, "set ansible_port to one, e.g. 22")


def refuse_job(job: object) -> str | None:
    """A job's id."""
    if isinstance(job, str) and JOB.match(job):
        return None
    return _refusal(job, "is no job id: it has 3 to 41 of a-z, 0-9 and '-'", "see: toft jobs")


def _is_ip(text: str) -> bool:
    address, percent, zone = text.partition("%")
    if percent and (":" not in address or not ZONE.match(zone)):
        return False
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return address.isascii()


def _is_host(text: str) -> bool:
    """A trailing dot is the DNS's own way to say that the name is whole."""
    labels = text.removesuffix(".").split(".")
    if len(text) > 253 or not all(LABEL.match(label) for label in labels):
        return False
    # 1.2.3 and 300.1.1.1 are no addresses, though some resolvers read numbers into them.
    return not labels[-1].isdigit()


def _is_user(text: str) -> bool:
    domain, backslash, name = text.rpartition("\\")
    name, at, realm = name.partition("@")
    if (backslash and not DOMAIN.match(domain)) or (at and not DOMAIN.match(realm)):
        return False
    return USER.match(name) is not None


def _refusal(value: object, why: str, instead: str) -> str:
    shown = repr(value)
    return f"{shown if len(shown) <= 80 else shown[:77] + '…'} {why} ({instead})"
