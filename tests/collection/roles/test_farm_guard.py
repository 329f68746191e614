"""What the farm's guard reads of the kernel's tables, and whom it takes for silent. Its work is in the scenario."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROLE = Path(__file__).parents[3] / "collection/ansible_collections/toft/fleet/roles/icecream"

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2805 00000000:0000 0A 00000000:00000000 00:00000000 00000000   105        0 1 1 0 100 0 0 10 0
   1: 0B04D50A:9C4A 0C04D50A:2805 01 00000000:00000000 00:00000000 00000000  1000        0 2 1 0 20 4 30 10 -1
   2: 0B04D50A:9C4B 0B04D50A:223D 01 00000000:00000000 00:00000000 00000000   105        0 3 1 0 20 4 30 10 -1
   3: 0100007F:9C4C 0100007F:2805 01 00000000:00000000 00:00000000 00000000   105        0 4 1 0 20 4 30 10 -1
   4: 0B04D50A:9C4D 0D04D50A:2805 06 00000000:00000000 00:00000000 00000000     0        0 0 3 0
"""
UNIX = """\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 19 /run/icecc/iceccd.socket
0000000000000000: 00000003 00000000 00000000 0001 03 20 /run/other.socket
0000000000000000: 00000003 00000000 00000000 0001 03 21
"""
BUSY = "0000000000000000: 00000003 00000000 00000000 0001 03 22 /var/run/icecc/iceccd.socket\n"


@pytest.fixture(scope="module")
def guard() -> ModuleType:
    loader = SourceFileLoader("toft_farm_guard", str(ROLE / "files/toft_farm_guard.py"))
    module = ModuleType(loader.name)
    wrote = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = wrote
    return module


@pytest.mark.skipif(sys.byteorder != "little", reason="the table was written by a little-endian machine")
def test_connections_that_leave_this_machine(guard: ModuleType) -> None:
    assert list(guard.established(TCP)) == [("10.213.4.12", 10245), ("10.213.4.11", 8765)]


def test_nobody_is_called_while_nothing_is_compiled(guard: ModuleType) -> None:
    assert not guard.compiling(UNIX)
    assert guard.compiling(UNIX + BUSY)


@contextmanager
def daemon(first_words: bytes | None) -> Iterator[tuple[str, int]]:
    """One that says something as soon as it is called, or (None) a kernel that connects for a frozen one."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            wire, _ = server.accept()
            with wire:
                wire.sendall(first_words or b"")

        thread = threading.Thread(target=serve if first_words is not None else lambda: None)
        thread.start()
        yield server.getsockname()
        thread.join()


def test_daemons(guard: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "ANSWER_WITHIN", 10)
    with daemon(b"\x2b\0\0\0") as place:
        assert guard.daemon_answers(place)
    with monkeypatch.context() as patch, daemon(None) as place:
        patch.setattr(guard, "ANSWER_WITHIN", 0.3)
        assert not guard.daemon_answers(place)
    with daemon(b"") as place:
        assert not guard.daemon_answers(place)
    assert not guard.daemon_answers(place), "nobody listens there any more"
