"""What starts a job or brings a tree does neither under --check."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import until

BIN = Path(sys.executable).parent


@pytest.mark.parametrize("more", [[], ["--check"]], ids=["for real", "check"])
def test_a_job_is_not_started(tmp_path: Path, more: list[str]) -> None:
    mark = tmp_path / "mark"
    request = tmp_path / "request.json"
    job = {"id": "jcheckmode1", "stdin": "none", "env": {}, "cwd": None, "timeout_s": None, "tty": None}
    request.write_text(json.dumps({"words": ["touch", str(mark)], "form": "exec", "job": job}))
    request.chmod(0o600)
    play = [{"hosts": "all", "gather_facts": False, "tasks": [{"toft.fleet.dispatch": {"request": str(request)}}]}]
    (tmp_path / "play.yml").write_text(json.dumps(play))
    (tmp_path / "hosts").write_text("here ansible_connection=local\n")
    argv = [BIN / "ansible-playbook", "-i", tmp_path / "hosts", *more, tmp_path / "play.yml"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True, env=env)
    jobs = tmp_path / "state/toft/jobs/jcheckmode1-1"
    if more:
        assert "skipped=1" in done.stdout
        assert not jobs.exists()
    else:
        assert "changed=1" in done.stdout
        assert jobs.exists()
        until(mark.exists, what="the job's mark")
