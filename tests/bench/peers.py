"""The ways in which one command is brought to many hosts: toft's and its peers', each as it is started.

All get the same hosts, key, user and known hosts, and may go to all hosts at once (Ansible to 50: more gains it
nothing). Warm, whatever starts ssh uses one set of masters that stand open: xargs, clush, pdsh, pssh, GNU parallel,
Ansible and ansible-runner. pyinfra speaks SSH by itself and connects anew each time, warm or cold. toft has its warm
engine and masters of its own. Cold, nobody has anything that was there before; the files are in the page cache.
Ansible is told where Python is and pipelines, warm and cold, which helps it.

Peers that pip has come into build/bench/peers; those of the system are used if they are there.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.field import Field
from tests.bench.meter import Start

BIN = Path(sys.executable).parent
BUILD = Path(__file__).parents[2] / "build/bench"
PEERS = BUILD / "peers"
PIP = ("ClusterShell==1.10.1", "pyinfra==3.10.0")
AT_ONCE = "100"
FORKS = "50"


@dataclass(frozen=True)
class Way:
    """`start(field, hosts, warm)`; `slow` ways sit out most rounds. `answers` is what a host's answer has in it."""

    name: str
    start: Callable[[Field, Sequence[str], bool], Start]
    program: str = ""
    package: str = ""
    slow: bool = False
    answer: bytes = b"load average"

    @property
    def missing(self) -> str | None:
        """What to type where the program is not there."""
        there = not self.program or Path(self.program).exists() or shutil.which(self.program)
        return None if there else f"not installed: apt install {self.package}"


def install() -> None:
    """Peers from pip, in an environment of their own, once."""
    mark = PEERS / "-".join(word.replace("==", "-") for word in PIP)
    if mark.exists():
        return
    venv.create(PEERS, clear=True, with_pip=True)
    pip = [str(PEERS / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, *PIP], check=True)
    mark.touch()


def toft(here: Field, names: Sequence[str], warm: bool, *words: str) -> Start:
    """Cold, neither an engine nor a master is found: its runtime directory is new each time."""
    runtime = here.home / ("r" if warm else f"r{secrets.token_hex(2)}")
    runtime.mkdir(mode=0o700, exist_ok=True)
    places = {f"XDG_{kind}_HOME": str(here.home / f"toft-{kind.lower()}") for kind in ("CONFIG", "STATE", "CACHE")}
    env = {**places, "XDG_RUNTIME_DIR": str(runtime), "TOFT_WARM": "1" if warm else "0"}
    return Start([str(BIN / "toft"), "-i", str(here.inventory(names)), *words], env)


def ready(here: Field, names: Sequence[str]) -> None:
    """toft's engine runs, and its masters stand open, when this returns."""
    first, ask = (toft(here, names, True, *words) for words in (("exec", "all", "true"), ("engine", "status")))
    env = here.environment()
    first, ask = (replace(each, env=env | each.env) for each in (first, ask))
    here.meter.warmed("toft", first, ask, here.home)


def _status(here: Field, names: Sequence[str], warm: bool) -> Start:
    return toft(here, names, warm, "--json", "status")


def _exec(here: Field, names: Sequence[str], warm: bool) -> Start:
    # One host's own output would be passed through as it is; JSON says of each what it answered.
    return toft(here, names, warm, "--json", "exec", "all", "uptime")


def _xargs(here: Field, names: Sequence[str], warm: bool) -> Start:
    argv = ["xargs", "-P", AT_ONCE, "-I{}", "ssh", "-n", "-F", str(here.ssh_config(warm)), "--", "{}", "uptime"]
    return Start(argv, given="".join(f"{name}\n" for name in names).encode())


def clush(here: Field, names: Sequence[str], warm: bool, command: str = "uptime") -> Start:
    argv = [
        str(PEERS / "bin/clush"),
        "-f",
        AT_ONCE,
        "-w",
        ",".join(names),
        "-o",
        f"-F {here.ssh_config(warm)}",
        command,
    ]
    return Start(argv, {"CLUSTERSHELL_CFGDIR": str(here.home)})


def _pdsh(here: Field, names: Sequence[str], warm: bool) -> Start:
    argv = ["pdsh", "-R", "ssh", "-f", AT_ONCE, "-w", ",".join(names), "uptime"]
    return Start(argv, {"PDSH_SSH_ARGS_APPEND": f"-F {here.ssh_config(warm)}"})


def _pssh(here: Field, names: Sequence[str], warm: bool) -> Start:
    file = here.hosts_file(names)
    return Start(["parallel-ssh", "-i", "-p", AT_ONCE, "-h", str(file), "-x", f"-F {here.ssh_config(warm)}", "uptime"])


def _parallel(here: Field, names: Sequence[str], warm: bool) -> Start:
    ssh = f"ssh -F {here.ssh_config(warm)}"
    argv = ["parallel", "--will-cite", "--nonall", "-j", AT_ONCE, "--slf", str(here.hosts_file(names)), "uptime"]
    return Start(argv, {"PARALLEL_SSH": ssh})


def _pyinfra(here: Field, names: Sequence[str], _warm: bool) -> Start:
    return Start([str(PEERS / "bin/pyinfra"), "-y", str(here.pyinfra_inventory(names)), "exec", "--", "uptime"])


def ansible_settings(here: Field, warm: bool) -> dict[str, str]:
    return {
        "ANSIBLE_CONFIG": str(here.home / "ansible.cfg"),
        "ANSIBLE_PIPELINING": "True",
        "ANSIBLE_FORKS": FORKS,
        "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
        "ANSIBLE_SSH_ARGS": f"-F {here.ssh_config(warm)}",
        "ANSIBLE_HOST_KEY_CHECKING": "True",
        "PATH": f"{BIN}:{here.environment()['PATH']}",
    }


def _ansible(here: Field, names: Sequence[str], warm: bool) -> Start:
    argv = [str(BIN / "ansible"), "all", "-i", str(here.inventory(names)), "-m", "command", "-a", "uptime"]
    return Start(argv, ansible_settings(here, warm))


def _runner(here: Field, names: Sequence[str], warm: bool) -> Start:
    private = here.home / "runner"
    private.mkdir(exist_ok=True)
    inventory = ["--inventory", str(here.inventory(names))]
    argv = [str(BIN / "ansible-runner"), "run", str(private), *inventory, "--hosts", "all", "-m", "command"]
    return Start([*argv, "-a", "uptime", "--rotate-artifacts", "1"], ansible_settings(here, warm))


WAYS = (
    Way("toft status", _status, answer=b'"cpu_percent": '),
    Way("toft exec", _exec),
    Way("ssh+xargs", _xargs),
    Way("clush", clush),
    Way("pdsh", _pdsh, "pdsh", "pdsh"),
    Way("pssh", _pssh, "parallel-ssh", "pssh"),
    Way("GNU parallel", _parallel, "parallel", "parallel"),
    Way("pyinfra", _pyinfra, slow=True),
    Way("ansible", _ansible, slow=True),
    Way("ansible-runner", _runner, slow=True),
)
