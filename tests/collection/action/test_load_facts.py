"""`toft.fleet.load_facts` as Ansible runs it: for several hosts, with become, in check mode, and refused."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BIN = Path(sys.executable).parent

HOSTS = """
all:
  vars:
    ansible_connection: local
  hosts:
    plain:
    storage:
      toft_workdir: "{{ 'w' + 'ork' }}"
      toft_storage_hot: /tmp
      toft_storage_cold:
    other:
      ansible_become: true
      ansible_become_user: nobody
      ansible_become_method: ansible.builtin.su
      ansible_become_flags: -s /bin/sh
    mute:
      ansible_shell_executable: /bin/true
    strange:
      ansible_shell_executable: /bin/echo
"""


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    file = tmp_path / "hosts.yml"
    file.write_text(HOSTS)
    return file


def ansible(hosts: Path, pattern: str, options: dict[str, Any] | None = None, *more: str) -> dict[str, Any]:
    """The results by host, each with `state` as the ad-hoc output names it (SUCCESS, FAILED!…)."""
    command = [str(BIN / "ansible"), "-i", str(hosts), pattern, "-m", "toft.fleet.load_facts", *more]
    command += ["-a", json.dumps(options)] if options else []
    env = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    env |= {"ANSIBLE_HOME": str(hosts.parent / "home"), "ANSIBLE_NOCOLOR": "1"}
    env["PATH"] = f"{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
    results = {}
    for host, state, told in re.findall(r"^(\S+) \| ([A-Z!]+) => (\{.*?^\})$", done.stdout, re.MULTILINE | re.DOTALL):
        results[host] = {"state": state, **json.loads(told)}
    assert results, done.stderr
    return results


def load(result: dict[str, Any]) -> dict[str, Any]:
    assert result["state"] == "SUCCESS", result
    assert result["changed"] is False
    facts: dict[str, Any] = result["ansible_facts"]["toft_load"]
    return facts


def test_each_host_has_its_own_facts(hosts: Path) -> None:
    results = ansible(hosts, "plain:storage:mute:strange")
    plain, storage = load(results["plain"]), load(results["storage"])
    home = plain["home"]
    assert plain["hostname"] == os.uname().nodename
    assert [disk["path"] for disk in plain["disks"]] == [home]
    assert {disk["path"] for disk in storage["disks"]} == {f"{home}/work", "/tmp"}
    assert (results["mute"]["state"], results["mute"]["cause"]) == ("FAILED!", "no_sh")
    assert (results["strange"]["state"], results["strange"]["cause"]) == ("FAILED!", "protocol")


def test_options(hosts: Path) -> None:
    told = load(
        ansible(hosts, "plain", {"paths": ["/", "/tmp"], "interval": 0.5, "commands": ["true", "nosuch"]})["plain"]
    )
    assert [disk["path"] for disk in told["disks"]] == ["/", "/tmp"]
    assert told["interval_s"] == 0.5
    assert "true" in told["capabilities"]
    assert "nosuch" not in told["capabilities"]


def test_check_mode_measures_all_the_same(hosts: Path) -> None:
    assert load(ansible(hosts, "plain", None, "--check")["plain"])["cores"]


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("su"), reason="needs root, who may become anybody")
def test_become_measures_as_the_other_user(hosts: Path) -> None:
    told = load(ansible(hosts, "other")["other"])
    assert told["user"] == "nobody"
    assert told["home"] == pwd.getpwnam("nobody").pw_dir


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"paths": ["/a\nb"]}, "not a path"),
        ({"interval": "soon"}, "interval"),
        ({"path": "/"}, "Unsupported parameters"),
    ],
)
def test_what_is_asked_wrongly_is_refused(hosts: Path, options: dict[str, Any], words: str) -> None:
    result = ansible(hosts, "plain", options)["plain"]
    assert result["state"] == "FAILED!"
    assert words in result["msg"]


def test_it_does_not_run_in_the_background(hosts: Path) -> None:
    result = ansible(hosts, "plain", None, "-B", "10", "-P", "1")["plain"]
    assert result["state"] == "FAILED!"
    assert "async" in result["msg"]


def test_a_path_is_never_a_template_or_a_command(hosts: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    hosts.write_text(
        HOSTS.replace(
            "toft_storage_hot: /tmp",
            f"toft_storage_hot: !unsafe \"{{{{ lookup('pipe', 'touch {canary}') }}}}\"",
        ).replace(
            "toft_storage_cold:",
            f'toft_storage_cold: "/tmp/$(touch {canary})`touch {canary}`; touch {canary}"',
        )
    )
    told = load(ansible(hosts, "storage")["storage"])
    assert any("lookup" in disk["path"] for disk in told["disks"])
    assert not canary.exists()
