"""The layers of the configuration, as data: cases/settings.json."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils import routing
from toft.fleet import settings
from toft.fleet.yaml_source import BadFile

CASES = json.loads((Path(__file__).parent / "cases" / "settings.json").read_text())


class Home:
    """A home, a repository in it, and the names that the cases use for what is in them."""

    def __init__(self, root: Path, case: dict[str, Any]) -> None:
        self.tree = root / "home" / "tree"
        self.cwd = self.tree / case.get("cwd", "")
        config = root / "home" / ".config"
        self.names = {
            "$HOME": root / "home",
            "$TREE": self.tree,
            "$CWD": self.cwd,
            "$CONFIGDIR": config / "toft",
            "$CONFIG": config / "toft" / "config.yaml",
            "$GUMMY": config / "distributed-gummy" / "config.yaml",
            "$REPO": self.tree / ".toft.yaml",
        }
        self.cwd.mkdir(parents=True)
        for key, name in (("gummy", "$GUMMY"), ("config", "$CONFIG"), ("repository", "$REPO")):
            if key in case:
                self.write(self.names[name], case[key])
        for name, text in case.get("files", {}).items():
            self.write(self.tree / name, text)
        self.env = {"HOME": str(root / "home"), **case.get("env", {})}

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def say(self, value: Any) -> Any:
        """Real paths in, the cases' names out; dataclasses and tuples as JSON has them."""
        if hasattr(value, "__dataclass_fields__"):
            return self.say(asdict(value))
        if isinstance(value, dict) or hasattr(value, "items"):
            return {key: self.say(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.say(item) for item in value]
        if isinstance(value, str | Path):
            text = str(value)
            for name in sorted(self.names, key=lambda name: -len(str(self.names[name]))):
                text = text.replace(str(self.names[name]), name)
            return text
        return value

    def load(self, case: dict[str, Any]) -> settings.Settings:
        return settings.load(self.env, self.cwd, case.get("flags", {}))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_layers(case: dict[str, Any], tmp_path: Path) -> None:
    home = Home(tmp_path, case)
    if "error" in case:
        check_error(home, case)
        return
    found = home.load(case)
    expected = home.say(case.get("expect", {}))
    assert {key: home.say(getattr(found, key)) for key in expected} == expand(home, expected)
    for key, sources in case.get("sources", {}).items():
        assert home.say(found.sources[key]) == expand(home, sources)
    assert home.say(found.notes) == case.get("notes", [])


def expand(home: Home, value: Any) -> Any:
    """The same place may have two names ($TREE and $CWD): both sides go through the real path."""
    text = json.dumps(value)
    for name in sorted(home.names, key=len, reverse=True):
        text = text.replace(name, str(home.names[name]))
    return home.say(json.loads(text))


def check_error(home: Home, case: dict[str, Any]) -> None:
    error = case["error"]
    with pytest.raises(BadFile) as caught:
        home.load(case)
    found = caught.value
    assert found.exit_code == 2
    assert (home.say(found.file), found.line) == (expand(home, error["file"]), error["line"])
    if "key" in error:
        assert found.key == error["key"]
    for words in error["says"]:
        assert words in str(found)
    assert str(found).isprintable()


def test_the_gummy_inventory_carries_its_owners_file() -> None:
    root = Path(__file__).parents[3] / "inventories" / "gummy" / ".config"
    found = settings.load({"HOME": "/nowhere", "XDG_CONFIG_HOME": str(root)}, Path("/"), {})
    assert asdict(found.load_weights) == {"cpu": 0.4, "memory": 0.3, "load_average": 0.3}
    assert found.sync_exclude == ("node_modules", ".git", "dist")
    assert dict(found.host_preferences) == {"database": ("node-1",), "frontend": ("node-2",)}
    assert found.notes == ()


def test_xdg_config_home_must_be_absolute() -> None:
    assert settings.config_directory({"HOME": "/h", "XDG_CONFIG_HOME": "rel"}) == Path("/h/.config/toft")
    assert settings.config_directory({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}) == Path("/x/toft")
    assert settings.config_directory({}).is_absolute()


def test_limits_of_a_node(tmp_path: Path) -> None:
    home = Home(tmp_path, {"config": "budgets: {day_usd: 9, nodes: {arch: {session_usd: 20}}}\n"})
    found = home.load({})
    assert found.limits("arch").session_usd == 20
    assert found.limits("other").day_usd == 9


def test_a_strangers_file_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path, {"repository": "host_preferences: {a: evil}\n"})
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 4711)
    if os.geteuid() == 0:
        os.chown(home.names["$REPO"], 65534, 65534)
    found = home.load({})
    assert dict(found.host_preferences) == {}
    assert found.project is None
    assert "passed over" in found.notes[0]


def test_a_directory_or_a_pipe_instead_of_the_file(tmp_path: Path) -> None:
    home = Home(tmp_path, {})
    home.names["$CONFIG"].mkdir(parents=True)
    with pytest.raises(BadFile, match="is a directory"):
        home.load({})
    home.names["$CONFIG"].rmdir()
    os.mkfifo(home.names["$CONFIG"])
    with pytest.raises(BadFile, match="not a regular file"):
        home.load({})


def test_a_dangling_link_is_said(tmp_path: Path) -> None:
    home = Home(tmp_path, {})
    home.names["$REPO"].symlink_to(tmp_path / "gone")
    with pytest.raises(BadFile, match="cannot be read"):
        home.load({})


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    found = Home(tmp_path, {"config": "host_preferences: {a: b}\n"}).load({})
    with pytest.raises(TypeError):
        found.host_preferences["a"] = ("c",)  # type: ignore[index]
    with pytest.raises(TypeError):
        found.sources["announce"] = ("me",)  # type: ignore[index]


def test_an_option_that_is_no_key_is_our_mistake(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        Home(tmp_path, {}).load({"flags": {"inventroy": ["x"]}})


def test_routing_means_the_same_by_weights_and_overload() -> None:
    """Each floor has a value of its own: reading a configuration must not bring in the command parser."""
    found = settings.load({"HOME": "/nonexistent"}, Path("/"), {})
    assert asdict(found.load_weights) == asdict(routing.Weights())
    assert asdict(found.overload) == asdict(routing.Overload())
