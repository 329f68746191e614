"""Ends what waits for a machine of the compile farm that has gone silent: toft-farm-guard SCHEDULER PORT

A machine that is switched off ends its connections by TCP itself. One that is frozen keeps them: its kernel goes on
acknowledging, icecc waits twelve minutes for the result, and the scheduler goes on sending it work. But iceccd says its
protocol's version as soon as one connects to it. So, while something is compiled from here, the machines that are
waited for are called every few seconds; whoever does not answer so many times in a row has its connections from here
ended, upon which icecc compiles the file here, and the scheduler is asked to leave the machine out. It comes back by
itself when it wakes up. The scheduler is called by UDP, as those who look for one do: it takes up to 36 seconds to
accept a connection when it has just accepted another.

Needs CAP_NET_ADMIN, and a kernel with INET_DIAG_DESTROY; `ss` does the ending.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Peer = tuple[str, int]  # an address and a port

DAEMON_PORT = 10245
EVERY = 3.0
ANSWER_WITHIN = 4.0
SILENT_TIMES = 3
ESTABLISHED = "01"
CONNECTED = "03"
HELLO_BYTES = 4
WHO_SCHEDULES = bytes([43])
"""The question after a scheduler is the version of the asker's protocol; every one is answered."""


def main() -> None:
    scheduler, port = sys.argv[1], int(sys.argv[2])
    silent: dict[Peer, int] = {}
    with ThreadPoolExecutor(8) as pool:
        while True:
            peers = waited_for((DAEMON_PORT, port))
            answers = dict(pool.map(lambda peer: (peer, answers_call(peer)), peers))
            silent = {peer: silent.get(peer, 0) + 1 for peer, came in answers.items() if not came}
            for peer in [peer for peer, times in silent.items() if times >= SILENT_TIMES]:
                end_connections(peer)
                if peer[1] == DAEMON_PORT:
                    leave_out(peer[0], (scheduler, port))
            time.sleep(EVERY)


def waited_for(ports: Sequence[int]) -> list[Peer]:
    """(address, port) of the machines that compiles from here depend on; nobody while nothing is compiled."""
    with open("/proc/net/unix") as table:
        if not compiling(table.read()):
            return []
    with open("/proc/net/tcp") as table:
        return sorted({peer for peer in established(table.read()) if peer[1] in ports})


def compiling(unix_table: str) -> bool:
    """Somebody's icecc is connected to the daemon here."""
    rows = (line.split() for line in unix_table.splitlines()[1:])
    return any(row[-1].endswith("/iceccd.socket") and row[5] == CONNECTED for row in rows)


def established(tcp_table: str) -> Iterator[Peer]:
    """The far ends of connections, but those within this machine; see proc_net_tcp in the kernel's documentation."""
    for line in tcp_table.splitlines()[1:]:
        far, state = line.split()[2:4]
        if state == ESTABLISHED:
            address, port = far.split(":")
            # The kernel writes the address as a number of this machine's byte order.
            octets = int(address, 16).to_bytes(4, sys.byteorder)
            if octets[0] != 127:
                yield socket.inet_ntoa(octets), int(port, 16)


def answers_call(peer: Peer) -> bool:
    return daemon_answers(peer) if peer[1] == DAEMON_PORT else scheduler_answers(peer)


def daemon_answers(peer: Peer) -> bool:
    try:
        with socket.create_connection(peer, ANSWER_WITHIN) as wire:
            wire.settimeout(ANSWER_WITHIN)
            return len(wire.recv(HELLO_BYTES)) > 0
    except OSError:
        return False


def scheduler_answers(peer: Peer) -> bool:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
            wire.settimeout(ANSWER_WITHIN)
            wire.connect(peer)
            wire.send(WHO_SCHEDULES)
            return len(wire.recv(4096)) > 0
    except OSError:
        return False


def end_connections(peer: Peer) -> None:
    address, port = peer
    print(f"{address}:{port} is silent: its connections from here are ended", flush=True)
    argv = ["ss", "--kill", "--no-header", "--tcp", "--numeric", "state", "established"]
    done = subprocess.run([*argv, "dst", address, "dport", "=", f":{port}"], stdout=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        print(f"ss --kill: exit code {done.returncode}", file=sys.stderr, flush=True)


def leave_out(address: str, scheduler: Peer) -> None:
    """By the scheduler's control port, one above its own. If that fails, the next file is compiled here again."""
    try:
        with socket.create_connection((scheduler[0], scheduler[1] + 1), ANSWER_WITHIN) as wire:
            wire.sendall(b"removecs " + address.encode("ascii") + b"\nquit\n")
            # Asked by UDP, it looks up, and finds the connection.
            scheduler_answers(scheduler)
            wire.settimeout(ANSWER_WITHIN)
            while wire.recv(4096):
                pass
    except OSError as error:
        print(f"the scheduler could not be told: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
