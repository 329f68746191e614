# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A node's inventory variables to its Transport: which of Ansible's connection variables count, and how.

Everything here is a pure decision: the variables come in templated, a Transport goes out, or a Cause if one of
them would mean something else in an argv or a shell line. What toft's own ssh cannot do (a password, WinRM,
docker…) is left to Ansible's connection plugin, with the reason said.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import names
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause, cause
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

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
POSIX_SHELLS = frozenset({"", "sh", "bash", "dash", "ash", "zsh", "ksh", "fish", "csh"})

# ssh's own option letters. The second set would turn a session into something else: a background process
# (-f), no command (-N), no input (-n), a terminal in the byte stream (-t), another control socket (-S)…
WITH_VALUE = frozenset("BDEFIJLOPQRSWbceilmopw")
UNFIT = frozenset("EGMNOPQSTVWfnst")
FLAGS = frozenset("1246ACKXYagkqvxy")


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
    free = [word for field in ("ssh_args", "common_args", "extra_args") for word in shlex.split(values[field])]
    return (*port, *user, *key, *free)


def _variable(field: str) -> str:
    return field if field == "ssh_args" else f"ssh_{field}"


def _refused(node: str, detail: str) -> Cause:
    return cause("bad_name", Transport(node=node, kind="other", destination=""), detail=detail)
