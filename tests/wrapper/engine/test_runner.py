"""Ansible driven for real, on this machine: answers, refusals, and what a run may never do."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from toft.engine.requests import Request, Step
from toft.engine.runner import Answers, Engine, Refused, collections_path, settings

LOCAL = "local:\n  hosts:\n    here:\n      ansible_connection: local\n"


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(tmp_path / "runs", (), LOCAL, dict(os.environ))


def test_the_steps_answers_come_back(engine: Engine) -> None:
    answers = engine.run(Request("all", (Step("probe"), Step("route")), {"words": ["ls"]}))
    assert isinstance(answers, Answers)
    assert answers["probe"]["nodes"]["here"]["load"]["cores"] == os.cpu_count()
    assert answers["route"]["node"] == "here"


def test_a_run_leaves_nothing_unless_asked(engine: Engine) -> None:
    engine.run(Request("all", (Step("route"),), {"words": ["ls"]}))
    assert list(engine.runs.iterdir()) == []
    kept = engine.run(Request("all", (Step("route"),), {"words": ["ls"]}, label="j1", keep=True))
    assert isinstance(kept, Answers)
    request = kept.run_dir / "request.json"
    assert stat.S_IMODE(request.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.run_dir.stat().st_mode) == 0o700


def test_no_node_matches(engine: Engine) -> None:
    refused = engine.run(Request("nobody", (Step("probe"),)))
    assert isinstance(refused, Refused)
    assert refused.code == "no_hosts"


def test_a_bad_request_is_usage(engine: Engine) -> None:
    refused = engine.run(Request("all", (Step("route"),), {"words": ["ls"], "nonsense": 1}))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.message) == ("usage", "a request has no nonsense")


def test_an_inventory_that_ansible_refuses(tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("all: [1, 2\n")
    refused = Engine(tmp_path / "runs", (inventory,)).run(Request("all", (Step("probe"),)))
    assert isinstance(refused, Refused)
    assert "hosts.yml" in refused.message + refused.detail


def test_a_template_in_a_request_is_text(engine: Engine, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    words = ["echo", f"{{{{ lookup('pipe', 'touch {canary}') }}}}"]
    answers = engine.run(Request("all", (Step("route"),), {"words": words}))
    assert isinstance(answers, Answers)
    assert answers["route"]["decision"]["words"] == words
    assert not canary.exists()


def test_the_directory_that_one_stands_in_configures_nothing(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ansible.cfg of a repository is whoever's who wrote the repository."""
    (tmp_path / "ansible.cfg").write_text("[defaults]\nstdout_callback = no.such.callback\nroles_path = /x\n")
    monkeypatch.chdir(tmp_path)
    assert isinstance(engine.run(Request("all", (Step("route"),), {"words": ["ls"]})), Answers)


def test_host_keys_are_checked() -> None:
    assert settings({})["ANSIBLE_HOST_KEY_CHECKING"] == "True"


def test_our_collection_comes_first(tmp_path: Path) -> None:
    paths = collections_path({"ANSIBLE_COLLECTIONS_PATH": str(tmp_path)})
    assert (Path(paths[0]) / "ansible_collections/toft/fleet/galaxy.yml").is_file()
    assert paths[1:] == [str(tmp_path)]


def test_a_cancelled_run_starts_nothing(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "runs", (), LOCAL, dict(os.environ), cancelled=lambda: True)
    refused = engine.run(Request("all", (Step("probe"),)))
    assert isinstance(refused, Refused)
    assert refused.code == "cancelled"


def test_the_play_is_plain_json(engine: Engine) -> None:
    assert json.loads(Request("all", (Step("probe"),)).playbook("/x"))[0]["gather_facts"] is False
