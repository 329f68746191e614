"""Real hosts on this machine: `python3 tests/lab/lab.py up --hosts 3`.

`up` stays in the foreground and takes the lab down at Ctrl-C; `up --keep` leaves it up until `down`.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[2])

from tests.lab.claim import Owner, read_claims  # noqa: E402
from tests.lab.host import FAULTS, Host, build_fault  # noqa: E402
from tests.lab.laboratory import Lab, light_names, sweep, system_names, take_down  # noqa: E402
from tests.lab.machine import why_not  # noqa: E402

POWER = {
    "boot": Host.boot,
    "reboot": Host.reboot,
    "power-off": Host.power_off,
    "power-cut": Host.power_cut,
    "thaw": Host.thaw,
}


def main() -> int:
    arguments = _parser().parse_args()
    reason = why_not()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 1
    result: int = arguments.act(arguments)
    return result


def _parser() -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="lab.py", description=__doc__, formatter_class=layout)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    up = verbs.add_parser("up", help="bring a lab up")
    up.add_argument("--hosts", type=int, metavar="N", help="hosts under systemd (3 unless --light)")
    up.add_argument("--light", type=int, default=0, metavar="N", help="hosts with sshd alone")
    up.add_argument("--name", metavar="ID", help="the lab's id (1 to 8 of a-z, 0-9)")
    up.add_argument("--keep", action="store_true", help="leave it up until `down`")
    up.add_argument("--owner", type=int, metavar="PID", help="leave it up until that process has ended and a next `up`")
    up.add_argument("--nat", action="store_true", help="let the hosts out through this machine")
    up.set_defaults(act=_up)
    down = verbs.add_parser("down", help="take labs down: those named, or else all that nobody owns")
    down.add_argument("ids", nargs="*", metavar="ID")
    down.set_defaults(act=_down)
    verbs.add_parser("list", help="the labs that are up").set_defaults(act=_list)
    faults = ", ".join([*FAULTS, *POWER])
    for verb, text, act in (
        ("fault", f"begin a fault: HOST FAULT [name=value…]; one of {faults}", _fault),
        ("heal", "end a host's faults (or the one named) and switch it on: HOST [FAULT]", _heal),
        ("ssh", "a command or a shell by ssh: HOST [WORD…]", _ssh),
        ("run", "a command inside, without the network: HOST WORD…", _run),
    ):
        on_host = verbs.add_parser(verb, help=text, description=text)
        on_host.add_argument("--name", metavar="ID", help="the lab, if several are up")
        on_host.add_argument("host", metavar="HOST")
        on_host.add_argument("words", nargs=argparse.REMAINDER, metavar="WORD")
        on_host.set_defaults(act=act)
    return parser


def _up(arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    count = arguments.hosts if arguments.hosts is not None else (0 if arguments.light else 3)
    # A signal that comes while it is being brought up waits until it can be taken down whole.
    asked_to_end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: asked_to_end.set())
    lab = Lab.up(
        system_names(count),
        light_names(arguments.light),
        lab_id=arguments.name,
        kept=arguments.keep,
        owner=Owner.process(arguments.owner) if arguments.owner else None,
        nat=arguments.nat,
        sshd_defaults=not arguments.light,
    )
    print(_description(lab, time.monotonic() - began), flush=True)
    if not arguments.keep and not arguments.owner:
        print("Ctrl-C takes it down.", flush=True)
        asked_to_end.wait()
        lab.down()
    return 0


def _description(lab: Lab, seconds: float) -> str:
    first = next(iter(lab.hosts), "n1")
    addresses = "\n".join(f"  {host.name:6} {host.address}" for host in lab.hosts.values())
    return f"""lab {lab.id}: {len(lab.hosts)} hosts, up in {seconds:.1f} s
{addresses}
inventory:  {lab.inventory}
  ansible -i {lab.inventory} all -m ping
  toft -i {lab.inventory} status
  ssh -F {lab.ssh_config} {first}
  python3 tests/lab/lab.py fault --name {lab.id} {first} freeze
  python3 tests/lab/lab.py heal --name {lab.id} {first}
  python3 tests/lab/lab.py down {lab.id}"""


def _down(arguments: argparse.Namespace) -> int:
    swept = sweep()
    claims = {claim.id: claim for claim in read_claims()}
    for lab_id in arguments.ids or [claim.id for claim in claims.values() if claim.owner is None]:
        if lab_id in claims:
            take_down(claims[lab_id])
            swept.append(lab_id)
        elif lab_id not in swept:
            print(f"no lab {lab_id} is up", file=sys.stderr)
            return 1
    print(" ".join(["taken down:", *swept]) if swept else "nothing to take down")
    return 0


def _list(_: argparse.Namespace) -> int:
    for claim in read_claims():
        owner = "kept" if claim.owner is None else f"process {claim.owner.pid}"
        state = "abandoned" if claim.abandoned() else owner
        print(f"{claim.id}  {claim.subnet}  {len(claim.hosts)} hosts  {state}  {claim.directory}")
    return 0


def _host(arguments: argparse.Namespace) -> Host:
    return Lab.attach(arguments.name).hosts[arguments.host]


def _fault(arguments: argparse.Namespace) -> int:
    host = _host(arguments)
    name, *settings = arguments.words or [""]
    if name in POWER:
        POWER[name](host)
        return 0
    try:
        fault = build_fault(name, dict(setting.split("=", 1) for setting in settings))
    except (KeyError, TypeError, ValueError) as wrong:
        print(f"{name}: {wrong}; there are: {', '.join([*FAULTS, *POWER])}", file=sys.stderr)
        return 2
    host.begin(fault)
    return 0


def _heal(arguments: argparse.Namespace) -> int:
    host = _host(arguments)
    host.heal(*arguments.words[:1])
    host.boot()
    return 0


def _ssh(arguments: argparse.Namespace) -> int:
    lab = Lab.attach(arguments.name)
    os.execvp("ssh", ["ssh", "-F", str(lab.ssh_config), "--", arguments.host, *arguments.words])


def _run(arguments: argparse.Namespace) -> int:
    done = _host(arguments).run(arguments.words)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
