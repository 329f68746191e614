"""Go programs that hosts of the lab run: built from one pinned module, kept in the cache of this machine.

A module is a directory with go.mod and go.sum (the pins) and perhaps sources of its own. What is built has a name made
from all of these, so that other pins are built anew and the same ones never again. A build happens in a directory that
is renamed when it is complete, under a lock: two processes build once, and nobody sees half of one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.lab.rootfs import locked

GO = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -trimpath"}

INSTALLED = "/usr/local/go/bin"
"""Where Go's own archive is unpacked; a shell of a service has no PATH to it."""


def nothing_more(_: Path) -> None:
    """What is built needs no finish."""


@dataclass(frozen=True)
class GoModule:
    """`programs` are packages by the name that the program gets; `finish` has the last touch on the directory."""

    name: str
    sources: Path
    programs: Mapping[str, str]
    finish: Callable[[Path], None] = nothing_more

    def directory(self) -> Path:
        """Where the programs of the present pins are, or will be."""
        files = [self.sources / "go.mod", self.sources / "go.sum", *sorted(self.sources.glob("*.go"))]
        pins = b"".join(file.read_bytes() for file in files)
        parent = Path(os.environ.get("TOFT_GO_CACHE", "/var/cache"))
        return parent / f"toft-{self.name}-{hashlib.sha256(pins).hexdigest()[:12]}"

    def built(self) -> Path:
        """The directory of the programs, built now if they are not there yet (minutes)."""
        target = self.directory()
        if target.is_dir():
            return target
        go = shutil.which("go", path=f"{os.environ['PATH']}:{INSTALLED}")
        if go is None:
            raise SystemExit(f"{self.name} is built with Go 1.26 or newer: no `go` on the PATH or in {INSTALLED}")
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target.with_suffix(".lock")):
            if not target.is_dir():
                self._build(target, go)
        return target

    def _build(self, target: Path, go: str) -> None:
        building = target.with_name(f"{target.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir()
        for name, package in self.programs.items():
            argv = [go, "build", "-p", "2", "-ldflags=-s -w", "-o", str(building / name), package]
            subprocess.run(argv, cwd=self.sources, env=os.environ | GO, check=True, timeout=3000)
        self.finish(building)
        building.rename(target)


def write_checksum(file: Path) -> None:
    """Beside it, as NAME.sha256, in the form that Ansible takes."""
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    file.with_name(f"{file.name}.sha256").write_text(f"sha256:{digest}\n")
