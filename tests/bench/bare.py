"""The floor under `toft status`: a process that is there anyway sends the same probe through masters that are open.

It has imported only the mux client and what runs it in threads; no Ansible, no command line, no engine, no inventory
and no reading of what comes back. It runs as a program of its own, so that its CPU is counted as a way's is:

    python -m tests.bench.bare TRANSPORTS.json      a line on stdin is a round; a line on stdout ends it
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ansible_collections.toft.fleet.plugins.plugin_utils import exchange, masters, probing
from ansible_collections.toft.fleet.plugins.plugin_utils.causes import Cause
from ansible_collections.toft.fleet.plugins.plugin_utils.fanout import run_all
from ansible_collections.toft.fleet.plugins.plugin_utils.transport import Transport

if TYPE_CHECKING:
    from tests.bench.field import Field
    from tests.bench.meter import Cost

PATIENCE_S = 30.0
GROUP = "bare"


class Bare:
    """That process, from outside. It has masters of its own."""

    def __init__(self, here: Field, names: Sequence[str]) -> None:
        self._here, self._names = here, names
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Bare:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process and self._process.stdin and self._process.stdout:
            self._process.stdin.close()
            self._process.stdout.close()
            self._process.wait()
            self._here.meter.forget(GROUP)

    def cost(self) -> Cost:
        process = self._process = self._process or self._begun()
        before = self._here.meter.read(GROUP)
        begun = time.monotonic()
        process.stdin.write(b"\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        said = process.stdout.readline()  # type: ignore[union-attr]
        wall = time.monotonic() - begun
        return self._here.meter.since(GROUP, before, wall, int(said) != len(self._names), said)

    def _begun(self) -> subprocess.Popen[bytes]:
        from tests.bench.meter import started

        lab, address = self._here.lab, [self._here.lab.hosts[name].address for name in self._names]
        options = ["-F", str(lab.ssh_config)]
        transports = [Transport(n, "ssh", a, tuple(options)) for n, a in zip(self._names, address, strict=True)]
        file = self._here.made("bare.json", json.dumps([t.to_dict() for t in transports]))
        runtime = self._here.home / "b"
        runtime.mkdir(mode=0o700, exist_ok=True)
        env = self._here.environment() | {"XDG_RUNTIME_DIR": str(runtime)}
        argv = [sys.executable, "-m", "tests.bench.bare", str(file)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return started(self._here.meter.group(GROUP), argv, env=env, cwd=Path(__file__).parents[2], **pipes)[0]


def main(file: str) -> int:
    transports = [Transport.from_dict(each) for each in json.loads(Path(file).read_text())]
    run_all(transports, masters.ensure, deadline_each=PATIENCE_S)
    script = probing.script([])
    for _line in sys.stdin:
        outcomes = run_all(transports, lambda t, deadline: _probed(t, script, deadline), deadline_each=PATIENCE_S)
        sys.stdout.write(f"{sum(outcome.ok for outcome in outcomes)}\n")
        sys.stdout.flush()
    return 0


def _probed(transport: Transport, script: bytes, deadline: float) -> exchange.Completed | Cause:
    return exchange.run(transport, probing.COMMAND, script, deadline=deadline)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
