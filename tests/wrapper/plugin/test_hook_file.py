"""The hook's table is renewed by whoever runs toft, in the background, when its sources have changed; and only then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import ClientSession
from toft.fleet import hook_file
from toft.fleet.hook_file import renew, state, switch_off

from tests.agent import talk
from tests.command import TOFT, Toft, until

RULE = "rules:\n- {name: mine, programs: [fantasy], heavy: true}\n"


def env(toft: Toft) -> dict[str, str]:
    return toft.environment


def table(toft: Toft) -> dict[str, Any]:
    text = (toft.home / "state/toft/hook.json").read_text()
    return dict(json.loads(text.partition("\n")[2]))


def checks(toft: Toft) -> dict[str, Any]:
    (found,) = [check for check in toft.json("doctor")["checks"] if check["subject"] == "hook"]
    return dict(found)


def config(toft: Toft) -> Path:
    path = toft.home / "config/toft/config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_a_command_renews_it_when_a_source_has_changed(toft: Toft) -> None:
    assert toft("plugin", "hook", "on").returncode == 0
    first = table(toft)
    assert toft("status").returncode == 0
    assert not (toft.home / "state/toft/hook.lock").read_text()  # nothing was due, nothing begun
    assert checks(toft)["verdict"] == "ok"
    assert first["elsewhere"] in checks(toft)["found"]

    config(toft).write_text(RULE)
    told = toft("plugin", "hook")
    assert told.stdout == b"on\n"
    assert b"config.yaml has changed since" in told.stderr
    assert toft("route", "true").returncode == 0
    until(lambda: table(toft)["made_at"] > first["made_at"], what="the renewal")
    assert not state(env(toft)).stale
    assert toft("plugin", "hook").stderr == b""


def test_it_says_toft_as_a_shell_finds_it(toft: Toft, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    toft.env["PATH"] = f"{tmp_path / 'bin'}:/usr/bin:/bin"
    toft("plugin", "hook", "on")
    assert table(toft)["toft"] == TOFT
    toft.env["PATH"] = f"{Path(TOFT).parent}:/usr/bin:/bin"
    toft("plugin", "hook", "on")
    assert table(toft)["toft"] == "toft"


def test_a_session_of_an_agent_renews_it_too(toft: Toft) -> None:
    toft("plugin", "hook", "on")
    first = table(toft)
    config(toft).write_text(RULE)

    async def body(session: ClientSession) -> None:
        pass

    talk(toft, body)
    until(lambda: table(toft)["made_at"] > first["made_at"], what="the renewal")


def test_doctor_says_that_it_is_stale(toft: Toft) -> None:
    assert checks(toft)["found"].startswith("off")
    toft("plugin", "hook", "on")
    config(toft).write_text("announce: off\n")
    found = checks(toft)
    assert (found["verdict"], found["fix"]) == ("warn", "toft plugin hook on")
    assert "config.yaml has changed" in found["found"]
    (toft.home / "state/toft/hook.json").write_text("make\n{broken")
    assert "cannot be read" in checks(toft)["found"]


def test_an_inventory_that_was_given_stays_the_one(toft: Toft, tmp_path: Path) -> None:
    """And another that is given to some other command is none of the table's business."""
    one, other = tmp_path / "one.yml", tmp_path / "other.yml"
    text = "all: {hosts: {NAME: {ansible_connection: local}}}\n"
    one.write_text(text.replace("NAME", "one"))
    other.write_text(text.replace("NAME", "other"))
    toft.inventory = one
    toft("plugin", "hook", "on")
    first = table(toft)
    assert first["inventory"] == [str(one)]
    toft.inventory, toft.env["TOFT_INVENTORY"] = other, str(other)
    assert toft("status").returncode == 0
    assert table(toft) == first
    one.write_text(one.read_text() + "# changed\n")
    assert toft("status").returncode == 0
    until(lambda: table(toft)["made_at"] > first["made_at"], what="the renewal")
    assert table(toft)["inventory"] == [str(one)]


# ---- when it is due ----------------------------------------------------------


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    monkeypatch.setattr(hook_file, "begin", lambda argv, env: found.append(tuple(argv)))
    return found


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """A table with one source; the environment that leads to it."""
    source = tmp_path / "config.yaml"
    source.write_text("")

    def write(**changes: Any) -> dict[str, str]:
        about = {
            "made_at": time.time(),
            "made_from": [[str(source), source.stat().st_mtime_ns]],
            "inventory": ["/somewhere"],
            "elsewhere": "nothing belongs elsewhere",
        }
        (tmp_path / "toft").mkdir(exist_ok=True)
        (tmp_path / "toft/hook.json").write_text("make\n" + json.dumps({**about, **changes}))
        return {"XDG_STATE_HOME": str(tmp_path), "TOFT_RULES": "not for the renewal"}

    return write


def test_what_holds_is_left_alone(written: Callable[..., dict[str, str]], begun: list[tuple[str, ...]]) -> None:
    renew(written())
    assert begun == []


def test_once_for_each_change(
    written: Callable[..., dict[str, str]], begun: list[tuple[str, ...]], tmp_path: Path
) -> None:
    given = written()
    os.utime(tmp_path / "config.yaml", ns=(1, 1))
    for _ in range(3):
        renew(given)
    assert [argv[-2:] for argv in begun] == [("toft.fleet.hook_file", "/somewhere")]
    os.utime(tmp_path / "config.yaml", ns=(2, 2))
    renew(given)
    assert len(begun) == 2
    (tmp_path / "config.yaml").unlink()
    renew(given)
    assert len(begun) == 3


def test_after_an_hour_and_if_that_failed_after_ten_minutes(
    written: Callable[..., dict[str, str]], begun: list[tuple[str, ...]], tmp_path: Path
) -> None:
    given = written(made_at=time.time() - 3700)
    renew(given)
    renew(given)
    assert len(begun) == 1
    mark = tmp_path / "toft/hook.lock"
    tried = json.loads(mark.read_text())
    mark.write_text(json.dumps({**tried, "at": tried["at"] - 700}))
    renew(given)
    assert len(begun) == 2
    mark.write_text("{broken")
    renew(given)
    assert len(begun) == 3


@pytest.mark.parametrize("text", [None, "", "make\n", "make\n[]", "make\n{}", "make\n{broken"])
def test_without_a_table_nothing_is_begun(tmp_path: Path, begun: list[tuple[str, ...]], text: str | None) -> None:
    (tmp_path / "toft").mkdir()
    if text is not None:
        (tmp_path / "toft/hook.json").write_text(text)
    renew({"XDG_STATE_HOME": str(tmp_path)})
    assert begun == []
    assert not (tmp_path / "toft/hook.lock").exists()


def test_switched_off_it_stays_off_whoever_was_renewing(toft: Toft) -> None:
    toft("plugin", "hook", "on")
    switch_off(env(toft))
    argv = [sys.executable, "-P", "-m", "toft.fleet.hook_file"]
    assert subprocess.run(argv, env=env(toft), timeout=60, check=False).returncode == 0
    assert not state(env(toft)).on


def test_a_renewal_that_fails_leaves_the_table(toft: Toft, tmp_path: Path) -> None:
    toft("plugin", "hook", "on")
    first = table(toft)
    argv = [sys.executable, "-P", "-m", "toft.fleet.hook_file", str(tmp_path / "nowhere.yml")]
    assert subprocess.run(argv, env=env(toft), timeout=60, check=False).returncode == 1
    assert table(toft) == first
