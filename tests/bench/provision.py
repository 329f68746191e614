"""Ten hosts provisioned by `toft provision`, and by ansible-playbook with its own defaults and with the collection's.

The playbook is toft.fleet.storage, which installs no packages: what a mirror takes is no figure of ours. "first" is on
hosts from which the role was taken away, "again" on hosts that are as they should be.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import toft.engine.provisioning
from toft.engine.runner import NO_CONFIGURATION, collections_path

from tests.bench.figures import Spread, told
from tests.bench.setting import Report
from tests.command import Toft
from tests.lab.laboratory import Lab

HOSTS = 10
ROUNDS = 2
COLLECTIONS = Path(collections_path({})[0])
OURS = COLLECTIONS / toft.engine.provisioning.SETTINGS
ABSENT = json.dumps({"storage_state": "absent"})


def run(report: Report) -> None:
    with report.lab(HOSTS) as (lab, toft):
        toft.inventory = _inventory(toft.home / "inventory", lab)
        play = _player(toft.home, toft.inventory)
        ways: dict[str, Callable[[], object]] = {
            "ansible-playbook": lambda: play(str(NO_CONFIGURATION)),
            "ansible-playbook, the collection's settings": lambda: play(str(OURS)),
            "toft provision": lambda: _provision(toft),
        }
        first: dict[str, list[float]] = {way: [] for way in ways}
        again: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(ROUNDS):
            for way in [*ways][number:] + [*ways][:number]:
                play(str(OURS), f"--extra-vars={ABSENT}")
                first[way].append(_seconds(ways[way]))
                again[way].append(_seconds(ways[way]))
        for case, figures in (("first", first), ("again", again)):
            report(f"provision, {HOSTS} hosts, {case}", _told(figures))


def _inventory(directory: Path, lab: Lab) -> Path:
    """The lab's hosts, all of them with storage."""
    directory.mkdir()
    shutil.copy(lab.inventory, directory / "hosts.yml")
    group = {"hosts": dict.fromkeys(lab.hosts), "vars": {"storage_hot_free_gb": 0.1}}
    (directory / "storage.yml").write_text(json.dumps({"storage": group}))
    return directory


def _player(home: Path, inventory: Path) -> Callable[..., None]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}

    def play(config: str, *words: str) -> None:
        program = Path(sys.executable).with_name("ansible-playbook")
        argv = [str(program), "toft.fleet.storage", f"--inventory={inventory}", *words]
        _call(argv, environment | {"ANSIBLE_CONFIG": config, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS)})

    return play


def _call(argv: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{argv}: {done.stdout[-3000:]}{done.stderr[-3000:]}")


def _provision(toft: Toft) -> None:
    done = toft("provision", "storage", timeout=900)
    if done.returncode != 0:
        raise RuntimeError(f"{done.stdout!r}{done.stderr!r}")


def _seconds(act: Callable[[], object]) -> float:
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


def _told(figures: Mapping[str, list[float]]) -> str:
    """Each way's median and range, and its ratio to the first way."""
    spreads = {way: Spread.of(taken) for way, taken in figures.items()}
    base = next(iter(spreads.values())).median
    return "; ".join(f"{way} {told(spread)}, {spread.median / base:.2f}" for way, spread in spreads.items())
