"""A real sshd on loopback with keys and configuration of its own; a runtime directory that must end clean."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils import masters
from ansible_collections.toft.fleet.plugins.plugin_utils.hostvars import from_vars
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

from tests.collection.plugin_utils.mirrors import pair as pair


def wait_until(true: Callable[[], bool], what: str, seconds: float = 5.0) -> None:
    """Waits for something that another process does."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """All living descendants of a process, parents first."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, look = [], [pid]
    while look:
        below = parents.get(look.pop(), [])
        found += below
        look += below
    return found


def processes_naming(text: str) -> list[str]:
    """Command lines of living processes that hold this text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in words:
            found.append(words)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass(frozen=True)
class Keys:
    """Host keys (`host`, `changed`), user keys (`user`, `stranger`) and a client's `config`, in `home`."""

    home: Path

    def know(self, port: int, host_key: str = "host") -> None:
        kind_and_key = " ".join((self.home / f"{host_key}.pub").read_text().split()[:2])
        with (self.home / "known").open("a") as known:
            known.write(f"[127.0.0.1]:{port} {kind_and_key}\n")


@dataclass
class Sshd:
    keys: Keys
    port: int
    process: subprocess.Popen[bytes]

    def hostvars(self, **more: Any) -> dict[str, Any]:
        args = f"-F {self.keys.home}/config {more.pop('args', '')}"
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_ssh_common_args": args,
            **more,
        }

    def transport(self, *, connect_timeout: float = 5.0, **more: Any) -> Transport:
        transport = from_vars("node", self.hostvars(**more), connect_timeout=connect_timeout)
        assert isinstance(transport, Transport)
        return transport

    def sessions(self) -> list[int]:
        return children(self.process.pid)

    def stop(self) -> None:
        for pid in [self.process.pid, *self.sessions()]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


def start(keys: Keys, *lines: str, host_key: str = "host", port: int = 0) -> Sshd:
    port = port or free_port()
    config = keys.home / f"sshd-{port}"
    settings = [
        f"ListenAddress 127.0.0.1:{port}",
        f"HostKey {keys.home}/{host_key}",
        f"AuthorizedKeysFile {keys.home}/user.pub",
        "PidFile none",
        "UsePAM no",
        "StrictModes no",
        "PermitRootLogin yes",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "LogLevel ERROR",
        # So that no rc file of this machine's user plays a part.
        f"SetEnv HOME={keys.home}",
    ]
    # sshd takes the first value it meets.
    config.write_text("\n".join([*lines, *settings]) + "\n")
    log = (keys.home / f"log-{port}").open("wb")
    with log:
        process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-e", "-f", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    sshd = Sshd(keys, port, process)
    wait_until(lambda: listens(port), f"sshd listens: {(keys.home / f'log-{port}').read_text()}")
    return sshd


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    return wait_until


@pytest.fixture(scope="session")
def keys() -> Iterator[Keys]:
    home = Path(tempfile.mkdtemp(prefix="toft-keys-"))
    # sshd insists on its privilege separation directory.
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("host", "changed", "user", "stranger"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name)], check=True)
    (home / "known").touch()
    (home / "config").write_text(
        f"Host *\n UserKnownHostsFile {home}/known\n GlobalKnownHostsFile none\n"
        f" IdentityFile {home}/user\n IdentitiesOnly yes\n KexAlgorithms curve25519-sha256\n"
    )
    yield Keys(home)
    shutil.rmtree(home)


@pytest.fixture
def start_sshd(keys: Keys) -> Iterator[Callable[..., Sshd]]:
    """Starts an sshd with extra configuration lines. The key `host` is known for it, whichever it shows."""
    started: list[Sshd] = []

    def begin(*lines: str, host_key: str = "host", port: int = 0) -> Sshd:
        sshd = start(keys, *lines, host_key=host_key, port=port)
        started.append(sshd)
        keys.know(sshd.port)
        return sshd

    yield begin
    for sshd in started:
        sshd.stop()


@pytest.fixture(scope="session")
def shared_sshd(keys: Keys) -> Iterator[Sshd]:
    sshd = start(keys, "MaxStartups 100")
    keys.know(sshd.port)
    yield sshd
    sshd.stop()


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory of this test's own. At its end no master and no socket may be left."""
    directory = Path(tempfile.mkdtemp(prefix="toft-run-", dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    yield directory
    masters.close_all()
    wait_until(lambda: not processes_naming(str(directory)), "the masters are gone")
    assert [path for path in directory.rglob("*") if not path.is_dir()] == []
    shutil.rmtree(directory)


@pytest.fixture
def no_new_descriptors() -> Iterator[None]:
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    assert sorted(os.listdir("/proc/self/fd")) == before
