"""The inventory as Ansible lists it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from toft.engine.inventory import Listed, listed
from toft.engine.runner import Engine, Refused

FARM = "farm: {children: {icecream: {hosts: {n2: , n1: {icecream_port: 9}}}}}\n"


@pytest.mark.parametrize("path", [os.environ["PATH"], "/nowhere"], ids=["usual", "elsewhere"])
def test_groups_and_variables_wherever_it_is_started_from(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ansible is where toft is, which need not be in PATH."""
    monkeypatch.setenv("PATH", path)
    engine = Engine(tmp_path / "runs", (), FARM, dict(os.environ))
    told = listed(engine)
    assert isinstance(told, Listed), told
    assert told.members("farm") == ("n2", "n1")
    assert told.variables("n1")["icecream_port"] == 9
    assert told.members("nobody") == ()
    assert list(engine.runs.iterdir()) == []


def test_what_ansible_says_of_an_inventory_that_it_cannot_read(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho 'the cupboard is bare' >&2\nexit 3\n")
    program.chmod(0o755)
    told = listed(Engine(tmp_path / "runs", (program,), None, dict(os.environ)))
    assert isinstance(told, Refused)
    assert str(program) in told.message
