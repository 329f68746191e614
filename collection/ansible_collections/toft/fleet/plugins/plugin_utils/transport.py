# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a node is reached, decided from its inventory variables alone.

A Transport is `local` (this machine, no ssh), `ssh` (toft runs OpenSSH itself) or `other` (only Ansible's own
connection plugin can do it: a password, WinRM, docker…; `reason` says why). Everything here is a pure
decision: the variables come in templated, a value or a Cause goes out, and `ssh_argv` turns the value into
an argv list.

The user's ssh configuration stays in charge of everything that is not said here: keys, agent, jump hosts,
algorithms and host key checking.
"""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import names
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause, cause

# These two stand in the one shell line that a node is given.
PLAIN_PATH = re.compile(r"/[A-Za-z0-9_./+-]+\Z")

PLAIN_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}\Z")

LOCAL = frozenset({"local", "ansible.builtin.local"})
SSH = frozenset({"", "ssh", "smart", "ansible.builtin.ssh"})

# For each value, the variables that may hold it; the last one that is set wins, as in Ansible's ssh plugin.
NAMES: Mapping[str, tuple[str, ...]] = {
    "connection": ("ansible_connection",),
    "host": ("ansible_host", "ansible_ssh_host"),
    "port": ("ansible_port", "ansible_ssh_port"),
    "user": ("ansible_user", "ansible_ssh_user"),
    "key": ("ansible_private_key_file", "ansible_ssh_private_key_file"),
    "ssh_args": ("ansible_ssh_args",),
    "common_args": ("ansible_ssh_common_args",),
    "extra_args": ("ansible_ssh_extra_args",),
    "python": ("ansible_python_interpreter",),
    "executable": ("ansible_ssh_executable",),
    "shell_type": ("ansible_shell_type",),
    "become_user": ("ansible_become_user",),
    "become_method": ("ansible_become_method",),
}
# What only Ansible's own connection handles, and how it is said. Their values are never looked at.
ANSIBLE_ONLY: Mapping[str, str] = {
    "ansible_password": "a password",
    "ansible_ssh_pass": "a password",
    "ansible_ssh_password": "a password",
    "ansible_private_key": "a key kept in a variable",
    "ansible_ssh_private_key": "a key kept in a variable",
    "ansible_private_key_passphrase": "a key's passphrase",
    "ansible_ssh_private_key_passphrase": "a key's passphrase",
    "ansible_ssh_pkcs11_provider": "a PKCS#11 provider",
}
PERSIST = 300
"""Seconds that an idle master stays: its keepalive every two seconds is not free on a battery."""
POSIX_SHELLS = frozenset({"", "sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "csh"})

# ssh's own option letters. The second set would turn a session into something else: a background process
# (-f), no command (-N), no input (-n), a terminal in the byte stream (-t), another control socket (-S)…
WITH_VALUE = frozenset("BDEFIJLOPQRSWbceilmopw")
UNFIT = frozenset("EGMNOPQSTVWfnst")
FLAGS = frozenset("1246ACKXYagkqvxy")


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


def from_vars(
    node: str, hostvars: Mapping[str, Any], *, connect_timeout: float = 5.0, become: bool = False
) -> Transport | Cause:
    """The transport that these (already templated) variables describe.

    `become` is what the request asked for: a play's ansible_become does not reach commands. A value that
    does not fit its pattern, or still holds a template, gives the cause `bad_name`.
    """
    unfit = names.refuse_node(node)
    if unfit is not None:
        return Cause("bad_name", unfit, "ansible-inventory --list   # where it is named")
    values = _values(node, hostvars)
    if isinstance(values, Cause):
        return values
    wrong = _wrong_value(node, values)
    if wrong is not None:
        return wrong
    user = (values["become_user"] or "root") if become else None
    reason = _only_ansible(values, hostvars, become)
    kind = "local" if values["connection"] in LOCAL else "other" if reason else "ssh"
    return Transport(
        node=node,
        kind=kind,
        destination=values["host"] or node,
        options=_options(values) if kind == "ssh" else (),
        python=values["python"] if PLAIN_PATH.match(values["python"]) else None,
        become=user,
        connect_timeout=connect_timeout,
        reason=reason if kind == "other" else "",
    )


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


def _values(node: str, hostvars: Mapping[str, Any]) -> dict[str, str] | Cause:
    values = {}
    for field, variables in NAMES.items():
        values[field] = ""
        for name in variables:
            value = hostvars.get(name)
            if value is None or value == "":
                continue
            if isinstance(value, bool) or not isinstance(value, (str, int)):
                return _refused(node, f"{name} is neither text nor a number")
            # Ansible's tagged and unsafe strings are subclasses; plain ones go on from here.
            text = str.__str__(value) if isinstance(value, str) else str(value)
            if "{{" in text or "{%" in text:
                return _refused(node, f"{name} still holds a template")
            if any(c in text for c in "\0\r\n"):
                return _refused(node, f"{name} holds a line break")
            values[field] = text
    return values


def _wrong_value(node: str, values: Mapping[str, str]) -> Cause | None:
    """The first value that does not fit, because it would mean something else in an argv or a shell line."""
    checks = (
        ("host", "ansible_host", names.refuse_address),
        ("user", "ansible_user", names.refuse_user),
        ("become_user", "ansible_become_user", _refuse_become),
        ("port", "ansible_port", names.refuse_port),
    )
    for field, name, refuse in checks:
        unfit = refuse(values[field]) if values[field] else None
        if unfit is not None:
            return _refused(node, f"{name}: {unfit}")
    python = values["python"]
    if python and not PLAIN_PATH.match(python) and not re.match(r"auto\w*\Z|python3?\Z", python):
        return _refused(node, f"ansible_python_interpreter is no plain absolute path: {python[:80]!r}")
    for field in ("ssh_args", "common_args", "extra_args"):
        try:
            shlex.split(values[field])
        except ValueError as error:
            return _refused(node, f"ansible_{_variable(field)} cannot be split: {error}")
    return None


def _refuse_become(user: str) -> str | None:
    return None if PLAIN_USER.match(user) else f"{user[:80]!r} is no plain user name, e.g. root"


def _only_ansible(values: Mapping[str, str], hostvars: Mapping[str, Any], become: bool) -> str:
    """Why only Ansible's own connection can do it, or an empty string."""
    if values["connection"] not in SSH | LOCAL:
        return f"it uses the connection {values['connection']!r}"
    if become and values["become_method"] not in ("", "sudo", "ansible.builtin.sudo"):
        return f"it becomes another user with {values['become_method']!r}"
    for name, thing in ANSIBLE_ONLY.items():
        if hostvars.get(name):
            return f"it is reached with {thing} ({name})"
    if values["shell_type"] not in POSIX_SHELLS:
        return f"its shell is {values['shell_type']!r}"
    if values["executable"] not in ("", "ssh"):
        return "it is reached with a program of its own (ansible_ssh_executable)"
    for field in ("ssh_args", "common_args", "extra_args"):
        unfit = _unfit_word(shlex.split(values[field]))
        if unfit:
            return f"ansible_{_variable(field)} has {unfit!r}"
    return ""


def _unfit_word(words: list[str]) -> str:
    """The first word of an argument string that would change what a session is, or that is no option at
    all.
    """
    rest = iter(words)
    for word in rest:
        if not word.startswith("-") or word in ("-", "--"):
            return word
        for i, letter in enumerate(word[1:], 1):
            if letter in UNFIT or letter not in WITH_VALUE | FLAGS:
                return word
            if letter in WITH_VALUE:
                if i == len(word) - 1 and next(rest, None) is None:
                    return word
                break
    return ""


def _options(values: Mapping[str, str]) -> tuple[str, ...]:
    port = ("-p", values["port"]) if values["port"] else ()
    user = ("-l", values["user"]) if values["user"] else ()
    key = ("-i", os.path.expanduser(values["key"])) if values["key"] else ()
    # Split once, in Ansible's own order.
    free = [
        word for field in ("ssh_args", "common_args", "extra_args") for word in shlex.split(values[field])
    ]
    return (*port, *user, *key, *free)


def _forwards(options: Iterable[str]) -> bool:
    return any(
        word[:2] in ("-L", "-R", "-D")
        or re.match(r"(?:-o)?\s*(?:local|remote|dynamic)forward\b", word, re.IGNORECASE)
        for word in options
    )


def _variable(field: str) -> str:
    return field if field == "ssh_args" else f"ssh_{field}"


def _refused(node: str, detail: str) -> Cause:
    return cause("bad_name", Transport(node=node, kind="other", destination=""), detail=detail)
