"""What starts a job or brings a tree does neither under --check."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    done = subprocess.run(
        [BIN / "ansible-playbook", "-i", "here,", "-c", "local", *more, tmp_path / "play.yml"],
        capture_output=True, text=True, timeout=60, check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ANSIBLE_NOCOLOR": "1"},
    )  # fmt: skip
    if more:
        assert "skipped=1" in done.stdout
        assert not (tmp_path / ".local/state/toft/jobs").exists()
    else:
        assert "changed=1" in done.stdout
        assert (tmp_path / ".local/state/toft/jobs/jcheckmode1").exists()
