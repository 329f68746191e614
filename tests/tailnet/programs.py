"""Real Tailscale for hosts of the lab, and a headscale for it: built from one pinned Go module, kept in the cache.

`python -m tests.tailnet.programs` builds what is missing (minutes, once) and prints the directory:
headscale, tailscale.tgz (as the vendor packs it) and tailscale.tgz.sha256.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

from tests.go_module import GoModule, write_checksum


def programs() -> Path:
    commands = {name: f"tailscale.com/cmd/{name}" for name in ("tailscale", "tailscaled")}
    commands["headscale"] = "github.com/juanfont/headscale/cmd/headscale"
    return GoModule("tailnet", Path(__file__).parent, commands, _pack).built()


def _pack(place: Path) -> None:
    archive = place / "tailscale.tgz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name in ("tailscale", "tailscaled"):
            tar.add(place / name, f"tailscale_lab/{name}")
    write_checksum(archive)


if __name__ == "__main__":
    print(programs())
