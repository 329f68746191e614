"""ansible_runner, driven: a Request goes in, the actions' answers come out as values.

Each run has a private directory of its own (0700), because ansible_runner writes the environment and
everything else that it is given into files. The settings that matter for safety are set here for every
run: host keys are checked (ansible_runner would turn that off), no ansible.cfg is taken from the current
directory (it belongs to whoever wrote the repository that you stand in), and our own collection is found
before any other copy.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toft.engine.requests import Request

ASK_CANCELLED_S = 0.1
NO_CONFIGURATION = Path(__file__).with_name("empty.cfg")


@dataclass(frozen=True)
class Answers:
    """What the steps answered, by action name. `run_dir` still exists if the request said keep."""

    steps: Mapping[str, dict[str, Any]]
    run_dir: Path

    def __getitem__(self, action: str) -> dict[str, Any]:
        return self.steps[action]


@dataclass(frozen=True)
class Refused:
    """The run did not do what was asked. `code`: `no_hosts`, `usage`, `ansible` or `cancelled`."""

    code: str
    message: str
    detail: str = ""


@dataclass(frozen=True)
class Engine:
    """Where runs live and which inventory they use.

    `inventory` is a list of paths, or the text of an inventory (`inventory_text`) for the embedded
    default. `cancelled` is asked now and then during a run; True ends it.
    """

    runs: Path
    inventory: tuple[Path, ...]
    inventory_text: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    cancelled: Callable[[], bool] = lambda: False

    def run(self, request: Request) -> Answers | Refused:
        run_dir = self._prepare(request)
        try:
            return self._run(request, run_dir)
        finally:
            # ansible_runner leaves the whole environment of this process in there.
            shutil.rmtree(run_dir / "artifacts" if request.keep else run_dir, ignore_errors=True)

    def _prepare(self, request: Request) -> Path:
        self.runs.mkdir(mode=0o700, parents=True, exist_ok=True)
        run_dir = self.runs / (request.label or f"r{secrets.token_hex(5)}")
        with private_umask():
            (run_dir / "project").mkdir(parents=True, exist_ok=True)
            request_file = run_dir / "request.json"
            request_file.write_text(json.dumps({"run_dir": str(run_dir), **request.body}))
            (run_dir / "project" / "request.yml").write_text(request.playbook(str(request_file)))
            if request.owner is not None:
                (run_dir / "owner").write_text(request.owner)
            if self.inventory_text is not None:
                (run_dir / "hosts.yml").write_text(self.inventory_text)
        return run_dir

    def _run(self, request: Request, run_dir: Path) -> Answers | Refused:
        import ansible_runner  # 0.1 s: only who runs something pays for it

        _close_at_once()
        events: list[dict[str, Any]] = []

        def keep(event: dict[str, Any]) -> bool:
            events.append(event)
            return False

        # No umask of ours here: a job on this machine would inherit it. The run's directory is private as it is.
        with readable_environment():
            runner = ansible_runner.run(
                private_data_dir=str(run_dir),
                project_dir=str(run_dir / "project"),
                **_started_by(self.environment),
                inventory=self.sources(run_dir),
                envvars=settings(self.environment) | WITHOUT_FACTS | {"ANSIBLE_LOCAL_TEMP": str(run_dir / "tmp")},
                settings={
                    "suppress_env_files": True,
                    "pexpect_use_poll": True,
                    "idle_timeout": 0,
                    # How often `cancelled` is asked; ansible_runner's own 5 s is how long Ctrl-C would seem dead.
                    "pexpect_timeout": ASK_CANCELLED_S,
                },
                fact_cache_type="none",
                event_handler=keep,
                cancel_callback=self.cancelled,
                quiet=True,
            )
            output = whole_text(runner.stdout)
        return _outcome(events, runner.status, output, run_dir)

    def sources(self, run_dir: Path) -> list[str]:
        """Where Ansible is to read the inventory."""
        if self.inventory_text is not None:
            return [str(run_dir / "hosts.yml")]
        return [str(path) for path in self.inventory]


def _close_at_once() -> None:
    """ansible_runner closes the terminal of a program that has ended, and ptyprocess then sleeps 0.1 s for it to end.

    `delayafterclose` is there to be set, on an object that ansible_runner keeps to itself.
    """
    from ptyprocess.ptyprocess import PtyProcess

    PtyProcess.delayafterclose = property(lambda _process: 0.0, lambda _process, _seconds: None)


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The part of a run's environment that is the same for each run under one configuration."""
    return {
        # `ansible-playbook` of the environment that toft runs in, wherever it was started from.
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), environment.get("PATH", os.defpath))),
        "ANSIBLE_CONFIG": str(_configuration(environment)),
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(collections_path(environment)),
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_NOCOLOR": "True",
        "ANSIBLE_FORCE_COLOR": "False",
    }


WITHOUT_FACTS = {
    "ANSIBLE_CACHE_PLUGIN": "memory",
    "ANSIBLE_INJECT_FACT_VARS": "False",
}
"""For a Request, whose play gathers none: looking for facts in a cache, host by host, takes half of a large fleet's
time."""


def preloaded(environment: Mapping[str, str]) -> dict[str, str]:
    """The same, with what ansible_runner adds to each run: what Ansible is imported under, if it is before a run."""
    import ansible_runner

    display = Path(ansible_runner.__file__).parent / "display_callback" / "callback"
    theirs = environment.get("ANSIBLE_CALLBACK_PLUGINS")
    callbacks = {"ANSIBLE_CALLBACK_PLUGINS": ":".join(filter(None, (theirs, str(display))))}
    return settings(environment) | WITHOUT_FACTS | callbacks


def _started_by(environment: Mapping[str, str]) -> dict[str, Any]:
    """What ansible_runner starts: ansible-playbook, or the same out of the warm engine that we came from."""
    engine = environment.get("TOFT_ENGINE")
    if not engine:
        return {"playbook": "request.yml"}
    start = "import sys; from toft.resident.client import main; sys.exit(main('ansible-playbook', sys.argv.pop(1)))"
    return {"binary": sys.executable, "cmdline": shlex.join(["-P", "-c", start, engine, "request.yml"])}


def collections_path(environment: Mapping[str, str]) -> list[str]:
    """Ours first, then what the user has: a stale copy elsewhere must not win."""
    spec = importlib.util.find_spec("ansible_collections.toft.fleet")
    places = list(spec.submodule_search_locations or ()) if spec else []
    ours = [str(Path(place).parents[2]) for place in places]
    theirs = environment.get("ANSIBLE_COLLECTIONS_PATH") or "~/.ansible/collections:/usr/share/ansible/collections"
    return [*ours, *(os.path.expanduser(p) for p in theirs.split(os.pathsep) if p)]


def _configuration(environment: Mapping[str, str]) -> Path:
    """The user's own ansible.cfg if there is one; never the current directory's."""
    for place in (environment.get("ANSIBLE_CONFIG"), "~/.ansible.cfg", "/etc/ansible/ansible.cfg"):
        if place and Path(place).expanduser().is_file():
            return Path(place).expanduser()
    return NO_CONFIGURATION


def _outcome(events: list[dict[str, Any]], status: str, output: str, run_dir: Path) -> Answers | Refused:
    steps: dict[str, dict[str, Any]] = {}
    for event in events:
        kind, data = event["event"], event.get("event_data") or {}
        result = data.get("res") or {}
        if kind == "runner_on_ok":
            steps[str(data.get("task"))] = _whole(result)
        elif kind in ("runner_on_failed", "runner_on_unreachable"):
            return Refused(result.get("toft_code", "ansible"), str(result.get("msg", "")), errors(output))
        elif kind == "playbook_on_no_hosts_matched":
            return Refused("no_hosts", "no node matches the pattern")
    if status == "canceled":
        return Refused("cancelled", "stopped before anything was started")
    if status != "successful":
        return Refused("ansible", errors(output) or f"ansible ended with status {status}", output)
    if not steps:
        return Refused("no_hosts", "no node matches the pattern")
    return Answers(steps, run_dir)


def _whole(result: dict[str, Any]) -> dict[str, Any]:
    """A large answer lies in a file of the run."""
    path = result.get("toft_answer")
    return result if path is None else result | json.loads(Path(path).read_text())


def errors(output: str) -> str:
    """The lines in which ansible says what is wrong, with what belongs to them."""
    lines = output.replace("\r\n", "\n").splitlines()
    begin = next((i for i, line in enumerate(lines) if line.startswith(("[ERROR]", "ERROR!"))), None)
    if begin is None:
        return ""
    words = "\n".join(lines[begin : begin + 12])
    return words.removeprefix("[ERROR]:").removeprefix("ERROR!").strip()


def whole_text(stream: Any) -> str:
    """What ansible_runner keeps of Ansible's terminal."""
    with stream:
        return str(stream.read())


@contextlib.contextmanager
def private_umask() -> Iterator[None]:
    """What is made meanwhile is nobody's but ours."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def readable_environment() -> Iterator[None]:
    """ansible_runner writes the environment down as UTF-8: what is none (PWD, in an odd directory) is left out."""
    odd = {name: value for name, value in os.environb.items() if not _utf8(name + value)}
    for name in odd:
        del os.environb[name]
    try:
        yield
    finally:
        os.environb.update(odd)


def _utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
