"""A stand-in for ssh masters and the nodes behind them: one process that listens at every node's control socket.

It speaks OpenSSH's mux protocol as a master does: takes a session with its three descriptors, and writes to them what
a node would have written. A probe is answered with what the probe says on this machine (as another machine), after the
0.2 s for which a probe watches a processor; a job is accepted, has ended, and its one line of output and exit code of
0 go with the answer where the start may wait for that (as a node answers for `uptime`), else to its follower. So no
key exchange, no network and no node takes any time, and everything on toft's side of a control socket is what it
always is.

    python -m tests.bench.standin NODES.json     {name: address}; a line on stdout says that all listen
"""

from __future__ import annotations

import heapq
import json
import os
import re
import selectors
import socket
import struct
import subprocess
import sys
import time
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.toft.fleet.plugins.module_utils import frames
from ansible_collections.toft.fleet.plugins.plugin_utils import control_sockets, mux, probing, program
from ansible_collections.toft.fleet.plugins.plugin_utils.hostvars import from_vars
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

WATCHED_S = 0.2
LINE = b" 10:00:00 up 1 day,  1:00,  0 users,  load average: 0.00, 0.01, 0.05\n"
AT = "2026-01-01T00:00:00.000Z"
ENDED = {"state": "exited", "exit_code": 0, "ended_at": AT, "duration_s": 0.01}


@dataclass(eq=False)
class Session:
    """A client's connection; once it has asked for a session, the descriptors of that and what it was sent."""

    node: str
    wire: socket.socket
    held: bytearray = field(default_factory=bytearray)
    fds: list[int] = field(default_factory=list)
    command: str | None = None
    heard: bytearray = field(default_factory=bytearray)
    decoder: frames.Decoder | None = None


class StandIn:
    def __init__(self, nodes: dict[str, str], probe: bytes) -> None:
        self._probe = probe
        self._selector = selectors.DefaultSelector()
        self._later: list[tuple[float, int, Session]] = []
        for node, address in nodes.items():
            self._listen(node, address)

    def _listen(self, node: str, address: str) -> None:
        transport = from_vars(node, {"ansible_host": address})
        path = control_sockets.socket_path(transport) if isinstance(transport, Transport) else transport
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(64)
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(node, listener))

    def serve(self) -> None:
        while True:
            wait = None if not self._later else max(0.0, self._later[0][0] - time.monotonic())
            for key, _events in self._selector.select(wait):
                key.data()
            while self._later and self._later[0][0] <= time.monotonic():
                session = heapq.heappop(self._later)[2]
                self._finish(session, _as_another(self._probe, session.node))

    def _accept(self, node: str, listener: socket.socket) -> None:
        session = Session(node, listener.accept()[0])
        session.wire.sendall(_packet(mux.HELLO, mux.VERSION))
        self._selector.register(session.wire, selectors.EVENT_READ, lambda: self._hear(session))

    def _hear(self, session: Session) -> None:
        try:
            data, fds, _flags, _address = socket.recv_fds(session.wire, 1 << 16, 3)
        except ConnectionResetError:  # it had what it wanted, and did not read on
            data, fds = b"", []
        session.held += data
        session.fds += fds
        if not data:
            self._drop(session)
            return
        while session.command is None and (packet := _taken(session.held)):
            kind, body = packet
            if kind == mux.C_ALIVE_CHECK:
                session.wire.sendall(_packet(mux.S_ALIVE, _word(body), os.getpid()))
            elif kind == mux.C_NEW_SESSION:
                session.command = _command(body)
        if session.command is not None and len(session.fds) == 3 and session.held:
            session.held.clear()
            session.wire.sendall(_packet(mux.S_SESSION_OPENED, mux.REQUEST, 1))
            answer = self._probed if session.command == probing.COMMAND else self._talked
            self._selector.register(session.fds[0], selectors.EVENT_READ, lambda: answer(session))

    def _probed(self, session: Session) -> None:
        if session.fds and not os.read(session.fds[0], 1 << 16):
            self._selector.unregister(session.fds[0])
            heapq.heappush(self._later, (time.monotonic() + WATCHED_S, id(session), session))

    def _talked(self, session: Session) -> None:
        """As the node program does."""
        if not session.fds:  # it was dropped in this very turn
            return
        data = os.read(session.fds[0], 1 << 20)
        if not data:
            self._finish(session)
            return
        if session.decoder is None:
            session.heard += data
            if (start := _after_bundle(session.heard)) is None:
                return
            os.write(session.fds[1], frames.MARKER)
            session.decoder, data = frames.Decoder(), bytes(session.heard[start:])
        for kind, payload in session.decoder.feed(data):
            if kind == frames.REQUEST:
                os.write(session.fds[1], _answer(json.loads(payload)))

    def _finish(self, session: Session, output: bytes = b"") -> None:
        if not session.fds:
            return
        with suppress(OSError):
            os.write(session.fds[1], output)
        self._close_fds(session)
        with suppress(OSError):
            session.wire.sendall(_packet(mux.S_EXIT_MESSAGE, 1, 0))

    def _drop(self, session: Session) -> None:
        self._selector.unregister(session.wire)
        self._close_fds(session)
        session.wire.close()

    def _close_fds(self, session: Session) -> None:
        for fd in session.fds:
            with suppress(KeyError):
                self._selector.unregister(fd)
            os.close(fd)
        session.fds.clear()


def _packet(kind: int, *words: int) -> bytes:
    return struct.pack(f">{len(words) + 2}I", 4 * (len(words) + 1), kind, *words)


def _taken(held: bytearray) -> tuple[int, bytes] | None:
    if len(held) < 4 or len(held) < 4 + _word(held):
        return None
    packet = bytes(held[4 : 4 + _word(held)])
    del held[: 4 + len(packet)]
    return _word(packet), packet[4:]


def _word(data: bytes | bytearray) -> int:
    return int.from_bytes(data[:4], "big")


def _command(body: bytes) -> str:
    """Of a request for a session: its number, a string, five words, the terminal, the command."""
    rest = body[4:]
    rest = rest[4 + _word(rest) + 20 :]
    rest = rest[4 + _word(rest) :]
    return rest[4 : 4 + _word(rest)].decode()


def _after_bundle(heard: bytearray) -> int | None:
    """Where the first request begins, once all of the program has come."""
    found = re.match(rb"(?s).*?%s\n(\d+)\n" % program.MARKER.encode(), heard)
    end = found.end() + int(found[1]) if found else len(heard) + 1
    return end if end <= len(heard) else None


def _answer(request: dict[str, Any]) -> bytes:
    if request["verb"] == "follow":
        ended = _record(request["id"], **ENDED)
        told = frames.message(frames.ANSWER, {"ok": True, "record": _record(request["id"])})
        return told + frames.frame(frames.STDOUT, LINE) + frames.message(frames.FINAL, ended)
    made: dict[str, Any] = {"records": [_record(each) for each in request.get("ids", ())]}
    if request["verb"] == "start":
        brief = request["job"].get("brief_s")
        record = _record(request["job"]["id"], **(ENDED if brief else {}))
        output = {"stdout": b64encode(LINE).decode(), "stderr": ""} if brief else None
        made = {"record": record, "already": False, "login": None, "output": output}
    return frames.message(frames.ANSWER, {"ok": True, **made})


def _record(job_id: str, **more: Any) -> dict[str, Any]:
    record = {"id": job_id, "state": "running", "exit_code": None, "signal": None, "pid": 7, "cwd": "/home/fleet"}
    sizes = {"stdout_bytes": len(LINE), "stderr_bytes": 0, "cpu_s": 0.001, "max_rss_bytes": 1 << 20, "survivors": []}
    times = {"started_at": AT, "ended_at": None, "duration_s": 0.0}
    return {**record, **sizes, **times, "command": "uptime", "error": None, "boot_id": "b", **more}


def _as_another(probe: bytes, node: str) -> bytes:
    return re.sub(rb"(?<=@machine_id\n).*", node.encode().ljust(32, b"0"), probe)


def main(file: str) -> int:
    nodes = json.loads(Path(file).read_text())
    probe = subprocess.run(["sh", "-s"], input=probing.script([]), capture_output=True, check=True).stdout
    stand_in = StandIn(nodes, probe)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    stand_in.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
