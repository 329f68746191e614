# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a node is reached, as a value, and what that value means to ssh.

A Transport is `local` (this machine, no ssh), `ssh` (toft runs OpenSSH itself) or `other` (only Ansible's own
connection plugin can do it: a password, WinRM, docker…; `reason` says why). `hostvars` decides which, from a
node's inventory variables; `ssh_argv` turns the value into an argv list.

The user's ssh configuration stays in charge of everything that is not said here: keys, agent, jump hosts,
algorithms and host key checking.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

PERSIST = 300
"""Seconds that an idle master stays: its keepalive every two seconds is not free on a battery."""


@dataclass(frozen=True)
class Transport:
    """How to reach `node`. No secret is ever in here: it is written into job records."""

    node: str
    kind: str
    """local, ssh or other"""
    destination: str
    """what ssh gets as its host: an address or an alias of the user's configuration"""
    options: tuple[str, ...] = ()
    """ssh options from the variables, in argv form"""
    python: str | None = None
    become: str | None = None
    """the user to become, when the request asked for it"""
    connect_timeout: float = 5.0
    """seconds"""
    reason: str = ""
    """why `other`"""

    def within(self, seconds: float) -> Transport:
        """The same, connecting in no more than the seconds that are left."""
        return replace(self, connect_timeout=min(self.connect_timeout, max(0.0, seconds)))

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "options": list(self.options)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Transport:
        return cls(**{**data, "options": tuple(data["options"])})


def ssh_options(
    transport: Transport,
    control_path: str | None = None,
    *,
    master: bool = False,
    term: bool = False,
) -> list[str]:
    """ssh's options for this node, without `ssh` and the destination (rsync's -e wants them so).

    With `control_path` an existing master is used; with `master` one is opened there; without it nothing is
    shared. OpenSSH takes the first value of an option that it meets, so ours stand before the user's.
    """
    ours = _settings(transport, control_path, master)
    words = [word for key, value in ours.items() for word in ("-o", f"{key}={value}")]
    # -N -f: no session of its own, and into the background once logged in.
    # -x: no xauth for sessions without a window. -T/-tt stand last, because ssh takes the last of these.
    return [*words, *transport.options, *(["-N", "-f"] if master else []), "-x", "-tt" if term else "-T"]


def _settings(transport: Transport, control_path: str | None, master: bool) -> dict[str, str]:
    settings = {
        # Nobody is there to answer a prompt.
        "BatchMode": "yes",
        # Covers the key exchange too, so a frozen sshd behind a live kernel does not hold us.
        "ConnectTimeout": str(max(1, math.ceil(transport.connect_timeout))),
        # A frozen host behind a live connection is noticed after three silent intervals.
        "ServerAliveInterval": "2",
        "ServerAliveCountMax": "2",
        "ControlMaster": "yes" if master else "no",
        "ControlPath": control_path or "none",
        # The user's configuration may have these for interactive use; both run something else than we ask.
        "RemoteCommand": "none",
        "PermitLocalCommand": "no",
        # A master's words are read only when it fails; a session's stderr is the program's own.
        "LogLevel": "INFO" if master else "ERROR",
    }
    if not _forwards(transport.options):
        # A port that the user's interactive ssh already holds must not make our connection fail.
        settings["ClearAllForwardings"] = "yes"
    if master:
        settings["ControlPersist"] = str(PERSIST)
    return settings


def _forwards(options: Iterable[str]) -> bool:
    return any(
        word[:2] in ("-L", "-R", "-D") or re.match(r"(?:-o)?\s*(?:local|remote|dynamic)forward\b", word, re.IGNORECASE)
        for word in options
    )


def ssh_argv(
    transport: Transport,
    control_path: str | None = None,
    *,
    master: bool = False,
    term: bool = False,
    command: str | None = None,
) -> list[str]:
    """The whole argv. `--` keeps a destination from being read as an option; `command` is one of our
    constants.
    """
    options = ssh_options(transport, control_path, master=master, term=term)
    return ["ssh", *options, "--", transport.destination, *([command] if command is not None else [])]


def ssh_environment(environ: Mapping[str, str], term: str | None = None) -> dict[str, str]:
    """The environment for ssh: no locale, because many configurations send it and nodes may not have it;
    and no window that asks for a passphrase, which a jump host's ssh would open (BatchMode does not reach
    it).
    """
    kept = {name: value for name, value in environ.items() if name != "LANG" and not name.startswith("LC_")}
    ours = {"SSH_ASKPASS_REQUIRE": "never"}
    return {**kept, **ours} if term is None else {**kept, **ours, "TERM": term}


def jump_hosts(options: Iterable[str]) -> str:
    """The jump hosts or proxy command that these options name, or an empty string."""
    words = list(options)
    for i, word in enumerate(words):
        value = words[i + 1] if i + 1 < len(words) else ""
        if word == "-J":
            return value
        if word.startswith("-J"):
            return word[2:]
        keyword = value if word == "-o" else word[2:] if word.startswith("-o") else ""
        found = re.match(r"\s*proxy(?:jump|command)\s*[=\s]\s*(.+)", keyword, re.IGNORECASE)
        if found:
            return "" if found[1].lower() == "none" else found[1]
    return ""
