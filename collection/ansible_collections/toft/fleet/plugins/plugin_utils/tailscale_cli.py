# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Asking this machine's Tailscale for its status: find the program, run it, give its text."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping

from ansible_collections.toft.fleet.plugins.plugin_utils.tailnet_status import BadStatus

PROGRAMS = (
    "tailscale",
    # The app of the App Store puts nothing on the PATH.
    "/Applications/Tailscale.app/Contents/MacOS/Tailscale",
    # Homebrew's directory is not on the PATH of a process that no login shell started.
    "/opt/homebrew/bin/tailscale",
    "/usr/local/bin/tailscale",
    # Windows' own, seen from WSL.
    "tailscale.exe",
)
INSTALL = "install Tailscale (https://tailscale.com/download), then: tailscale up"


def find(command: str | None, path: str) -> str | None:
    """The program to run: the one that was given, or the first of PROGRAMS that is there."""
    for name in (command,) if command else PROGRAMS:
        found = shutil.which(os.path.expanduser(name), path=path)
        if found:
            return found
    return None


def status(command: str | None, env: Mapping[str, str], timeout: float) -> str:
    """The text of `tailscale status --json`; at most `timeout` seconds. Raises BadStatus."""
    program = find(command, env.get("PATH", os.defpath))
    if program is None:
        raise BadStatus(f"the program {command or 'tailscale'} was not found", INSTALL)
    try:
        # TAILSCALE_BE_CLI: without it the app of macOS may open its window when no terminal started it.
        done = subprocess.run(
            [program, "status", "--json"],
            env={**env, "TAILSCALE_BE_CLI": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BadStatus(f"{program} gave no answer within {timeout:g} s", "tailscale status") from error
    except OSError as error:
        raise BadStatus(f"{program} cannot be run: {error.strerror}", INSTALL) from error
    if done.returncode != 0 and not done.stdout.strip():
        raise BadStatus(_said(done.stderr) or f"{program} ended with {done.returncode}", "tailscale up")
    return done.stdout.decode("utf-8", "replace")


def _said(stderr: bytes) -> str:
    """The first line of its complaint, fit for a message."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return "".join(c for c in lines[0] if c.isprintable())[:200] if lines else ""
