import json
from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.requests import BadRequest, from_file, from_values


def write(path: Path, value: object, mode: int = 0o600) -> str:
    path.write_text(json.dumps(value))
    path.chmod(mode)
    return str(path)


def test_a_request_is_read_as_data(tmp_path: Path) -> None:
    words = ["echo", "{{ lookup('pipe', 'id') }}", "\udcff", "a\nb"]
    asked = from_file(write(tmp_path / "r", {"words": words, "form": "exec"}))
    assert asked.words == tuple(words)
    assert asked.form == "exec"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_a_file_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(BadRequest, match="0600"):
        from_file(write(tmp_path / "r", {}, mode))


@pytest.mark.parametrize("text", ["", "{", "\x00", '{"a": '])
def test_what_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(BadRequest, match="cannot be read"):
        from_file(str(path))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="No such file"):
        from_file(str(tmp_path / "none"))


def test_unknown_keys_are_said() -> None:
    with pytest.raises(BadRequest, match="no comand"):
        from_values({"comand": ["ls"]})
