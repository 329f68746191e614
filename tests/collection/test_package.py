"""The collection and the wheel as they are given away: whole, documented, and working from anywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COLLECTION = ROOT / "collection/ansible_collections/toft/fleet"
BIN = Path(sys.executable).parent
LEFT_OUT = {"galaxy.yml", "plugins/plugin_utils/.gitkeep"}
"""What a collection's archive does not carry: MANIFEST.json stands for galaxy.yml in it."""


def run(*command: str, home: Path, **env: str) -> str:
    mine = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    mine |= {"ANSIBLE_HOME": str(home), "ANSIBLE_NOCOLOR": "1", "PATH": f"{BIN}:{os.environ['PATH']}", **env}
    done = subprocess.run(command, capture_output=True, text=True, env=mine, cwd=home, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def source_files(directory: Path) -> set[str]:
    """Those that belong to it, whether or not they are committed yet."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."]
    listed = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split("\0") if name and (directory / name).exists()}


def plugins(kind: str) -> list[str]:
    return sorted(file.stem for file in (COLLECTION / "plugins" / kind).glob("[a-z]*.py"))


PLUGINS = (("module", "modules"), ("inventory", "inventory"), ("filter", "filter"))
"""What people name in a playbook or an inventory, as ansible-doc calls it, and where it is."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("galaxy")
    run("ansible-galaxy", "collection", "build", "--output-path", str(home), str(COLLECTION), home=home)
    (built,) = home.glob("toft-fleet-*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("wheel")
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(home),
        str(ROOT),
        home=home,
    )
    (built,) = home.glob("toft-*.whl")
    return built


def test_the_archive_holds_every_file_of_the_collection(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        held = {member.name for member in tar if member.isfile()}
        licence = tar.extractfile("LICENSE")
        assert licence is not None
        assert licence.read() == (ROOT / "LICENSE").read_bytes()
    assert held - {"MANIFEST.json", "FILES.json"} == source_files(COLLECTION) - LEFT_OUT
    assert "plugins/plugin_utils/probe.sh" in held


def test_the_wheel_holds_the_command_and_the_collection(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        entry_points = archive.read(next(name for name in held if name.endswith("/entry_points.txt"))).decode()
    expected = {f"ansible_collections/toft/fleet/{name}" for name in source_files(COLLECTION)}
    expected |= {f"toft/{name}" for name in source_files(ROOT / "wrapper/toft")}
    assert {name for name in held if ".dist-info/" not in name} == expected
    assert "toft = toft.resident.client:main" in entry_points


def test_the_wheel_and_the_collection_have_one_version(wheel: Path) -> None:
    version = yaml.safe_load((COLLECTION / "galaxy.yml").read_text())["version"]
    assert wheel.name.startswith(f"toft-{version}-")


def test_what_was_installed_from_the_archive_works_alone(archive: Path, tmp_path: Path) -> None:
    place = tmp_path / "collections"
    # the editable copy beside this Python counts as installed already
    install = ("ansible-galaxy", "collection", "install", "--offline", "--force", "-p", str(place))
    run(*install, str(archive), home=tmp_path)
    env = {"ANSIBLE_COLLECTIONS_PATH": str(place), "PYTHONPATH": "", "ANSIBLE_LOCALHOST_WARNING": "false"}
    told = json.loads(run("ansible-doc", "-j", "toft.fleet.load_facts", home=tmp_path, **env))
    assert told["toft.fleet.load_facts"]["doc"]["filename"].startswith(str(place))
    facts = run("ansible", "localhost", "-m", "toft.fleet.load_facts", home=tmp_path, **env)
    assert '"cpu_percent"' in facts


@pytest.fixture(scope="module")
def documentation(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Of every plugin that people name in a playbook or an inventory."""
    home = tmp_path_factory.mktemp("doc")
    env = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collection")}
    told: dict[str, dict[str, Any]] = {}
    for kind, directory in PLUGINS:
        names = [f"toft.fleet.{name}" for name in plugins(directory)]
        told |= json.loads(run("ansible-doc", "-t", kind, "-j", *names, home=home, **env))
    return told


@pytest.mark.parametrize("name", [name for _, directory in PLUGINS for name in plugins(directory)])
def test_every_plugin_is_documented(name: str, documentation: dict[str, dict[str, Any]]) -> None:
    told = documentation[f"toft.fleet.{name}"]
    assert told["doc"]["short_description"]
    assert told["doc"]["collection"] == "toft.fleet"
    assert list(yaml.safe_load_all(told["examples"]))
    for option, about in told["doc"].get("options", {}).items():
        assert about["description"], option


@pytest.mark.parametrize("name", sorted(file.name for file in (COLLECTION / "roles").iterdir()))
def test_every_role_is_documented(name: str, tmp_path: Path) -> None:
    role, env = f"toft.fleet.{name}", {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collection")}
    told = json.loads(run("ansible-doc", "-t", "role", "-j", role, home=tmp_path, **env))[role]
    assert f"{name}_state" in told["entry_points"]["main"]["options"]
    for about in told["entry_points"].values():
        assert about["short_description"]
        assert all(option["description"] for option in about["options"].values())
    shown = run("ansible-doc", "-t", "role", role, home=tmp_path, **env)
    assert told["entry_points"]["main"]["short_description"] in shown


@pytest.mark.parametrize("name", plugins("modules"))
def test_every_module_says_what_it_returns(name: str, documentation: dict[str, dict[str, Any]]) -> None:
    assert documentation[f"toft.fleet.{name}"]["return"]


@pytest.mark.parametrize("name", plugins("modules"))
def test_every_example_names_options_that_exist(name: str, documentation: dict[str, dict[str, Any]]) -> None:
    told = documentation[f"toft.fleet.{name}"]
    tasks = [task for task in yaml.safe_load(told["examples"]) if f"toft.fleet.{name}" in task]
    assert tasks
    for task in tasks:
        assert set(task[f"toft.fleet.{name}"] or {}) <= set(told["doc"].get("options", {}))


def test_every_action_has_a_module_that_documents_it() -> None:
    assert set(plugins("action")) <= set(plugins("modules"))


@pytest.mark.parametrize("name", ["REACH", "POLICY", "TARGET"])
def test_shared_options_are_documented_as_the_actions_take_them(name: str) -> None:
    from ansible_collections.toft.fleet.plugins.doc_fragments.play import ModuleDocFragment
    from ansible_collections.toft.fleet.plugins.plugin_utils import play

    told = yaml.safe_load(getattr(ModuleDocFragment, name))["options"]
    taken = {option: {k: v for k, v in about.items() if k != "description"} for option, about in told.items()}
    assert taken == getattr(play, name)


def test_the_facts_are_documented_one_by_one(documentation: dict[str, dict[str, Any]]) -> None:
    from ansible_collections.toft.fleet.plugins.module_utils.load import Load

    facts = documentation["toft.fleet.load_facts"]["return"]["ansible_facts"]["contains"]["toft_load"]["contains"]
    assert set(facts) == set(Load().to_dict())


def test_the_readme_names_everything_that_there_is() -> None:
    readme = (COLLECTION / "README.md").read_text()
    roles = [file.parent.parent.name for file in COLLECTION.glob("roles/*/tasks/main.yml")]
    playbooks = [file.stem for file in COLLECTION.glob("playbooks/*.yml")]
    there = plugins("modules") + plugins("inventory") + roles + playbooks
    assert [name for name in there if f"`toft.fleet.{name}`" not in readme] == []
