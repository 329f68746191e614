"""`toft init`: an inventory of the machines that can be seen from here, written once and then the owner's.

`look` asks this machine (its name, ~/.ssh/config, `tailscale status`: each may be missing), `machines.merge`
decides, `text` writes it down with its reasons as comments, and `init` puts it in place. An inventory that is
already there is never replaced unasked, and when asked it is kept as a .bak file.
"""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from ansible_collections.toft.fleet.plugins.plugin_utils import openssh_config, tailnet_status, tailscale_cli
from ansible_collections.toft.fleet.plugins.plugin_utils.openssh_config import Alias
from ansible_collections.toft.fleet.plugins.plugin_utils.tailnet_status import BadStatus, Peer, Wanted

from toft.fleet.inventory_check import check_source
from toft.fleet.machines import ROLES, SYSTEM_GROUPS, Machine, This, merge
from toft.fleet.settings import config_directory, home_directory
from toft.fleet.yaml_source import BadFile, shown

TAILSCALE_SECONDS = 10.0
REASONS = {
    "macs": "By the system that the tailnet knows.",
    "linux": "By the system that the tailnet knows.",
    "windows": "Windows takes part through WSL. Where WSL answers: toft_os: linux and toft_wsl: true.",
    "orchestrators": "A guess from the name or a tag.",
    "builders": "A guess from the name or a tag.",
    "pis": "A guess from the name or a tag.",
    "storage": "A guess from the name or a tag.",
    "workstations": "A guess from the name or the system. Nobody's own machine is used unasked: toft_auto.",
}


@dataclass(frozen=True)
class Seen:
    """What this machine told."""

    this: This
    aliases: tuple[Alias, ...]
    peers: tuple[Peer, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Written:
    path: Path
    text: str
    nodes: tuple[Machine, ...]
    notes: tuple[str, ...]
    backup: Path | None  # what was there before
    dry_run: bool  # nothing was written
    next_command: str


def init(env: Mapping[str, str], path: Path | None = None, *, force: bool = False, dry_run: bool = False) -> Written:
    """Looks, decides and writes. Raises BadFile when something is in the way; asks nothing."""
    return write(look(env), target(env, path), env, force=force, dry_run=dry_run)


def target(env: Mapping[str, str], path: Path | None) -> Path:
    """The file to be written; a directory means the hosts.yml in it."""
    if path is None:
        return config_directory(env) / "inventory" / "hosts.yml"
    return path / "hosts.yml" if path.is_dir() else path


def look(env: Mapping[str, str], tailscale: str | None = None) -> Seen:
    """Asks ssh's configuration and Tailscale, which may be missing: that is a note, not an error."""
    aliases, about_ssh = _aliases(home_directory(env))
    peers, about_tailnet = _peers(env, tailscale)
    return Seen(_this(), tuple(aliases), tuple(peers), (*about_ssh, *about_tailnet))


def _this() -> This:
    uname = os.uname()
    system = "macos" if uname.sysname == "Darwin" else "linux"
    return This(uname.nodename, system, uname.machine, "microsoft" in uname.release.lower())


def _aliases(home: Path) -> tuple[list[Alias], list[str]]:
    path = home / ".ssh" / "config"
    try:
        aliases, skipped = openssh_config.read(path, home)
    except OSError as error:
        return [], [f"nothing from {path}: {error.strerror}"]
    return aliases, [f"left out {one.what} of {one.file}:{one.line}: {one.why}" for one in skipped]


def _peers(env: Mapping[str, str], tailscale: str | None) -> tuple[list[Peer], list[str]]:
    try:
        status = tailnet_status.parse(tailscale_cli.status(tailscale, env, TAILSCALE_SECONDS))
    except BadStatus as error:
        return [], [f"nothing from the tailnet: {error}"]
    peers, doubles = tailnet_status.choose(status.peers, Wanted())
    return peers, [f"left out {one.what} of the tailnet: {one.why}" for one in (*status.skipped, *doubles)]


def write(seen: Seen, path: Path, env: Mapping[str, str], *, force: bool, dry_run: bool) -> Written:
    machines, notes = merge(seen.this, list(seen.aliases), list(seen.peers))
    content = text(machines)
    default = path.parent == config_directory(env) / "inventory"
    next_command = "toft status" if default else f"toft -i {shlex.quote(str(path))} status"
    backup = None if dry_run else _put(path, content, force)
    all_notes = (*(shown(note, 300) for note in (*seen.notes, *notes)), *_alone(machines))
    return Written(path, content, tuple(machines), all_notes, backup, dry_run, next_command)


def _alone(machines: list[Machine]) -> tuple[str, ...]:
    if len(machines) > 1:
        return ()
    return ("no other machine was found: name some in ~/.ssh/config, or: tailscale up; then: toft init --force",)


def _put(path: Path, content: str, force: bool) -> Path | None:
    """Whole or not at all. Gives where the file that was there before is now."""
    there = os.path.lexists(path)
    if there and not force:
        raise BadFile(str(path), None, "is there already", "to replace it (it is kept as .bak): toft init --force")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = _temporary(path, content)
        try:
            check_source(new)  # what we write, we can read
            backup = _set_aside(path) if there else None
            new.rename(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        raise BadFile(str(path), None, f"cannot be written: {error.strerror}") from error
    return backup


def _temporary(path: Path, content: str) -> Path:
    """Hidden, so Ansible would not read it either."""
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".yml", dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)
    return Path(name)


def _set_aside(path: Path) -> Path:
    """Ansible reads no file that ends in .bak; an older one is never lost."""
    names = [
        path.with_name(f"{path.name}.bak"),
        *(path.with_name(f"{path.name}.{n}.bak") for n in range(1, 1000)),
    ]
    backup = next(name for name in names if not os.path.lexists(name))
    path.rename(backup)
    return backup


def text(machines: list[Machine]) -> str:
    """The inventory as YAML, with the reasons as comments."""
    lines = [
        "---",
        "# Written by `toft init`, yours to change: it is not written again unasked.",
        "# How a machine is reached (user, port, key, jump host) is better said in ~/.ssh/config.",
        "all:",
        "  hosts:",
    ]
    for machine in machines:
        lines += [f"    {line}" for line in _host(machine)]
    lines += ["", "  children:"]
    for group, members in _groups(machines).items():
        reason = [f"    # {REASONS[group]}"] if group in REASONS else []
        lines += [*reason, f"    {group}:", "      hosts:", *(f"        {_word(name)}:" for name in members)]
    return "\n".join(lines) + "\n"


def _host(machine: Machine) -> list[str]:
    comments = ["This machine." if machine.local else f"From {shown(machine.source, 200)}."]
    if machine.also:
        comments.append(f"Also known as {', '.join(machine.also)}.")
    if machine.online is False:
        seen = f", last seen {machine.last_seen}" if machine.last_seen else ""
        comments.append(f"Offline when this was written{seen}.")
    variables = {
        "ansible_connection": "local" if machine.local else "",
        "ansible_host": _word(machine.host),
        "toft_os": machine.system,
        "toft_arch": _word(machine.arch),
        "toft_wsl": "true" if machine.wsl else "",
        "toft_auto": "" if machine.auto else "false",
    }
    said = [f"  {name}: {value}" for name, value in variables.items() if value]
    return [*(f"# {comment}" for comment in comments), f"{_word(machine.name)}:", *said]


def _groups(machines: list[Machine]) -> dict[str, list[str]]:
    """Only groups that have somebody in them, in a fixed order."""
    groups: dict[str, list[str]] = {"local": [machine.name for machine in machines if machine.local]}
    for system, group in SYSTEM_GROUPS.items():
        groups[group] = [machine.name for machine in machines if machine.system == system]
    for role in ROLES:
        groups[role] = [machine.name for machine in machines if role in machine.roles]
    return {group: members for group, members in groups.items() if members}


def _word(value: str) -> str:
    """A YAML scalar that reads back as this text: `on`, `1e3` and `12` need quotes. Nothing stays nothing."""
    if not value:
        return ""
    plain = value.isascii() and value[:1].isalpha() and ": " not in value and yaml.safe_load(value) == value
    return value if plain else json.dumps(value)
