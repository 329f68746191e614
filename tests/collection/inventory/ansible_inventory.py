"""Runs ansible-inventory over one configuration file, with nothing of the user's own around it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
RECORDED = ROOT / "tests" / "cases" / "tailscale-status.json"


@dataclass(frozen=True)
class Listed:
    hosts: dict[str, dict[str, Any]]
    groups: dict[str, list[str]]
    said: str


def listed(file: Path, text: str, env: dict[str, str] | None = None) -> Listed:
    """`text` becomes `file`, in whose directory home is too. `--export` would hide what is not trusted."""
    file.write_text(text)
    path = f"{file.parent}/bin{os.pathsep}{os.environ['PATH']}"
    clean = {
        "PATH": path,
        "HOME": str(file.parent),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "10000",
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collection"),
        "ANSIBLE_INVENTORY_ENABLED": "auto",
    }
    command = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(file), "--list"]
    done = subprocess.run(command, capture_output=True, text=True, env={**clean, **(env or {})})
    data = json.loads(done.stdout)
    hosts = data.pop("_meta")["hostvars"]
    groups = {name: sorted(group["hosts"]) for name, group in data.items() if group.get("hosts")}
    return Listed({name: plain(variables) for name, variables in hosts.items()}, groups, done.stderr)


def plain(value: Any) -> Any:
    """Without the mark that a value is no template."""
    if isinstance(value, dict):
        unsafe = value.get("__ansible_unsafe")
        return unsafe if unsafe is not None else {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def fake_tailscale(directory: Path, script: str) -> Path:
    """A program `tailscale` on the PATH of `listed`."""
    program = directory / "bin" / "tailscale"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def examples(plugin: str) -> list[str]:
    """The EXAMPLES of a plugin, one configuration each."""
    source = ROOT / "collection" / "ansible_collections" / "toft" / "fleet" / "plugins" / "inventory" / f"{plugin}.py"
    text = source.read_text().split('EXAMPLES = r"""\n')[1].split('"""')[0]
    return text.split("\n---\n")
