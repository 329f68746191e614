"""The collection alone, with ansible-core, on real hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

BIN = Path(sys.executable).parent
HERE = {"PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1", "HOME": os.environ.get("HOME", "/")}
ROOT = Path(__file__).parents[2]


def ansible(program: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Plain Ansible: no collections path is set, so the collection is found as any installed one."""
    argv = [str(BIN / program), *words]
    return subprocess.run(argv, capture_output=True, text=True, env=HERE | more, cwd="/", timeout=120, check=False)


def test_load_facts_by_hand(lab) -> None:
    done = ansible("ansible", "all", "-i", str(lab.inventory), "-m", "toft.fleet.load_facts")
    assert done.returncode == 0, done.stdout + done.stderr
    for name, host in lab.hosts.items():
        assert f"{name} | SUCCESS" in done.stdout
        assert host.run("cat /etc/machine-id").stdout.strip() in done.stdout


def test_a_task_is_delegated_to_the_node_that_was_chosen(lab) -> None:
    words = json.dumps({"words": ["make", "--version"]})
    done = ansible("ansible-playbook", "toft.fleet.delegate", "-i", str(lab.inventory), "-e", words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "GNU Make" in done.stdout


def test_heavy_work_is_delegated_to_a_builder(lab) -> None:
    groups = yaml.safe_load(lab.inventory.read_text())
    words = json.dumps({"words": ["sh", "-c", "printf 'x:\\n\\t@cat /etc/machine-id\\n' | make -s -f - x"]})
    done = ansible("ansible-playbook", "toft.fleet.delegate", "-i", str(lab.inventory), "-e", words)
    assert done.returncode == 0, done.stdout + done.stderr
    builders = groups["all"]["children"]["builders"]["hosts"]
    assert set(builders) < set(lab.hosts), "some node is no builder, or this tests nothing"
    ids = {lab.hosts[name].run("cat /etc/machine-id").stdout.strip(): name for name in builders}
    assert any(machine in done.stdout for machine in ids)


def test_no_node_that_can_is_said(lab) -> None:
    words = json.dumps({"words": ["xcodebuild", "-version"]})
    done = ansible("ansible-playbook", "toft.fleet.delegate", "-i", str(lab.inventory), "-e", words)
    assert done.returncode == 2
    assert "macos" in done.stdout


def test_a_node_that_is_down_ends_nobody_elses_play(lab, tmp_path: Path) -> None:
    play = tmp_path / "play.yml"
    play.write_text(
        """
- hosts: all
  gather_facts: false
  tasks:
    - toft.fleet.probe:
      register: fleet
      run_once: true
    - ansible.builtin.meta: end_host
      when: fleet.nodes[inventory_hostname].load is none
    - ansible.builtin.debug:
        msg: "{{ inventory_hostname }} goes on"
"""
    )
    with lab.hosts["n2"].cut():
        done = ansible("ansible-playbook", str(play), "-i", str(lab.inventory))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [n for n in sorted(lab.hosts) if f"{n} goes on" in done.stdout] == ["n1", "n3"]


def test_verify_sends_each_node_a_job(lab, tmp_path: Path) -> None:
    """The play of toft.fleet.verify that does so, alone: what the others look at is not on these hosts."""
    plays = yaml.safe_load((ROOT / "playbooks/verify.yml").read_text())
    play = tmp_path / "play.yml"
    play.write_text(yaml.safe_dump([play for play in plays if play["name"] == "Verify that work can be sent"]))
    with lab.hosts["n2"].without_python():
        done = ansible("ansible-playbook", str(play), "-i", str(lab.inventory))
    assert done.returncode == 2, done.stdout + done.stderr
    assert [n for n in sorted(lab.hosts) if f"ok: [{n}]\n" in done.stdout.partition("It ran there")[2]] == ["n1", "n3"]
    assert "has no Python 3 that toft could find. Fix: " in done.stdout + done.stderr


def test_a_job_in_a_playbook_starts_once(lab, tmp_path: Path) -> None:
    play = tmp_path / "play.yml"
    play.write_text(
        """
- hosts: all
  gather_facts: false
  tasks:
    - toft.fleet.job:
        argv: [sh, -c, !unsafe 'echo "{{ data }}"; echo bad >&2; echo x >> /tmp/job-runs']
        id: once-{{ seed }}
      loop: [1, 2]
      register: done
    - ansible.builtin.assert:
        that:
          - done.results | map(attribute="rc") | list == [0, 0]
          - done.results | map(attribute="changed") | list == [true, false]
          - done.results[0].stdout | b64encode == "e3sgZGF0YSB9fQo="
          - done.results[0].stderr_lines == ["bad"]
    - toft.fleet.job:
        cmd: exit 7
      register: failed
      ignore_errors: true
    - ansible.builtin.assert:
        that: [failed is failed, failed.rc == 7]
"""
    )
    seed = os.urandom(4).hex()
    done = ansible("ansible-playbook", str(play), "-i", str(lab.inventory), "-e", json.dumps({"seed": seed}))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [host.run("cat /tmp/job-runs").stdout for host in lab.hosts.values()] == ["x\n"] * 3
