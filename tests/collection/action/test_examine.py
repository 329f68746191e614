"""`toft.fleet.examine` in a playbook: this machine is examined, and nothing is left on it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.toft.fleet.plugins.modules.examine import EXAMPLES

BIN = Path(sys.executable).parent
PYTHON = f"ansible_python_interpreter={sys.executable}"


def play(tmp_path: Path, tasks: list[dict[str, Any]], *more: str) -> str:
    (tmp_path / "play.yml").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    (tmp_path / "hosts").write_text(f"[agents]\nhere ansible_connection=local toft_agent_port=1 {PYTHON}\n")
    argv = [BIN / "ansible-playbook", "-i", tmp_path / "hosts", *more, tmp_path / "play.yml"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True, env=env).stdout


def test_the_example_and_what_it_answers(tmp_path: Path) -> None:
    answer = tmp_path / "answer.json"
    keep = {"ansible.builtin.copy": {"content": "{{ fleet | to_json }}", "dest": str(answer)}}
    said = play(tmp_path, [*yaml.safe_load(EXAMPLES), keep])
    assert "failed=0" in said
    told = json.loads(answer.read_text())
    node = told["nodes"]["here"]
    assert (told["changed"], node["trial"]["record"]["exit_code"], node["trial"]["removed"]) == (False, 0, True)
    assert node["look"] == {"agent": {"port": 1, "service": node["look"]["agent"]["service"], **REFUSED}}
    assert list((tmp_path / "state/toft/jobs").iterdir()) == []
    assert "inventory" not in told


REFUSED = {"answer": "", "error": "refused"}


def test_in_check_mode_no_job_is_run(tmp_path: Path) -> None:
    assert "skipped=1" in play(tmp_path, yaml.safe_load(EXAMPLES)[:1], "--check")
    assert not (tmp_path / "state").exists()
