"""The hook before every Bash command of an agent: CPU on top of what Python itself costs to start."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ansible_collections.toft.fleet.plugins.plugin_utils import rules
from toft.fleet.hook_table import Elsewhere, reduced

from tests.bench.setting import Report

SCRIPT = Path(__file__).parents[2] / "wrapper/toft/plugin/hooks/elsewhere.py"
ON_A_MAC = Elsewhere("macos", {"linux": "n1"}, {"docker": "n1", "podman": "n1", "gpu": "n2"}, "n1")
COMMANDS = ("ls -la && git status", "docker run -it x", "cd api && npm test 2>&1 | tail -20")


def run(report: Report) -> None:
    with tempfile.TemporaryDirectory() as state:
        (Path(state) / "toft").mkdir()
        table = {"made_at": time.time(), "made_from": [], **reduced(rules.built_in(), ON_A_MAC)}
        (Path(state) / "toft/hook.json").write_text(" ".join(table["programs"]) + "\n" + json.dumps(table))
        for command in COMMANDS:
            given = json.dumps({"tool_name": "Bash", "tool_input": {"command": command}})
            script = [sys.executable, "-I", "-S", str(SCRIPT)]
            nothing = [sys.executable, "-I", "-S", "-c", "pass"]
            rounds = [(_cpu_ms(state, script, given), _cpu_ms(state, nothing, given)) for _ in range(15)]
            whole, start = (statistics.median(each) for each in zip(*rounds, strict=True))
            report(f"hook, `{command}`", f"{whole - start:.1f} ms on top of {start:.1f} ms for Python itself")


def _cpu_ms(state: str, argv: list[str], given: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    env = {"PATH": os.environ["PATH"], "XDG_STATE_HOME": state}
    subprocess.run(argv, input=given, stdout=subprocess.DEVNULL, text=True, env=env, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000
