"""Masters: kept, shared, replaced when they or their hosts are gone, and refused where they must be."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils import channel, control_sockets, exchange, masters, mux
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.channel import Channel
from ansible_collections.toft.fleet.plugins.plugin_utils.exchange import Completed
from ansible_collections.toft.fleet.plugins.plugin_utils.fanout import run_all
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

pytestmark = pytest.mark.usefixtures("no_new_descriptors")


def soon(seconds: float = 10.0) -> float:
    return time.monotonic() + seconds


def opened(transport: Transport, seconds: float = 10.0) -> Path:
    path = masters.ensure(transport, soon(seconds))
    assert isinstance(path, Path), path
    return path


def failed(transport: Transport, seconds: float = 10.0) -> Cause:
    result = masters.ensure(transport, soon(seconds))
    assert isinstance(result, Cause), result
    return result


def pid_of(path: Path) -> int:
    pid = mux.check(path, soon())
    assert isinstance(pid, int), pid
    return pid


def runs(transport: Transport, seconds: float = 10.0) -> bool:
    return exchange.run(transport, "echo here", deadline=soon(seconds)) == Completed(b"here\n", b"", 0)


@pytest.fixture
def paused() -> Iterator[Callable[[list[int]], None]]:
    """Stops processes; they go on at the end."""
    stopped: list[int] = []

    def stop(pids: list[int]) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)

    yield stop
    for pid in stopped:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            continue


def test_one_master_for_one_way(runtime: Path, shared_sshd: Any) -> None:
    transport = shared_sshd.transport()
    path = opened(transport)
    assert path.parent == runtime / "toft"
    assert path.parent.stat().st_mode & 0o777 == 0o700
    pid = pid_of(path)
    assert opened(transport) == path
    assert runs(transport)
    assert pid_of(path) == pid
    assert os.getsid(pid) != os.getsid(0)
    assert os.readlink(f"/proc/{pid}/cwd") == "/"


def test_close(runtime: Path, shared_sshd: Any, eventually: Callable[..., None]) -> None:
    one, two = shared_sshd.transport(), shared_sshd.transport(ansible_user="root")
    paths = [opened(one), opened(two)]
    assert masters.close(one)
    assert not masters.close(one)
    assert isinstance(mux.check(paths[0], soon()), mux.Failure)
    assert pid_of(paths[1])
    assert masters.close_all() == 1
    assert list((runtime / "toft").iterdir()) == []
    eventually(lambda: not shared_sshd.sessions(), "the connections end")


RACER = """
import json, sys, time
from ansible_collections.toft.fleet.plugins.plugin_utils import exchange, masters, mux
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport
transport = Transport.from_dict(json.loads(sys.argv[1]))
sys.stdin.readline()
path = masters.ensure(transport, time.monotonic() + 10)
result = exchange.run(transport, "echo here", deadline=time.monotonic() + 10)
print(mux.check(path, time.monotonic() + 1), result.stdout)
"""


def test_processes_that_race_share_one_master(runtime: Path, shared_sshd: Any) -> None:
    told = json.dumps(shared_sshd.transport().to_dict())
    racers = [
        subprocess.Popen([sys.executable, "-c", RACER, told], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = {racer.communicate(timeout=20)[0] for racer in racers}
    assert len(answers) == 1, answers
    assert answers.pop().endswith("b'here\\n'\n")


def test_threads_that_race_share_one_master(runtime: Path, shared_sshd: Any, eventually: Callable[..., None]) -> None:
    transport = shared_sshd.transport()
    outcomes = run_all(range(8), lambda i, deadline: masters.ensure(transport, deadline), deadline_each=10)
    assert {outcome.value for outcome in outcomes} == {control_sockets.socket_path(transport)}
    eventually(lambda: len(shared_sshd.sessions()) == 1, "the connections of other tests have ended, and one is there")


def test_a_killed_master_is_replaced(runtime: Path, shared_sshd: Any) -> None:
    transport = shared_sshd.transport()
    path = opened(transport)
    before = pid_of(path)
    os.kill(before, signal.SIGKILL)
    assert path.exists()
    assert runs(transport)
    assert pid_of(path) != before


def test_a_stale_socket_is_removed_by_ensure(runtime: Path, shared_sshd: Any) -> None:
    transport = shared_sshd.transport()
    path = control_sockets.socket_path(transport)
    assert isinstance(path, Path)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert pid_of(opened(transport))


def test_a_master_that_hangs_is_replaced(
    runtime: Path, shared_sshd: Any, paused: Callable[[list[int]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "SESSION", 1.0)
    transport = shared_sshd.transport()
    stopped = pid_of(opened(transport))
    paused([stopped])
    begun = time.monotonic()
    assert runs(transport)
    assert time.monotonic() - begun < 6
    os.kill(stopped, signal.SIGKILL)


def test_a_caller_in_a_hurry_does_not_cost_the_others_their_master(
    runtime: Path, start_sshd: Callable[..., Any], paused: Callable[[list[int]], None]
) -> None:
    sshd = start_sshd()
    transport = sshd.transport()
    path = opened(transport)
    before, frozen = pid_of(path), sshd.sessions()
    paused(frozen)
    cause = exchange.run(transport, "true", deadline=soon(0.2))
    assert isinstance(cause, Cause)
    assert cause.code == "timeout"
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    assert runs(transport)
    assert pid_of(path) == before


def test_a_session_lost_with_its_master(runtime: Path, shared_sshd: Any) -> None:
    transport = shared_sshd.transport()
    with started(transport, "echo begun; cat") as session:
        assert session.kind == "mux"
        assert os.read(session.stdout, 100) == b"begun\n"
        os.kill(pid_of(opened(transport)), signal.SIGKILL)
        assert session.wait(soon()) == 255
        lost = session.failure(255, b"")
        assert lost is not None
        assert lost.code == "connection_lost"


def started(transport: Transport, command: str) -> Channel:
    session = channel.open(transport, command, deadline=soon())
    assert isinstance(session, Channel), session
    return session


def test_a_connection_frozen_behind_its_master(
    runtime: Path, start_sshd: Callable[..., Any], paused: Callable[[list[int]], None]
) -> None:
    """What a host that woke up or lost its state looks like: the old connection is dead, a new one works."""
    sshd = start_sshd()
    transport = sshd.transport()
    opened(transport)
    paused(sshd.sessions())
    begun = time.monotonic()
    assert runs(transport)
    assert time.monotonic() - begun < 8


def test_a_frozen_host_fails_in_time(
    runtime: Path, start_sshd: Callable[..., Any], paused: Callable[[list[int]], None]
) -> None:
    asked, followed = start_sshd(), start_sshd()
    transport = asked.transport()
    opened(transport)
    with started(followed.transport(), "echo begun; cat") as session:
        assert os.read(session.stdout, 100) == b"begun\n"
        for sshd in (asked, followed):
            paused([sshd.process.pid, *sshd.sessions()])
        works: list[Callable[[], Any]] = [
            lambda: exchange.run(transport, "true", deadline=soon(3.5)),
            lambda: session.wait(soon()),
        ]
        new, running = run_all(works, lambda work, deadline: work(), deadline_each=12)
    assert new.cause is not None
    assert new.cause.code == "timeout"
    assert new.seconds < 5
    # Nobody asks about a session that runs: ssh's keepalive ends it.
    assert running.value == 255
    assert running.seconds < 9


def test_a_restarted_host(runtime: Path, start_sshd: Callable[..., Any]) -> None:
    sshd = start_sshd()
    transport = sshd.transport()
    assert runs(transport)
    sshd.stop()
    again = start_sshd(port=sshd.port)
    begun = time.monotonic()
    assert runs(transport)
    assert time.monotonic() - begun < 10
    again.stop()
    cause = exchange.run(transport, "true", deadline=soon())
    assert isinstance(cause, Cause)
    assert cause.code == "refused"


def test_failures_are_named(runtime: Path, shared_sshd: Any, start_sshd: Callable[..., Any]) -> None:
    known = f"-o UserKnownHostsFile={shared_sshd.keys.home}/known"
    changed = start_sshd(host_key="changed")
    assert failed(changed.transport()).code == "host_key_changed"
    assert f"'[127.0.0.1]:{changed.port}'" in failed(changed.transport()).fix
    assert failed(shared_sshd.transport(args="-o UserKnownHostsFile=/dev/null")).code == "host_key_unknown"
    stranger = f"-F /dev/null {known} -o IdentityAgent=none -i {shared_sshd.keys.home}/stranger"
    assert failed(shared_sshd.transport(args=stranger)).code == "auth"
    assert failed(shared_sshd.transport(ansible_port=changed.port + 1)).code in ("refused", "connection_lost")
    assert failed(shared_sshd.transport(ansible_host="no-such-host.invalid")).code == "dns"
    assert "nonsense" in failed(shared_sshd.transport(args="-o Nonsense=1")).message
    assert [path for path in (runtime / "toft").iterdir() if path.suffix != ".lock"] == []


def test_a_destination_is_never_an_option(runtime: Path, tmp_path: Path) -> None:
    """Names like this are refused by from_vars; `--` holds should one come another way."""
    canary = tmp_path / "canary"
    hostile = Transport(node="x", kind="ssh", destination=f"-oProxyCommand=touch {canary}")
    failed(hostile)
    plain = channel.open_plain(hostile, "true", deadline=soon())
    assert isinstance(plain, Channel)
    with plain:
        assert plain.wait(soon()) == 255
    assert not canary.exists()


def test_a_terminal_on_the_node(runtime: Path, shared_sshd: Any) -> None:
    transport = shared_sshd.transport()
    for way in (channel.open, channel.open_plain):
        session = way(transport, "test -t 0 && echo $TERM", deadline=soon(), tty="toft-term")
        assert isinstance(session, Channel), session
        with session:
            assert os.read(session.stdout, 100).strip() == b"toft-term"
            assert session.wait(soon()) == 0


def test_a_listener_that_says_nothing(runtime: Path, shared_sshd: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        cause = failed(shared_sshd.transport(ansible_port=silent.getsockname()[1]), 0.7)
        assert cause.code == "timeout"
        assert time.monotonic() - begun < 10


def test_more_sessions_than_the_node_allows_take_connections_of_their_own(
    runtime: Path, start_sshd: Callable[..., Any]
) -> None:
    transport = start_sshd("MaxSessions 2").transport()
    sessions = [started(transport, f"read x; exit {i}") for i in range(4)]
    assert [session.kind for session in sessions] == ["mux", "mux", "ssh", "ssh"]
    for session in sessions:
        os.write(session.stdin, b"\n")
    assert [session.wait(soon()) for session in sessions] == [0, 1, 2, 3]
    for session in sessions:
        session.close()


def test_through_a_jump_host_that_drops_the_crowd(runtime: Path, start_sshd: Callable[..., Any]) -> None:
    behind, jump = start_sshd("MaxStartups 100"), start_sshd("MaxStartups 7:100:7")
    args = f"-o ProxyJump=127.0.0.1:{jump.port} -o ConnectionAttempts="
    nodes = [behind.transport(args=f"{args}{i}") for i in range(1, 13)]
    outcomes = run_all(nodes, lambda node, deadline: runs(node, 10), deadline_each=12)
    assert [outcome.value for outcome in outcomes] == [True] * 12
    for node in nodes:
        masters.close(node)
    jump.stop()
    cause = failed(behind.transport(args=f"{args}99"))
    assert cause.code == "refused"
    assert f"127.0.0.1 port {jump.port}" in cause.message


def test_a_jump_host_in_the_configuration_counts(shared_sshd: Any, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host a\n ProxyJump gate\nHost b\n HostName 127.0.0.1\n")
    there = Transport(node="a", kind="ssh", destination="a", options=("-F", str(config)))
    assert masters._jump(there, soon()) == "gate"
    other = Transport(node="b", kind="ssh", destination="b", options=("-F", str(config)))
    assert masters._jump(other, soon()) == ""


def test_dropped_once_is_tried_again(runtime: Path, shared_sshd: Any) -> None:
    """sshd's MaxStartups drops connections at random."""
    returned = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as door:

        def ensure() -> str:
            try:
                return failed(shared_sshd.transport(ansible_port=door.getsockname()[1])).code
            finally:
                returned.set()

        works: list[Callable[[], Any]] = [ensure, lambda: knock(door, returned)]
        outcomes = run_all(works, lambda work, deadline: work(), deadline_each=15)
    assert [outcome.value for outcome in outcomes] == ["connection_lost", 2]


def knock(door: socket.socket, enough: threading.Event) -> int:
    """Drops everyone who comes until it is enough; how many came."""
    door.settimeout(0.1)
    came = 0
    while not enough.is_set():
        with contextlib.suppress(TimeoutError):
            door.accept()[0].close()
            came += 1
    return came


def test_a_squatted_directory_is_refused(
    runtime: Path, shared_sshd: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = shared_sshd.transport()
    place = runtime / "toft"
    for squat in ("link", "open to all", "another's"):
        if squat == "link":
            place.symlink_to(tmp_path)
        else:
            place.mkdir()
            place.chmod(0o777 if squat == "open to all" else 0o700)
            os.chown(place, 0 if squat == "open to all" else 65534, -1)
        cause = failed(transport)
        assert cause.code == "no_control_socket"
        assert str(place) in cause.message
        # The node itself is fine, so a command takes a connection of its own.
        assert runs(transport)
        place.unlink() if place.is_symlink() else place.rmdir()


def test_a_full_disk_costs_the_master_and_not_the_command(
    runtime: Path, shared_sshd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(control_sockets, "_try_lock", full)
        assert failed(shared_sshd.transport()).code == "no_control_socket"
        assert runs(shared_sshd.transport())


def test_a_noisy_node(runtime: Path, start_sshd: Callable[..., Any], tmp_path: Path) -> None:
    banner = tmp_path / "banner"
    banner.write_text("AUTHORIZED USE ONLY\n" * 50)
    noisy = """echo motd; echo complaint >&2; exec /bin/sh -c "$SSH_ORIGINAL_COMMAND" """
    transport = start_sshd(f"Banner {banner}", f"ForceCommand {noisy}").transport()
    data = bytes(range(256)) * 100
    for way in (channel.open, channel.open_plain):
        session = way(transport, "cat", deadline=soon())
        assert isinstance(session, Channel), session
        with session:
            result = exchange.exchange(transport, session, data, deadline=soon())
        assert result == Completed(b"motd\n" + data, b"complaint\n", 0)


def test_descriptors_stay_flat_over_many_runs(runtime: Path, shared_sshd: Any) -> None:
    transport = shared_sshd.transport()
    assert runs(transport)
    before = len(os.listdir("/proc/self/fd"))
    outcomes = run_all(range(16), lambda i, deadline: runs(transport), deadline_each=10, limit=4)
    assert all(outcome.value for outcome in outcomes)
    assert len(os.listdir("/proc/self/fd")) == before


def test_figures(runtime: Path, shared_sshd: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, not asserted."""
    transport = shared_sshd.transport()
    path = opened(transport)
    argv = ["ssh", "-S", str(path), *transport.options, "-T", "--", transport.destination, "true"]
    ways: dict[str, Callable[[], Any]] = {
        "mux, our client": lambda: exchange.run(transport, "true", deadline=soon()),
        "mux, ssh -S": lambda: subprocess.run(argv, stdin=subprocess.DEVNULL, check=True),
    }
    lines = []
    for name, way in ways.items():
        times = []
        for _ in range(10):
            begun = time.monotonic()
            way()
            times.append(time.monotonic() - begun)
        lines.append(f"{name}: median {sorted(times)[5] * 1000:.1f} ms, least {min(times) * 1000:.1f} ms")
    with capsys.disabled():
        print("", *lines, sep="\n  ")
