# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Why a node could not be reached, as a value: what happened, in plain words, and what to type about it.

ssh tells its failures in English on stderr and with exit code 255. `SIGNS` is the one table that turns these
words into a code; `TEXTS` turns a code into a message and a fix. Both are data, and the words are checked
against recordings of real ssh runs (tests/collection/plugin_utils/cases/causes.json).

The order of SIGNS matters: with a jump host, ssh prints the jump's own reason first and then a vague
"Connection closed by UNKNOWN port 65535", so the exact words are looked for before the vague ones.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport


@dataclass(frozen=True)
class Cause:
    """A node's failure. `code` is one of TEXTS; `fix` is something to type."""

    code: str
    message: str
    fix: str

    def to_dict(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Cause:
        return cls(code=str(data["code"]), message=str(data["message"]), fix=str(data["fix"]))


@dataclass(frozen=True)
class Sign:
    """ssh's words for one failure. The named groups `address` and `port` are used in the message."""

    code: str
    words: re.Pattern[str]
    fix: str = ""
    """a template, where the code's own fix would not help"""


def _sign(code: str, *words: str, fix: str = "") -> Sign:
    return Sign(code, re.compile("|".join(words), re.IGNORECASE), fix)


_CONNECT = r"connect to host (?P<address>[\w.:%-]+) port (?P<port>\d+): "

SIGNS: tuple[Sign, ...] = (
    _sign("host_key_changed", r"Host key for (?P<address>[\w.:%\[\]-]+) has changed"),
    _sign("host_key_changed", r"REMOTE HOST IDENTIFICATION HAS CHANGED", r"REVOKED HOST KEY DETECTED"),
    _sign("host_key_unknown", r"host key is known for (?P<address>[\w.:%\[\]-]+)"),
    _sign("host_key_unknown", r"Host key verification failed"),
    _sign("dns", r"Could not resolve hostname (?P<address>[\w.:%-]+)"),
    _sign("bad_name", r"(?:hostname|username) contains invalid characters"),
    _sign("refused", _CONNECT + r"Connection refused"),
    _sign("timeout", _CONNECT + r"(?:Connection|Operation) timed out"),
    _sign(
        "no_route",
        _CONNECT + r"(?:No route to host|Network is unreachable|Host is down|Permission denied"
        r"|Can't assign requested address|Network is down)",
    ),
    # A jump host reports what it met on the other side as a channel that failed to open.
    _sign("refused", r"open failed: connect failed: Connection refused"),
    _sign("timeout", r"open failed: connect failed: (?:Connection|Operation) timed out"),
    _sign("no_route", r"open failed: connect failed: (?:No route to host|Network is unreachable)"),
    _sign("dns", r"open failed: connect failed: .*(?:not known|name resolution)"),
    _sign(
        "ssh_failed",
        r"open failed: administratively prohibited",
        fix="AllowTcpForwarding yes   # in /etc/ssh/sshd_config of the jump host",
    ),
    _sign("become", r"sudo: .*(?:password is required|terminal is required|incorrect password|not allowed)"),
    _sign("become", r"is not (?:in the sudoers file|allowed to (?:run|execute))", r"sudo: .*not found"),
    _sign(
        "auth",
        r"Tailscale SSH requires an additional check",
        fix="{ssh} true   # and open the address that it shows",
    ),
    _sign(
        "auth",
        r"tailnet policy does not permit",
        r"tailscale: access denied",
        fix='tailscale status   # allow {node} under "ssh" in the tailnet policy file',
    ),
    _sign(
        "auth",
        r"Too many authentication failures",
        fix="{ssh_v} true   # then say which key: ansible_ssh_private_key_file, and IdentitiesOnly yes",
    ),
    _sign(
        "auth",
        r"(?:@(?P<address>[\w.:%-]+): )?Permission denied \((?:publickey|password|keyboard|gssapi|hostbased)",
        r"Permission denied, please try again",
        r"No supported authentication methods available",
        r"agent refused operation",
    ),
    _sign(
        "no_sh",
        r"This account is currently not available",
        r"This service allows sftp connections only",
        r"is not recognized as an internal or external command",
        r"is not recognized as (?:the|a) name of a cmdlet",
    ),
    _sign(
        "ssh_failed",
        r"Bad configuration option",
        r"Bad owner or permissions",
        r"no matching (?:host key type|key exchange method|cipher|MAC) found",
        r"terminating, \d+ bad configuration options",
    ),
    _sign(
        "timeout",
        r"(?:Connection|Operation) timed out",
        r"Timeout, server \S+ not responding",
        r"Connection to \S+ port \d+ timed out",
    ),
    _sign(
        "connection_lost",
        r"Connection (?:closed|reset) by",
        _CONNECT + r"Connection reset",
        r"Connection to \S+ closed by remote host",
        r"kex_exchange_identification",
        r"(?:client_loop|Write failed).*Broken pipe",
        r"Received disconnect from",
        r"Disconnected from",
        r"message authentication code incorrect",
        r"Corrupted MAC",
    ),
)


@dataclass(frozen=True)
class Text:
    """Templates. {node}: its name; {at}: where it was looked for; {address}: the same for typing; {ssh}: a
    shell line that reaches it as toft does ({ssh_t} with a terminal, {ssh_v} telling more); {detail}: ssh's
    last words."""

    message: str
    fix: str


TEXTS: Mapping[str, Text] = {
    "not_asked": Text(
        "{node} ({at}) was not asked in time: this machine was busy opening other connections.",
        "toft status {node}",
    ),
    "timeout": Text(
        "{node} ({at}) did not answer in time: it may be asleep, frozen or cut off.",
        "ping -c 3 {address}",
    ),
    "refused": Text(
        "{node} ({at}) refused the connection: sshd is down there, or listens on another port.",
        "sudo systemctl start ssh   # on {node} (a Mac: sudo systemsetup -setremotelogin on), or set ansible_port",
    ),
    "no_route": Text("There is no route to {node} ({at}).", "tailscale status"),
    "dns": Text(
        "The address of {node} ({at}) is unknown here: its name does not resolve.",
        "tailscale status   # is {node} in the tailnet? otherwise set ansible_host to its address",
    ),
    "auth": Text("{node} ({at}) did not accept this user's key.", "{copy_id}"),
    "host_key_changed": Text(
        "{node} ({at}) shows another host key than the one known here: it was reinstalled, or another "
        "machine has its address. Nothing was sent.",
        "ssh-keygen -R {known_as}   # only after comparing its fingerprint: on {node}, "
        "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
    ),
    "host_key_unknown": Text(
        "The host key of {node} ({at}) is not known here yet.",
        "{ssh} true   # once, and compare the fingerprint that it shows",
    ),
    "no_python": Text(
        "{node} ({at}) has no Python 3 that toft could find.",
        "{ssh} sudo apt-get install -y python3   # or set ansible_python_interpreter",
    ),
    "bad_name": Text("{node}: {detail}", "ansible-inventory --host {node}   # where the value is set"),
    "connection_lost": Text(
        "The connection to {node} ({at}) broke off.",
        "{ssh} true   # if this fails too: journalctl -u ssh on {node}",
    ),
    "no_sh": Text(
        "{node} ({at}) let us in but has no POSIX shell for this user.",
        "{ssh} sh -c true   # Windows: run sshd inside WSL",
    ),
    "become": Text(
        "{node} ({at}) did not let this user become {become}.",
        "{ssh_t} sudo -v   # set ansible_become_password, or: sudo visudo -f /etc/sudoers.d/toft",
    ),
    "protocol": Text("{node} ({at}) answered something unexpected: {detail}", "{ssh} true   # should print nothing"),
    "ssh_failed": Text("ssh to {node} ({at}) failed: {detail}", "{ssh_v} true"),
    "no_control_socket": Text("ssh connections cannot be kept open here: {detail}", "toft doctor"),
}


def cause(
    code: str, transport: Transport, *, detail: str = "", address: str = "", port: str = "", fix: str = ""
) -> Cause:
    """The cause `code` for this node. `address` and `port` are ssh's own, if it named any; `fix` is a
    template.
    """
    text = TEXTS[code]
    fields = _fields(transport, _printable(detail) or "no reason given", address, port)
    return Cause(code, text.message.format_map(fields), (fix or text.fix).format_map(fields))


def explain(transport: Transport, exit_code: int | None, stderr: bytes | str, *, timed_out: bool = False) -> Cause:
    """Why ssh failed, from its own words.

    `timed_out` says that our own deadline ended the attempt; words that were seen before it still count,
    because they are more exact. Exit code 255 without a word means that a connection ended under a running
    command.
    """
    words = stderr.decode("utf-8", "replace") if isinstance(stderr, bytes) else stderr
    for sign in SIGNS:
        match = sign.words.search(words)
        if match and _applies(sign, transport):
            return _from_match(sign, match, transport, words)
    if timed_out:
        return cause("timeout", transport)
    if exit_code == 255 and not words.strip():
        return cause("connection_lost", transport)
    return cause("ssh_failed", transport, detail=_last_line(words) or f"exit code {exit_code}")


def _applies(sign: Sign, transport: Transport) -> bool:
    # A program may print sudo's name for reasons of its own.
    return sign.code != "become" or transport.become is not None


def _from_match(sign: Sign, match: re.Match[str], transport: Transport, words: str) -> Cause:
    groups = {name: value for name, value in match.groupdict().items() if value}
    return cause(sign.code, transport, detail=_last_line(words), fix=sign.fix, **groups)


def _fields(transport: Transport, detail: str, address: str, port: str) -> dict[str, str]:
    own_port = _option(transport, "-p")
    # ssh names an unusual port as known_hosts does: [address]:port
    bracketed = re.match(r"\[(.+)\]:(\d+)", address)
    where, at_port = bracketed.groups() if bracketed else (address, port)
    if not address:
        where, at_port = transport.destination, own_port
    reach = [*transport.options, "--", transport.destination]
    return {
        "node": transport.node,
        "at": f"{where} port {at_port}" if at_port else where,
        "address": where,
        "known_as": shlex.quote(address or (f"[{where}]:{own_port}" if own_port else where)),
        "ssh": shlex.join(["ssh", *reach]),
        "ssh_t": shlex.join(["ssh", "-t", *reach]),
        "ssh_v": shlex.join(["ssh", "-v", *reach]),
        "copy_id": _copy_id(transport, own_port),
        "become": transport.become or "root",
        "detail": detail,
    }


def _copy_id(transport: Transport, port: str) -> str:
    user = _option(transport, "-l")
    target = f"{user}@{transport.destination}" if user else transport.destination
    return shlex.join(["ssh-copy-id", *(["-p", port] if port else []), target])


def _option(transport: Transport, flag: str) -> str:
    options = transport.options
    return next((options[i + 1] for i, word in enumerate(options[:-1]) if word == flag), "")


def _last_line(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _printable(text: str) -> str:
    # A node's words end on somebody's terminal.
    return "".join(c if c.isprintable() else " " for c in text)[:300].strip()
