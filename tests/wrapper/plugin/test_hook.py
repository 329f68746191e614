"""The hook before every Bash command: right where it speaks, silent where in doubt, and quick."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils import rules, shell
from toft.fleet.hook_table import Elsewhere, reduced

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "wrapper/toft/plugin/hooks/elsewhere.py"
CASES = json.loads((ROOT / "tests/collection/plugin_utils/cases/commands.json").read_text())
ON_A_MAC = Elsewhere("macos", {"linux": "n1"}, {"docker": "n1", "podman": "n1", "gpu": "n2"}, "n1")
ON_THE_BUILDER = Elsewhere("linux", {"macos": "mac"}, {"xcode": "mac"}, None)


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("toft_hook_verdict", SCRIPT.with_name("verdict.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hook = loaded()


def table(elsewhere: Elsewhere) -> dict[str, Any]:
    whole = {"made_at": time.time(), "made_from": [], **reduced(rules.built_in(), elsewhere)}
    return json.loads(json.dumps(whole))


@pytest.fixture(scope="module")
def mac() -> dict[str, Any]:
    return table(ON_A_MAC)


def belongs_elsewhere(command: str, elsewhere: Elsewhere) -> bool:
    """By the whole parser and all the rules."""
    needs = rules.requirement(shell.parse(command), rules.built_in())
    missing = any(each in elsewhere.capabilities for each in needs.capabilities)
    other = needs.os is not None and needs.os != elsewhere.system
    return bool(missing or other or (needs.heavy and elsewhere.heavy))


@pytest.mark.parametrize("elsewhere", [ON_A_MAC, ON_THE_BUILDER], ids=["mac", "builder"])
def test_it_never_speaks_where_the_rules_do_not(elsewhere: Elsewhere) -> None:
    given = table(elsewhere)
    said = [case["command"] for case in CASES if hook.verdict(case["command"], given)]
    assert [command for command in said if not belongs_elsewhere(command, elsewhere)] == []
    if elsewhere is ON_A_MAC:
        meant = [case["command"] for case in CASES if belongs_elsewhere(case["command"], elsewhere)]
        print(f"the hook speaks at {len(said)} of {len(meant)} labelled commands that belong elsewhere")
        assert len(said) > len(meant) * 0.45


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        ("make -j8", "toft offload -- make -j8 "),
        ("docker build -t x .", "toft offload -- docker build -t x . "),
        ("cd api && npm test 2>&1 | tail -20", "toft offload --shell -- 'cd api && npm test 2>&1 | tail -20'"),
        ("make -j$(nproc)", "toft offload --shell -- 'make -j$(nproc)'"),
        ("CI=1 make", "toft offload --shell -- 'CI=1 make'"),
        ("pytest -k 'a b'", """toft offload --shell -- 'pytest -k '"'"'a b'"'"''"""),
        ("/usr/bin/make", "toft offload -- /usr/bin/make "),
    ],
)
def test_what_to_type_instead(mac: dict[str, Any], command: str, instead: str) -> None:
    said = hook.verdict(command, mac)
    assert said
    assert f"Run: {instead}" in said


def test_a_toft_that_is_not_on_the_path_is_named_in_full(mac: dict[str, Any]) -> None:
    assert "Run: '/my tools/toft' offload -- make -j8 " in hook.verdict("make -j8", {**mac, "toft": "'/my tools/toft'"})


@pytest.mark.parametrize(
    "command",
    [
        "ls -la", "git status", "", "   ", "make --help", "make clean", "echo make",
        "toft offload -- make", "cd x && toft offload -- make -j8", "TOFT_HOOK=off make", "TOFT_HOOK=off cd x && make",
        "make && git push", "make > build.log", "make & sleep 1", "bash -c make", "sudo make", "make `x`", "make $(x)",
        "make <<E\nE", "(make)", "{ make; }", "for i in 1 2; do make; done", "make 'unclosed", "if make; then x; fi",
        "make " + "x" * 5000,
    ],
)  # fmt: skip
def test_in_any_doubt_it_is_silent(mac: dict[str, Any], command: str) -> None:
    assert hook.verdict(command, mac) is None


def test_on_the_builder_itself_heavy_work_stays() -> None:
    assert hook.verdict("make -j8", table(ON_THE_BUILDER)) is None


# ---- as Claude Code runs it --------------------------------------------------


def write(state: Path, given: dict[str, Any]) -> None:
    (state / "toft").mkdir(parents=True, exist_ok=True)
    (state / "toft/hook.json").write_text(" ".join(given["programs"]) + "\n" + json.dumps(given))


def run(state: Path, call: object) -> subprocess.CompletedProcess[str]:
    given = call if isinstance(call, str) else json.dumps(call)
    env = {"PATH": os.environ["PATH"], "XDG_STATE_HOME": str(state)}
    argv = [sys.executable, "-I", "-S", str(SCRIPT)]
    return subprocess.run(argv, input=given, capture_output=True, text=True, env=env, timeout=30, check=False)


def bash(command: str) -> dict[str, Any]:
    return {
        "hook_event_name": "PreToolUse",
        "tool_name": "Bash",
        "tool_input": {"command": command, "timeout": 1e3},
        "x": None,
    }


def test_it_denies_with_the_reason(tmp_path: Path, mac: dict[str, Any]) -> None:
    write(tmp_path, mac)
    done = run(tmp_path, bash('make -j8 "ü"'))
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)["hookSpecificOutput"]
    assert said["hookEventName"] == "PreToolUse"
    assert said["permissionDecision"] == "deny"
    assert "toft offload" in said["permissionDecisionReason"]


OTHER_TOOL = {"tool_name": "Read", "tool_input": {"command": "make"}}
NO_TEXT = {"tool_name": "Bash", "tool_input": {"command": 7}}


@pytest.mark.parametrize("call", ["", "{", "[]", "null", '{"tool_name": "Bash"}', OTHER_TOOL, NO_TEXT])
def test_what_it_does_not_understand_it_allows(tmp_path: Path, mac: dict[str, Any], call: object) -> None:
    write(tmp_path, mac)
    done = run(tmp_path, call)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_a_table_it_is_off(tmp_path: Path) -> None:
    assert run(tmp_path, bash("make")).stdout == ""


def test_a_table_that_is_older_than_its_sources_says_nothing(tmp_path: Path, mac: dict[str, Any]) -> None:
    source = tmp_path / "config.yaml"
    source.write_text("")
    given = {**mac, "made_from": [[str(source), source.stat().st_mtime_ns]]}
    write(tmp_path, given)
    assert run(tmp_path, bash("make")).stdout
    os.utime(source, ns=(1, 1))
    assert run(tmp_path, bash("make")).stdout == ""
    write(tmp_path, {**mac, "made_at": time.time() - 8 * 86400})
    assert run(tmp_path, bash("make")).stdout == ""
    write(tmp_path, {**mac, "made_from": [[str(tmp_path / "new"), None]]})
    assert run(tmp_path, bash("make")).stdout
    (tmp_path / "toft/hook.json").write_text("make\n{broken")
    assert run(tmp_path, bash("make")).stdout == ""


STEPS = """
import sys
def step(*_):
    global steps
    steps += 1
    return step
steps, before, script = 0, set(sys.modules), open(sys.argv[1]).read()
code = compile(script, sys.argv[1], "exec")
sys.settrace(step)
try:
    exec(code, {"__name__": "__main__", "__file__": sys.argv[1]})
finally:
    sys.settrace(None)
    print(steps, *set(sys.modules) - before, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("command", "modules", "most"),
    [
        ("ls -la && git status", {"_json"}, 1500),
        ("docker run -it x", {"_json", "verdict"}, 4000),
        ("cd api && npm test 2>&1 | tail -20", {"_json", "verdict"}, 10_000),
    ],
)
def test_it_does_little(tmp_path: Path, mac: dict[str, Any], command: str, modules: set[str], most: int) -> None:
    """Its time is what it imports and the lines it runs; `make bench` measures the milliseconds."""
    write(tmp_path, mac)
    env = {"PATH": os.environ["PATH"], "XDG_STATE_HOME": str(tmp_path)}
    argv = [sys.executable, "-I", "-S", "-c", STEPS, str(SCRIPT)]
    done = subprocess.run(argv, input=json.dumps(bash(command)), capture_output=True, text=True, env=env, check=True)
    steps, *imported = done.stderr.split()
    assert set(imported) <= modules
    assert int(steps) < most
