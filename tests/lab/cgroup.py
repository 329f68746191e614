"""One host's control group: end everything in it, freeze it, slow it down, bound its memory.

cgroup v2 gives the kill and the freezer. A limit goes to v2 as well, unless its controller is bound to a v1
hierarchy (the hybrid layout): then the host's processes are moved into a v1 directory made for that limit,
below the one that they are in, so that whoever accounts for them there still does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PERIOD_US = 100_000
LIMITED = ("cpu", "memory")


def unified_root() -> Path | None:
    """Where cgroup v2 is mounted."""
    return _mount_point("cgroup2", None)


def _mount_point(kind: str, option: str | None) -> Path | None:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, fstype, options = line.split()[:4]
        if fstype == kind and (option is None or option in options.split(",")):
            return Path(target)
    return None


@dataclass(frozen=True)
class Cgroup:
    """A control group by its path below the root of cgroup v2, e.g. `toft-lab-ab12/n1`."""

    path: str

    @property
    def directory(self) -> Path:
        root = unified_root()
        if root is None:
            raise FileNotFoundError("cgroup v2 is not mounted")
        return root / self.path

    def exists(self) -> bool:
        return self.directory.exists()

    def create(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for parent in [self.directory, *self.directory.parents][: self.path.count("/") + 2]:
            for controller in ("cpu", "memory", "pids"):
                # One that a v1 hierarchy holds cannot be enabled here.
                with suppress(OSError):
                    (parent / "cgroup.subtree_control").write_text(f"+{controller}")

    def join_script(self, leaf: str) -> str:
        """Shell words by which a process moves itself, and what it will start, to a leaf of this group."""
        leaf_directory = self.directory / leaf
        leaf_directory.mkdir(exist_ok=True)
        limits = [found for name in LIMITED for found in self._legacy_directories(name)]
        return "".join(f"echo $$ > {found}/cgroup.procs; " for found in [leaf_directory, *limits])

    def processes(self) -> Iterator[int]:
        for directory in _below(self.directory):
            with suppress(OSError):
                yield from map(int, (directory / "cgroup.procs").read_text().split())

    def kill(self, timeout: float = 20) -> None:
        """SIGKILL to everything at once, and wait until the last of it is gone."""
        if self.exists():
            (self.directory / "cgroup.kill").write_text("1")
            self._await_event("populated", "0", timeout)

    def freeze(self, frozen: bool, timeout: float = 10) -> None:
        wanted = "1" if frozen else "0"
        (self.directory / "cgroup.freeze").write_text(wanted)
        self._await_event("frozen", wanted, timeout)

    def populated(self) -> bool:
        """Something runs in here."""
        with suppress(FileNotFoundError):
            return dict(_pairs(self.directory / "cgroup.events")).get("populated") == "1"
        return False

    def await_end(self, timeout: float) -> None:
        """Wait until nothing runs in here any more."""
        self._await_event("populated", "0", timeout)

    def _await_event(self, name: str, value: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while dict(_pairs(self.directory / "cgroup.events")).get(name) != value:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.path}: {name} is not {value} after {timeout} s")
            time.sleep(0.002)

    def limit_cpu(self, cpus: float | None) -> None:
        """At most so many CPUs' worth of time; None for no limit."""
        quota = None if cpus is None else int(cpus * PERIOD_US)
        if _mount_point("cgroup", "cpu") is None:
            value = "max" if quota is None else str(quota)
            (self.directory / "cpu.max").write_text(f"{value} {PERIOD_US}")
        else:
            self._limit_legacy("cpu", "cpu.cfs_quota_us", quota)

    def limit_memory(self, size: int | None) -> None:
        """At most so many bytes, after which the kernel kills what is largest; None for no limit."""
        if _mount_point("cgroup", "memory") is None:
            (self.directory / "memory.max").write_text("max" if size is None else str(size))
        else:
            self._limit_legacy("memory", "memory.limit_in_bytes", size)

    def _limit_legacy(self, controller: str, file: str, value: int | None) -> None:
        members = list(self.processes())
        if value is None:
            self._lift_legacy(controller)
        elif members:
            own = _legacy_path(members[0], controller)
            directory = own if own.name == self._legacy_name else own / self._legacy_name
            directory.mkdir(exist_ok=True)
            (directory / file).write_text(str(value))
            self._move(directory)

    @property
    def _legacy_name(self) -> str:
        return self.path.replace("/", "-")

    def _move(self, directory: Path) -> None:
        """Everything in here into a v1 directory; again until nothing was forked meanwhile."""
        register = directory / "cgroup.procs"
        while outside := set(self.processes()) - set(map(int, register.read_text().split())):
            for pid in outside:
                with suppress(ProcessLookupError):
                    register.write_text(str(pid))

    def _legacy_directories(self, controller: str) -> list[Path]:
        top = _mount_point("cgroup", controller)
        return [] if top is None else [found for found in _below(top) if found.name == self._legacy_name]

    def _lift_legacy(self, controller: str) -> None:
        for directory in self._legacy_directories(controller):
            while pids := (directory / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    (directory.parent / "cgroup.procs").write_text(pids[0])
            _remove(directory)

    def remove(self) -> None:
        """Take the directories away, the innermost first. Nothing may be running in them.

        On the hybrid layout nspawn makes directories of the same names in the v1 hierarchy called systemd.
        """
        named = _mount_point("cgroup", "name=systemd")
        for top in [self.directory, *([named / self.path] if named else [])]:
            for directory in reversed(list(_below(top))):
                _remove(directory)
        self.lift_limits()

    def lift_limits(self) -> None:
        """Take away the v1 directories that were made for limits."""
        for controller in LIMITED:
            self._lift_legacy(controller)


def _legacy_path(pid: int, controller: str) -> Path:
    """The v1 directory that a process is in."""
    top = _mount_point("cgroup", controller)
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(",") and top is not None:
            return top / path.lstrip("/")
    raise FileNotFoundError(f"process {pid} is in no {controller} group")


def _below(top: Path) -> Iterator[Path]:
    """A directory and all its descendants, parents first; those that vanish meanwhile are left out."""
    for directory, children, _ in os.walk(top):
        children.sort()
        yield Path(directory)


def _remove(directory: Path, timeout: float = 5) -> None:
    """A killed process can hold its group for a moment yet, and one may have joined since the kill."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return directory.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            with suppress(OSError):
                (directory / "cgroup.kill").write_text("1")
            time.sleep(0.005)


def _pairs(file: Path) -> Iterator[tuple[str, str]]:
    for line in file.read_text().splitlines():
        key, _, value = line.partition(" ")
        yield key, value
