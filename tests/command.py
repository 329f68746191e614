"""The command `toft` for tests: run as a person runs it, with configuration and records of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

TOFT = str(Path(sys.executable).with_name("toft"))


@dataclass
class Toft:
    """`home` holds configuration, state and cache; `inventory` is passed with -i when there is one."""

    home: Path
    inventory: Path | None = None
    env: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    runtime: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="toft-")))
    """Where its SSH masters have their sockets: short, as those must be, and of this test alone."""
    warm: Path | None = None
    """Where the warm engine that it goes through has its socket, and its masters theirs; none, it starts cold."""

    def argv(self, *words: str) -> list[str]:
        return [TOFT, *(["-i", str(self.inventory)] if self.inventory else []), *words]

    @property
    def outside(self) -> Path:
        """A directory that is in no working tree, so that nothing is synced."""
        self.home.mkdir(parents=True, exist_ok=True)
        return self.home

    @property
    def environment(self) -> dict[str, str]:
        mine = {k: v for k, v in os.environ.items() if not k.startswith(("TOFT_", "ANSIBLE_", "XDG_"))}
        here = {f"XDG_{kind}_HOME": str(self.home / kind.lower()) for kind in ("CONFIG", "STATE", "CACHE")}
        start = {"XDG_RUNTIME_DIR": str(self.warm or self.runtime), "TOFT_WARM": "1" if self.warm else "0"}
        return mine | here | start | self.env

    def __call__(
        self, *words: str, given: bytes | None = None, timeout: float = 120, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        source: dict[str, Any] = {"stdin": subprocess.DEVNULL} if given is None else {"input": given}
        return subprocess.run(
            self.argv(*words),
            capture_output=True,
            env=self.environment,
            timeout=timeout,
            cwd=cwd or self.outside,
            check=False,
            **source,
        )

    def begin(self, *words: str, **settings: Any) -> subprocess.Popen[bytes]:
        """Start it and go on; whatever is still running at the end of the test is killed."""
        usual: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        settings = usual | {"cwd": self.outside} | settings
        process = subprocess.Popen(self.argv(*words), env=self.environment, start_new_session=True, **settings)
        self.started.append(process)
        return process

    def json(self, *words: str, **settings: Any) -> Any:
        done = self("--json", *words, **settings)
        try:
            return json.loads(done.stdout)
        except ValueError:
            pytest.fail(f"no JSON from {words}: {done.stdout[:300]!r} {done.stderr[-2000:].decode()}")

    def jobs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.json("jobs", "--all")["jobs"]
        return found

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
            process.wait()
        script = "from ansible_collections.toft.fleet.plugins.plugin_utils import masters; masters.close_all()"
        subprocess.run([sys.executable, "-c", script], env=self.environment, check=True)
        shutil.rmtree(self.runtime)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A warm engine that runs for the tests of this process."""
    command = Toft(tmp_path_factory.mktemp("engine"))
    command.warm = command.runtime
    command("route", "--declared", "true")
    until(lambda: command("engine", "status").returncode == 0, what="the engine")
    pid = command.json("engine", "status")["engine"]["pid"]
    yield command.runtime
    command("engine", "stop")
    until(lambda: not Path(f"/proc/{pid}").exists(), what="the engine's end")
    command.end()


@pytest.fixture
def toft(tmp_path: Path) -> Iterator[Toft]:
    """toft without an inventory: this machine is the fleet."""
    command = Toft(tmp_path / "home")
    yield command
    command.end()


@pytest.fixture
def lab_toft(request: pytest.FixtureRequest, tmp_path: Path, lab: Any) -> Iterator[Toft]:
    """toft with the lab's inventory, through the warm engine as anybody has it; TOFT_TESTS=cold does without."""
    command = Toft(tmp_path / "home", lab.inventory)
    if os.environ.get("TOFT_TESTS") != "cold":
        command.warm = request.getfixturevalue("engine")
    yield command
    command.end()


@pytest.fixture
def cold_lab_toft(lab_toft: Toft) -> Toft:
    """The same without the warm engine: all that it uses is in its own session."""
    lab_toft.warm = None
    return lab_toft


def until(ask: Callable[[], Any], *, within: float = 30, every: float = 0.05, what: str = "it") -> Any:
    """The first true answer; a test that waits for nothing in particular is a test that fails."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(every)
    pytest.fail(f"{what} did not happen within {within:g} s")
