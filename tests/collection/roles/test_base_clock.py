"""Whether anything keeps the clock, as the role base looks at it: the lab's hosts are containers, which have their
host's, and no Mac is there. `systemctl`, `timedatectl` and `systemsetup` are stand-ins."""

from __future__ import annotations

from typing import Any

import pytest

from tests.collection.roles.scenes import Scene, Told, run, stand_in

PYTHON = {"python_version": "3.11.2", "virtualization_tech_guest": []}
LINUX = PYTHON | {"system": "Linux", "os_family": "Debian", "kernel": "6.1.0-30-amd64", "service_mgr": "systemd"}
MAC = PYTHON | {"system": "Darwin", "os_family": "Darwin", "kernel": "24.6.0", "service_mgr": "launchd"}
SYSTEMCTL = 'shift; for unit; do if [ "$unit" = "$KEEPER" ]; then echo active; else echo inactive; all=3; fi; done'
SCENES: dict[str, tuple[dict[str, Any], dict[str, str], dict[str, Any]]] = {
    "by_chrony": (LINUX, {"KEEPER": "chrony", "RIGHT": "yes"}, {}),
    "by_timesyncd": (LINUX, {"KEEPER": "systemd-timesyncd", "RIGHT": "yes"}, {}),
    "just_started": (LINUX, {"KEEPER": "systemd-timesyncd", "RIGHT": "no"}, {}),
    "by_nobody": (LINUX, {"KEEPER": "", "RIGHT": "yes"}, {}),
    "contained": (LINUX | {"virtualization_tech_guest": ["container"]}, {"KEEPER": ""}, {}),
    "not_ours": (LINUX, {"KEEPER": ""}, {"base_time": False}),
    "mac": (MAC, {"NETWORK": "On"}, {}),
    "mac_off": (MAC, {"NETWORK": "Off"}, {}),
}


WHOLE = ("by_chrony", "contained", "not_ours")
"""Those that show whether the whole verification looks at the clock; the others are of how it does."""


def tasks(name: str, facts: dict[str, Any]) -> str:
    return "verify" if name in WHOLE else f"time_verify_{facts['system'].lower()}"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    place = tmp_path_factory.mktemp("clock")
    stand_in(
        place,
        systemctl=SYSTEMCTL + "; exit ${all-0}",
        timedatectl='[ "$2" = --property=NTPSynchronized ] && echo "$RIGHT"',
        systemsetup='echo "Network Time: $NETWORK"',
    )
    scenes = [
        Scene(name, name, [("base", tasks(name, facts))], facts, {"base_sshd": False, **variables}, environment)
        for name, (facts, environment, variables) in SCENES.items()
    ]
    return run(place, scenes)


@pytest.mark.parametrize("name", ["by_chrony", "by_timesyncd", "contained", "not_ours", "mac"])
def test_it_is_kept(told: Told, name: str) -> None:
    assert not told.failed[name], told.said[name]
    assert "The clock of" not in told.said[name]


def test_one_that_is_not_right_yet_is_said_and_no_fault(told: Told) -> None:
    assert not told.failed["just_started"], told.said["just_started"]
    assert "The clock of just_started is kept, but was not set yet" in told.said["just_started"]


@pytest.mark.parametrize("name", ["by_nobody", "mac_off"])
def test_nobody_keeps_it(told: Told, name: str) -> None:
    assert told.failed[name], told.said[name]
    assert f"Nothing keeps the clock of {name}" in told.said[name]


def test_a_container_is_not_asked(told: Told) -> None:
    assert "Somebody keeps the clock" in told.said["by_chrony"]
    assert "Somebody keeps the clock" not in told.said["contained"]
