"""The roles' molecule scenarios, each on a lab of its own: `make molecule`, or `python -m tests.scenarios storage`.

Molecule itself makes and removes the hosts (extensions/molecule/lab). This gives the lab a name that nobody else has,
and takes it down if molecule could not: after a failure, Ctrl-C, or the end of molecule by force. If this process dies
too, the next lab that is brought up sweeps this one away, for it is this process that owns it.

Several run at a time, each as a process of its own whose output is shown when it ends: they wait as often as they work.
`--verb converge` and the like run one step and leave the hosts up for the next one, in a lab named after the scenario.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.lab.claim import labs_directory, read_claims
from tests.lab.laboratory import take_down
from tests.lab.machine import why_not

ROOT = Path(__file__).resolve().parents[1]
COLLECTION = ROOT / "collection/ansible_collections/toft/fleet"
SCENARIOS = COLLECTION / "extensions/molecule"
FIRST = ("tailscale", "icecream", "agent", "site")
"""The longest. The first builds Go programs for minutes if they are not there yet, and `site` would wait for them."""
LOOK_S = 0.5
STAYS = 1
"""A process that is always there: whoever asks for single steps takes the lab down by `--verb destroy`."""


def main() -> int:
    arguments = _parser().parse_args()
    reason = why_not()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    names = arguments.scenarios or in_order(all_scenarios())
    if len(names) == 1:
        return run(names[0], arguments.verb)
    if arguments.verb != "test":
        print("--verb is for one scenario: name it", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="toft-scenarios-") as outputs:
        failed = list(together(names, arguments.at_once, Path(outputs)))
    if failed:
        print(f"failed: {' '.join(failed)}", file=sys.stderr)
    return bool(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.scenarios", description=__doc__.partition("\n")[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of: {' '.join(all_scenarios())}")
    parser.add_argument("--verb", default="test", help="one step of molecule (converge, destroy…) of a scenario")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="how many run at a time (2)")
    return parser


def _stop(number: int, _: object) -> None:
    sys.exit(128 + number)


def all_scenarios() -> list[str]:
    return sorted(file.parent.name for file in SCENARIOS.glob("*/molecule.yml"))


def in_order(names: Sequence[str]) -> list[str]:
    """What takes longest comes first, so that nothing long is left alone at the end."""
    return sorted(names, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))


def together(names: Sequence[str], at_once: int, outputs: Path) -> Iterator[str]:
    """The scenarios that failed, as they end. However this ends, none goes on, and their hosts are gone."""
    waiting, running = deque(names), list[Running]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                running.append(Running(waiting[0], outputs / waiting.popleft()))
            for one in [one for one in running if one.process.poll() is not None]:
                running.remove(one)
                one.show()
                if one.process.returncode != 0:
                    yield one.name
            time.sleep(LOOK_S)
    finally:
        for one in running:
            one.process.terminate()
        for one in running:
            one.process.wait()
            one.show()


class Running:
    """A scenario in a process of its own, with its output in a file."""

    def __init__(self, name: str, output: Path) -> None:
        self.name, self._output = name, output
        argv = [sys.executable, "-u", "-m", "tests.scenarios", name]
        with output.open("wb") as file:
            self.process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        print(f"{name}: begun", flush=True)

    def show(self) -> None:
        with self._output.open("rb") as output:
            shutil.copyfileobj(output, sys.stdout.buffer)
        sys.stdout.flush()


def run(scenario: str, verb: str) -> int:
    """Molecule's exit code. Nothing of it is left after a whole test."""
    whole = verb == "test"
    lab = f"m{secrets.token_hex(3)}" if whole else scenario[:8]
    scratch = Path(tempfile.mkdtemp(prefix="toft-molecule-")) if whole else None
    began = time.monotonic()
    try:
        return molecule(scenario, verb, surroundings(lab, os.getpid() if whole else STAYS, scratch))
    finally:
        if whole:
            _take_down(lab)
        if scratch is not None:
            shutil.rmtree(scratch)
        print(f"{scenario}: {verb} took {time.monotonic() - began:.0f} s", flush=True)


def surroundings(lab: str, owner: int, scratch: Path | None) -> dict[str, str]:
    """The environment of molecule: our Ansible first, none of the caller's settings of it."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    lab_settings = {
        "TOFT_ROOT": str(ROOT),
        "TOFT_LABS": str(labs_directory()),
        "TOFT_LAB": lab,
        "TOFT_LAB_OWNER": str(owner),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    places = {"ANSIBLE_HOME": str(scratch / "ansible"), "XDG_CACHE_HOME": str(scratch)} if scratch else {}
    return mine | lab_settings | places


def molecule(scenario: str, verb: str, environment: Mapping[str, str]) -> int:
    argv = ["molecule", "--base-config", str(SCENARIOS / "config.yml"), verb, "--scenario-name", scenario]
    process = subprocess.Popen(argv, cwd=COLLECTION, env=environment, stdin=subprocess.DEVNULL)
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _take_down(lab: str) -> None:
    for claim in read_claims():
        if claim.id == lab:
            take_down(claim)


if __name__ == "__main__":
    sys.exit(main())
