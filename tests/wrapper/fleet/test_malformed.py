"""A damaged file is a BadFile with its name, or still a good file: never anything else, and never long."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from toft.fleet import settings
from toft.fleet.inventory_check import check_source
from toft.fleet.yaml_source import BadFile

CONFIG = b"""\
inventory: [hosts.yml, ~/more]
load_weights: &w {cpu: 0.4, memory: .3, load_average: 3.0e-1}
sync_exclude:
  - node_modules
  - "dist"
host_preferences:
  database: [node-1]
rules:
  - {name: make, programs: make, heavy: true}
overload: {cpu_percent: 80}
announce: off
budgets: {session_usd: 5, nodes: {arch: {day_tokens: 100}}}
connect_timeout: 5
"""
INVENTORY = b"""\
all:
  vars: &v {toft_os: linux}
  children:
    builders:
      hosts:
        macpro51: {ansible_host: 10.0.0.1, <<: *v}
        pi[1:3]:
"""
INI = b"""\
[builders]
macpro51 ansible_host=10.0.0.1 x='a b'
pi[1:3]:22
[builders:vars]
x=1
[all:children]
builders
"""
PIECES = [
    b"*v",
    b"&w ",
    b"!!python/name:os.system ",
    b"!x ",
    b"\xff",
    b"\0",
    b"\t",
    b"{",
    b"[",
    b"]",
    b": ",
    b"'",
    b'"',
]
PIECES += [
    b"\n---\n",
    b"<<: ",
    b"? ",
    b"- ",
    b"\r",
    b"\xe2\x80\xa8",
    b"1e999",
    b"1:30:00",
    b"0o777",
    b"~",
    b"#",
    b"%YAML 2.0\n",
]


def damaged(good: bytes, seed: int) -> Iterator[bytes]:
    """Cut at every place, and some hundred times something put in, taken out or doubled."""
    chance = random.Random(seed)
    yield from (good[:end] for end in range(len(good)))
    for _ in range(400):
        raw = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(raw) + 1)
            raw[at : at + chance.randint(0, 3)] = chance.choice(PIECES)
        yield bytes(raw)


def refusal(call: Callable[[], object]) -> BadFile | None:
    """Any other exception fails the test."""
    try:
        call()
    except BadFile as error:
        return error
    return None


def check(file: Path, good: bytes, seed: int, call: Callable[[], object]) -> None:
    file.write_bytes(good)
    call()
    refused: list[BadFile] = []
    for raw in damaged(good, seed):
        file.write_bytes(raw)
        error = refusal(call)
        refused += [error] if error else []
    assert len(refused) > 100
    assert {error.file for error in refused} == {str(file)}
    assert [str(error) for error in refused if not str(error).isprintable()] == []


def test_configuration(tmp_path: Path) -> None:
    file = tmp_path / ".config" / "toft" / "config.yaml"
    file.parent.mkdir(parents=True)
    check(file, CONFIG, 1, lambda: settings.load({"HOME": str(tmp_path)}, tmp_path, {}))


@pytest.mark.parametrize(
    ("name", "good"), [("hosts.yml", INVENTORY), ("hosts.ini", INI), ("hosts", INI), ("hosts", INVENTORY)]
)
def test_inventory(name: str, good: bytes, tmp_path: Path) -> None:
    check(tmp_path / name, good, 2, lambda: check_source(tmp_path / name))
