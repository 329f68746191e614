"""Where control sockets are kept, and under which names."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils import control_sockets
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

pytestmark = pytest.mark.usefixtures("no_new_descriptors")


def test_other_options_never_share_a_master(runtime: Path, shared_sshd: Any) -> None:
    known = shared_sshd.keys.home / "known"
    paths = {
        control_sockets.socket_path(shared_sshd.transport(**more))
        for more in (
            {},
            {"ansible_user": "root"},
            {"ansible_port": 22},
            {"ansible_host": "localhost"},
            {"args": f"-o UserKnownHostsFile={known}"},
        )
    }
    assert len(paths) == 5


def test_an_edited_configuration_gets_a_new_connection(runtime: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host a\n HostName 10.0.0.1\n")
    there = Transport(node="a", kind="ssh", destination="a", options=("-F", str(config)))
    before = control_sockets.socket_path(there)
    config.write_text("Host a\n HostName 10.0.0.22\n")
    assert control_sockets.socket_path(there) != before


def test_places_for_sockets(runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert control_sockets.directory() == runtime / "toft"
    (runtime / "toft").chmod(0o755)
    assert control_sockets.directory() == runtime / "toft"
    assert (runtime / "toft").stat().st_mode & 0o777 == 0o700
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="toft-home-") as home:
        monkeypatch.setenv("HOME", home)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        for unfit in (str(tmp_path / ("x" * 90)), "/nowhere/at/all", "relative", f"{runtime}/%h", ""):
            monkeypatch.setenv("XDG_RUNTIME_DIR", unfit)
            assert control_sockets.directory() == Path(home, ".cache/toft-ssh")
        monkeypatch.setenv("HOME", "/nonexistent")
        found = control_sockets.directory()
        assert found == Path(f"/tmp/toft-{os.getuid()}")
        with contextlib.suppress(OSError):  # somebody's own masters may be in it
            found.rmdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
