# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which machine this is: the same id that a probe would find here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def machine_id() -> str | None:
    """/etc/machine-id, or macOS's IOPlatformUUID; None where there is none."""
    if sys.platform == "darwin":
        argv = ["/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice"]
        told = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
        found = re.search(r'"IOPlatformUUID" = "([^"]+)"', told)
        return found[1] if found else None
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None
