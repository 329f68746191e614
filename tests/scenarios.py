"""The roles' molecule scenarios, each on a lab of its own: `make molecule`, or `python -m tests.scenarios storage`.

Molecule itself makes and removes the hosts (extensions/molecule/lab). This gives the lab a name that nobody else has,
and takes it down if molecule could not: after a failure, Ctrl-C, or the end of molecule by force. If this process dies
too, the next lab that is brought up sweeps this one away, for it is this process that owns it.

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
from collections.abc import Mapping
from pathlib import Path

from tests.lab.claim import labs_directory, read_claims
from tests.lab.laboratory import take_down
from tests.lab.machine import why_not

ROOT = Path(__file__).resolve().parents[1]
COLLECTION = ROOT / "collection/ansible_collections/toft/fleet"
SCENARIOS = COLLECTION / "extensions/molecule"
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
    failed = [name for name in arguments.scenarios or all_scenarios() if run(name, arguments.verb) != 0]
    if failed:
        print(f"failed: {' '.join(failed)}", file=sys.stderr)
    return bool(failed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests.scenarios", description=__doc__.partition("\n")[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of: {' '.join(all_scenarios())}")
    parser.add_argument("--verb", default="test", help="one step of molecule (converge, verify, destroy…)")
    return parser


def _stop(number: int, _: object) -> None:
    sys.exit(128 + number)


def all_scenarios() -> list[str]:
    return sorted(file.parent.name for file in SCENARIOS.glob("*/molecule.yml"))


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
