"""A worker's first moments, with the engine's part played by the test."""

from __future__ import annotations

import subprocess
import sys

HEARS_FIRST = """
import os, signal, socket
from types import SimpleNamespace

from toft.resident import worker
from toft.warm import door

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
client, engine = socket.socketpair()
door.send(client, {"kind": "toft"})
changed = "an upgrade" * 100_000  # more than a socket takes before its other end reads
if not os.fork():
    client.close()
    worker.attend(engine, SimpleNamespace(loaded=SimpleNamespace(changed=changed)))
heard = signal.sigtimedwait([signal.SIGTERM], 5)
told, _none = door.receive(client)
print(heard is not None, told == {"unfit": changed})
"""


def test_the_engine_hears_of_an_upgrade_before_the_client_does() -> None:
    """A client that has its answer hangs up, and the engine ends the worker of who hung up."""
    done = subprocess.run([sys.executable, "-c", HEARS_FIRST], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"
