from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from toft.fleet.audit import HIDDEN, Audit, redacted
from toft.fleet.failures import Failure


def test_lines_are_only_added_and_the_owners_alone(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "state/mcp-audit.jsonl")
    for number in range(3):
        audit.write("call", number=number, text="two\nlines \x1b[31m")
    lines = audit.path.read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == [0, 1, 2]
    assert stat.S_IMODE(audit.path.stat().st_mode) == 0o600


def test_what_cannot_be_written_down_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match="nothing is run"):
        Audit(tmp_path / "file" / "audit").write("call")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Failure):
        Audit(tmp_path / "link").write("call")


@pytest.mark.parametrize(
    "command",
    [
        "API_KEY=canary make",
        "export TOKEN='canary x' && make",
        "curl https://me:canary@example.org/x",
        "deploy --token canary",
        "deploy --api-key=canary",
        "mysql --password='canary'",
        "curl -H 'Authorization: Bearer canary-canary' x",
        "echo ghp_canarycanarycanary1",
        "echo sk-canarycanarycanary1",
    ],
)
def test_secrets_are_left_out(command: str) -> None:
    assert "canary" not in redacted(command)
    assert HIDDEN in redacted(command)


def test_the_rest_stays() -> None:
    assert redacted("make -j8 && pytest -k token") == "make -j8 && pytest -k token"
