"""A directory changed by renames can be taken back, all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.module_utils.switch import Switch


def shape(root: Path) -> dict[str, object]:
    return {
        str(path.relative_to(root)): path.readlink()
        if path.is_symlink()
        else (path.read_text(), path.stat().st_mode, path.stat().st_mtime_ns)
        if path.is_file()
        else path.stat().st_mode
        for path in root.rglob("*")
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "d/e").mkdir(parents=True)
    (root / "d/e/f").write_text("f")
    (root / "d/g").write_text("g")
    (root / "l").symlink_to("d")
    (tmp_path / "trash").mkdir()
    return root


def prepared(root: Path, text: str) -> str:
    made = root.parent / f"prepared-{text}"
    made.write_text(text)
    return str(made)


def change(switch: Switch, root: Path) -> None:
    switch.drop("d/e/f")
    switch.drop_directory("d/e")
    switch.put("d/e", prepared(root, "a file where a directory was"))
    switch.put("l/x", prepared(root, "a directory where a link was"))
    switch.put("d/g", prepared(root, "new"))
    switch.put("n/m/o", prepared(root, "deep"))
    switch.touch("d/g", 0o755, 10**18)
    switch.directory("n/p", 0o700)
    switch.drop("not/there")


def test_it_changes_and_is_taken_back(root: Path) -> None:
    before = shape(root)
    switch = Switch(str(root), str(root.parent / "trash"))
    change(switch, root)
    after = shape(root)
    assert after["d/e"] != before["d/e"]
    assert {"l/x", "n/m/o", "n/p"} <= after.keys()
    assert (root / "d/g").stat().st_mode & 0o777 == 0o755
    switch.undo()
    switch.close()
    assert shape(root) == before


def test_no_link_is_followed(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "f").write_text("theirs")
    (root / "away").symlink_to(outside)
    switch = Switch(str(root), str(tmp_path / "trash"))
    switch.drop("away/f")
    switch.put("away/new", prepared(root, "x"))
    switch.close()
    assert (outside / "f").read_text() == "theirs"
    assert not (outside / "new").exists()
    assert (root / "away/new").read_text() == "x"
