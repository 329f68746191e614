"""Real Tailscale for hosts of the lab, and a control server for it: built from one pinned Go module, kept in the cache.

`python -m tests.tailnet.programs` builds what is missing (minutes, once) and prints the directory:
control, tailscale.tgz (as the vendor packs it) and tailscale.tgz.sha256.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.lab.rootfs import locked

SOURCES = Path(__file__).parent
BUILT = {"control": ".", "tailscale": "tailscale.com/cmd/tailscale", "tailscaled": "tailscale.com/cmd/tailscaled"}
GO = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -trimpath"}


def directory() -> Path:
    """Where the programs of the present pins are, or will be."""
    files = [*sorted(SOURCES.glob("*.go")), SOURCES / "go.mod", SOURCES / "go.sum"]
    pins = b"".join(file.read_bytes() for file in files)
    parent = Path(os.environ.get("TOFT_TAILNET_CACHE", "/var/cache"))
    return parent / f"toft-tailnet-{hashlib.sha256(pins).hexdigest()[:12]}"


def programs() -> Path:
    target = directory()
    if target.is_dir():
        return target
    if shutil.which("go") is None:
        raise SystemExit("the tailnet's programs are built with Go 1.26 or newer, and there is no `go` on the PATH")
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.with_suffix(".lock")):
        if not target.is_dir():
            _build(target)
    return target


def _build(target: Path) -> None:
    building = target.with_name(f"{target.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    for name, package in BUILT.items():
        argv = ["go", "build", "-p", "2", "-ldflags=-s -w", "-o", str(building / name), package]
        subprocess.run(argv, cwd=SOURCES, env=os.environ | GO, check=True, timeout=3000)
    _pack(building)
    building.rename(target)


def _pack(place: Path) -> None:
    archive = place / "tailscale.tgz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for name in ("tailscale", "tailscaled"):
            tar.add(place / name, f"tailscale_lab/{name}")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    (place / "tailscale.tgz.sha256").write_text(f"sha256:{digest}\n")


if __name__ == "__main__":
    print(programs())
