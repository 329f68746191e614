"""The plugin as Claude Code sees it: its own validator, its own installer, in a home of the test's."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.command import Toft

ROOT = Path(__file__).parents[3]
PLUGIN = ROOT / "wrapper/toft/plugin"
VERSION = "2.1.197"
TOOLS = {
    "cluster_status", "route_command", "cluster_bash", "offload_to", "parallel_execute", "sync",
    "job_status", "job_output", "job_kill",
}  # fmt: skip


def cache() -> Path:
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if given.startswith("/") else Path.home() / ".cache") / "toft-tests" / f"claude-code-{VERSION}"


@pytest.fixture(scope="session")
def claude() -> str:
    """Claude Code of a fixed version, fetched once from the npm registry."""
    npm = shutil.which("npm")
    if npm is None:
        reason = "npm is needed to fetch Claude Code's validator"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    place = cache()
    place.mkdir(parents=True, exist_ok=True)
    program = place / "node_modules/.bin/claude"
    with open(place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            argv = [
                npm,
                "install",
                "--no-audit",
                "--no-fund",
                "--prefix",
                str(place),
                f"@anthropic-ai/claude-code@{VERSION}",
            ]
            subprocess.run(argv, check=True, capture_output=True, timeout=240)
    return str(program)


def run(claude: str, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    home.mkdir(exist_ok=True)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "DISABLE_AUTOUPDATER": "1",
    }
    done = subprocess.run([claude, *words], capture_output=True, text=True, env=env, timeout=120, check=False)
    return done


@pytest.mark.parametrize("what", [PLUGIN, ROOT], ids=["plugin", "marketplace"])
def test_the_validator_passes(claude: str, tmp_path: Path, what: Path) -> None:
    done = run(claude, tmp_path / "home", "plugin", "validate", "--strict", str(what))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_validator_would_complain(claude: str, tmp_path: Path) -> None:
    broken = tmp_path / "plugin"
    shutil.copytree(PLUGIN, broken)
    (broken / "commands/offload.md").write_text("---\nargument-hint: [node] <cmd>\n---\nx\n")
    assert run(claude, tmp_path / "home", "plugin", "validate", "--strict", str(broken)).returncode != 0


def test_toft_plugin_install_makes_it_known(claude: str, toft: Toft, tmp_path: Path) -> None:
    home = tmp_path / "person"
    home.mkdir()
    path = f"{Path(claude).parent}:{os.environ['PATH']}"
    toft.env |= {
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "PATH": path,
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }
    for _ in range(2):  # again is no error
        done = toft("plugin", "install")
        assert done.returncode == 0, done.stderr.decode()
    listed = run(claude, home, "plugin", "list").stdout
    assert "toft@toft" in listed
    assert "enabled" in listed
    server = json.loads((tmp_path / "data/toft/claude/toft/.mcp.json").read_text())["mcpServers"]["toft"]
    assert os.access(server["command"], os.X_OK)
    assert server["args"] == ["mcp"]
    hooks = json.loads((tmp_path / "data/toft/claude/toft/hooks/hooks.json").read_text())["hooks"]["PreToolUse"]
    python, *words = shlex.split(hooks[0]["hooks"][0]["command"])
    assert os.access(python, os.X_OK)
    assert words == ["-I", "-S", "${CLAUDE_PLUGIN_ROOT}/hooks/elsewhere.py"]
    assert run(claude, home, "plugin", "validate", "--strict", str(tmp_path / "data/toft/claude")).returncode == 0
    assert run(claude, home, "plugin", "validate", "--strict", str(tmp_path / "data/toft/claude/toft")).returncode == 0


def test_another_toft_takes_the_place_of_the_one_installed_before(claude: str, tmp_path: Path) -> None:
    """Claude Code keeps a copy of each version, and its server entry names a program that may be gone by now."""
    home = tmp_path / "person"
    path = f"{Path(claude).parent}:{os.environ['PATH']}"
    env = {"HOME": str(home), "CLAUDE_CONFIG_DIR": str(home / ".claude"), "PATH": path, "DISABLE_AUTOUPDATER": "1"}
    run(claude, home, "--version")
    for program in ("/opt/one/toft", "/opt/two/toft"):
        given = env | {"XDG_DATA_HOME": str(tmp_path / "data"), "PYTHONPATH": str(ROOT / "wrapper")}
        script = "import os, sys; from toft.fleet import claude_plugin as p; p.install(p.plan(os.environ), sys.argv[1])"
        argv = [sys.executable, "-c", script, program]
        done = subprocess.run(argv, env=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        installed = json.loads((home / ".claude/plugins/installed_plugins.json").read_text())["plugins"]["toft@toft"]
        copy = json.loads((Path(installed[0]["installPath"]) / ".mcp.json").read_text())
        assert copy["mcpServers"]["toft"]["command"] == program


def test_without_claude_it_says_what_to_type(toft: Toft, tmp_path: Path) -> None:
    toft.env |= {"PATH": "/usr/bin:/bin", "XDG_DATA_HOME": str(tmp_path / "data")}
    dry = toft("plugin", "install", "--dry-run")
    assert dry.returncode == 0
    assert not (tmp_path / "data").exists()
    done = toft("plugin", "install")
    assert dry.stdout == done.stdout
    directory = tmp_path / "data/toft/claude"
    lines = [f"marketplace add {directory}", "install toft@toft", "update toft@toft"]
    assert done.stdout.decode() == "".join(f"claude plugin {line}\n" for line in lines)
    assert (directory / "toft/hooks/elsewhere.py").is_file()


def test_the_hook_is_off_until_it_is_switched_on(toft: Toft, tmp_path: Path) -> None:
    assert toft("plugin", "hook").stdout == b"off\n"
    assert toft("plugin", "hook", "on").stdout == b"on\n"
    table = toft.home / "state/toft/hook.json"
    assert table.stat().st_mode & 0o077 == 0
    names, _, rest = table.read_text().partition("\n")
    assert set(names.split()) == set(json.loads(rest)["programs"])
    assert toft("plugin", "hook", "off").stdout == b"off\n"
    assert not table.exists()
    assert toft("plugin", "hook", "maybe").returncode == 2


def documents() -> list[Path]:
    return [*PLUGIN.glob("commands/*.md"), *PLUGIN.glob("agents/*.md"), *PLUGIN.glob("skills/*/SKILL.md")]


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_only_tools_that_there_are(path: Path) -> None:
    text = path.read_text()
    head = yaml.safe_load(text.split("---")[1])
    assert head["description"]
    tools = head.get("tools", []) + head.get("allowed-tools", [])
    ours = [tool.removeprefix("mcp__plugin_toft_toft__") for tool in tools if tool.startswith("mcp__")]
    assert set(ours) <= TOOLS
    spoken = set(re.findall(r"`((?:cluster|route|offload|parallel|job)_\w+)`", text))
    assert spoken <= TOOLS


def test_mcp_without_the_sdk_says_what_to_type(toft: Toft, tmp_path: Path) -> None:
    """The SDK hidden, as where it is not installed."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfound = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'mcp' else found(name, *more)\n"
    )
    toft.env["PYTHONPATH"] = str(tmp_path)
    done = toft("mcp", given=b"")
    assert done.returncode == 2
    assert b"pip install 'toft[mcp]'" in done.stderr


def test_the_wheel_carries_it(tmp_path: Path) -> None:
    """Dot files too."""
    argv = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in PLUGIN.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert str(path.relative_to(ROOT / "wrapper")) in names
    assert "toft/fleet/policy.yml" in names
