"""One command in a fork of the engine: it takes on what its client is, runs, and says how it ended."""

from __future__ import annotations

import atexit
import io
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from toft.warm import door

if TYPE_CHECKING:
    from toft.resident.server import Server

PATIENCE_S = 5.0


def attend(conn: socket.socket, server: Server) -> NoReturn:
    """Everything that happens in a worker; it never returns into the engine."""
    status = 70
    try:
        conn.settimeout(PATIENCE_S)
        header, descriptors = door.receive(conn)
        conn.settimeout(None)
        if header is None:
            os._exit(0)
        if header["kind"] in QUESTIONS:
            door.send(conn, QUESTIONS[header["kind"]](server))
            os._exit(0)
        changed = server.loaded.changed
        if changed:
            # What is loaded is not what is installed: the client begins by itself, and the next one elsewhere.
            # The engine hears of it first: a client that has its answer hangs up, which ends this worker.
            os.kill(os.getppid(), signal.SIGTERM)
            door.send(conn, {"unfit": changed})
            os._exit(0)
        if header["kind"] == "ansible-playbook" and (others := _changes(header["environ"], server) - ADJUSTABLE):
            door.send(conn, {"unfit": ", ".join(sorted(others))})
            os._exit(0)
        _take_on(header, descriptors, str(server.path))
        door.send(conn, {"pid": os.getpid()})
        status = _run(header["kind"], server)
    finally:
        _finish(conn, status)


def _finish(conn: socket.socket, status: int) -> NoReturn:
    try:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError, AttributeError):
                status = status or 120  # as Python itself ends when its last words find no place
        door.send(conn, {"status": status})
    except BaseException:
        os._exit(status)
    os._exit(status)


def _take_on(header: dict[str, Any], descriptors: list[int], engine: str) -> None:
    here = descriptors.pop()
    os.setsid()
    os.fchdir(here)
    os.close(here)
    for number in range(3):
        os.close(number)
    for number, descriptor in zip(header["open"], descriptors, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.umask(header["umask"])
    os.environb.clear()
    os.environb.update(header["environ"])
    if header["kind"] == "toft":
        os.environ["TOFT_ENGINE"] = engine
    time.tzset()
    tempfile.tempdir = None
    for number in (*PASSED_ON, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in header["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    sys.argv = [os.fsdecode(word) for word in header["argv"]]
    _reopen(header["open"])


PASSED_ON = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH,
)  # fmt: skip


def _reopen(opened: list[int]) -> None:
    """Python's own streams, as it would have made them at its start."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if number not in opened:
            setattr(sys, name, None)
            continue
        raw = open(number, mode + "b", closefd=False)  # noqa: SIM115
        errors = "backslashreplace" if name == "stderr" else "strict"
        lines = mode == "w" and (name == "stderr" or os.isatty(number))
        stream = io.TextIOWrapper(raw, encoding="utf-8", errors=errors, line_buffering=lines)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _run(kind: str, server: Server) -> int:
    code: Any = 0
    try:
        RUN[kind](server)
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    if code is not None and not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # a process that ends by itself waits for its threads
    atexit._run_exitfuncs()
    return code or 0


def _toft(server: Server) -> None:
    from toft.cli.main import main

    main(command=server.loaded.command)


ADJUSTABLE = {
    "ANSIBLE_LOCAL_TEMP", "ANSIBLE_CACHE_PLUGIN", "ANSIBLE_CACHE_PLUGIN_CONNECTION", "ANSIBLE_STDOUT_CALLBACK",
}  # fmt: skip
"""Settings that differ in each run, and that Ansible looks up when it uses them."""


def _playbook(server: Server) -> None:
    """ansible-playbook. Its configuration was read when it was imported."""
    from ansible import constants
    from ansible.cli.playbook import PlaybookCLI

    differs = _changes(os.environb, server)
    for name, definition in constants.config.get_configuration_definitions().items():
        if differs.intersection(each["name"] for each in definition.get("env") or ()):
            setattr(constants, name, constants.config.get_config_value(name, variables=vars(constants)))
    sys.argv[0] = "ansible-playbook"
    PlaybookCLI.cli_executor(sys.argv)


def _changes(environ: Mapping[bytes, bytes], server: Server) -> set[str]:
    """Names of Ansible's settings that differ from those that it has read; a run with more than the ADJUSTABLE ones
    begins afresh."""
    given = {os.fsdecode(k): os.fsdecode(v) for k, v in environ.items() if k.startswith(b"ANSIBLE_")}
    read = server.loaded.settings
    return {name for name in given.keys() | read.keys() if given.get(name) != read.get(name)}


def _status(server: Server) -> dict[str, Any]:
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {
        "pid": os.getppid(),
        "since": server.begun,
        "served": server.served - 1,
        "running": len(server.workers),
        "modules": len(server.loaded.files),
        "changed": server.loaded.changed,
        "memory_bytes": held,
        "idle_s": server.idle_s,
    }


def _stop(server: Server) -> dict[str, Any]:
    os.kill(os.getppid(), signal.SIGTERM)
    return {"pid": os.getppid()}


RUN = {"toft": _toft, "ansible-playbook": _playbook}
QUESTIONS = {"status": _status, "stop": _stop}
