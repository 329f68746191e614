"""The Claude Code plugin on this machine: a marketplace directory of our own, and the commands that make it known.

The plugin's files come with the wheel. They are copied, not linked: an environment may be removed or rebuilt,
and the copy's server and hook name this very toft and Python, which need not be on the PATH of Claude Code.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toft.fleet.failures import Failure
from toft.fleet.settings import home_directory

SOURCE = Path(__file__).parents[1] / "plugin"
NAME = "toft"


@dataclass(frozen=True)
class Installation:
    """`commands` are what is typed to Claude Code; `claude` is where it is, None if it is not found."""

    directory: Path
    commands: tuple[tuple[str, ...], ...]
    claude: str | None


def plan(env: Mapping[str, str]) -> Installation:
    directory = data_directory(env) / "claude"
    commands = (
        ("claude", "plugin", "marketplace", "add", str(directory)),
        ("claude", "plugin", "install", f"{NAME}@{NAME}"),
        # Installed before, it is a copy that Claude Code has made; only a new version has it made anew.
        ("claude", "plugin", "update", f"{NAME}@{NAME}"),
    )
    return Installation(directory, commands, shutil.which("claude", path=env.get("PATH")))


def install(installation: Installation, toft: str) -> None:
    """Copies the files and, where Claude Code is found, tells it. Raises Failure."""
    _copy(installation.directory, toft)
    for command in installation.commands if installation.claude else ():
        done = subprocess.run([installation.claude or "", *command[1:]], capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise Failure(f"`{' '.join(command)}` ended with {done.returncode}: {said}", " ".join(command), 1)


def this_toft() -> str:
    """The command that runs now, by its full path."""
    return os.path.abspath(shutil.which(sys.argv[0]) or Path(sys.executable).with_name("toft"))


def data_directory(env: Mapping[str, str]) -> Path:
    """XDG: $XDG_DATA_HOME/toft, else ~/.local/share/toft."""
    given = env.get("XDG_DATA_HOME", "")
    return (Path(given) if given.startswith("/") else home_directory(env) / ".local" / "share") / "toft"


def _copy(directory: Path, toft: str) -> None:
    """Whole or not at all: a session that starts meanwhile finds the old copy or the new one."""
    new = directory.with_name(f"{directory.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        shutil.copytree(SOURCE, new / NAME, ignore=shutil.ignore_patterns("__pycache__"))
        server = {"mcpServers": {NAME: {"command": toft, "args": ["mcp"]}}}
        _write(new / NAME / ".mcp.json", server)
        _write(new / NAME / "hooks" / "hooks.json", _hooks())
        about = _about(new / NAME)
        _write(new / NAME / ".claude-plugin" / "plugin.json", about)
        (new / ".claude-plugin").mkdir()
        _write(new / ".claude-plugin" / "marketplace.json", _marketplace(about))
        shutil.rmtree(directory, ignore_errors=True)
        new.rename(directory)
    except OSError as error:
        raise Failure(f"{directory} cannot be written: {error.strerror}", f"ls -ld {directory.parent}", 1) from error


def _write(file: Path, document: object) -> None:
    file.write_text(json.dumps(document, indent=2) + "\n")


def _hooks() -> object:
    """With this very Python: on a Mac without developer tools, `python3` opens a window that wants to install them."""
    text = (SOURCE / "hooks" / "hooks.json").read_text()
    return json.loads(text.replace("python3 ", json.dumps(f"{shlex.quote(sys.executable)} ")[1:-1]))


def _about(plugin: Path) -> dict[str, str]:
    """Its manifest, with a version that changes with anything in it: another toft, another Python, other words."""
    about: dict[str, str] = json.loads((plugin / ".claude-plugin" / "plugin.json").read_text())
    files = sorted(path for path in plugin.rglob("*") if path.is_file())
    digest = hashlib.sha256(b"\0".join(path.name.encode() + b"\0" + path.read_bytes() for path in files))
    return {**about, "version": f"{about['version']}+{digest.hexdigest()[:8]}"}


def _marketplace(about: dict[str, str]) -> dict[str, object]:
    entry = {"name": NAME, "source": f"./{NAME}", "description": about["description"], "version": about["version"]}
    return {"name": NAME, "owner": about["author"], "description": about["description"], "plugins": [entry]}
