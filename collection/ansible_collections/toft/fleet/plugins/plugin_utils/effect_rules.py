# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is known of programs' effects: `effects.yml`, read. Its head explains the keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Effect:
    """One line of `does`: `write output:make -C?.` as access, kind, detail and where its names come from."""

    writes: bool
    reads: bool
    kind: str
    detail: str
    source: str
    serves: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a program, or of one of its subcommands. The keys are explained in effects.yml."""

    program: str
    phrase: tuple[str, ...]
    values: frozenset[str]
    when: tuple[str, ...]
    unless: tuple[str, ...]
    inside: tuple[str, ...]
    does: tuple[Effect, ...]
    stops: bool = False
    others: int | None = None
    dashless: bool = False


@dataclass(frozen=True, slots=True)
class Knowledge:
    entries: Mapping[str, tuple[Entry, ...]]
    languages: Mapping[str, str]
    makers: Mapping[str, str]
    packages: Mapping[str, tuple[str, ...]]
    ports: Mapping[str, tuple[str, ...]]
    unknown: Entry


@cache
def built_in() -> Knowledge:
    text = Path(__file__).with_name("effects.yml").read_text(encoding="utf-8")
    return load(yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def load(document: Mapping[str, Any]) -> Knowledge:
    languages = {name: ",".join(each) for name, each in document["languages"].items()}
    languages["any"] = ",".join(languages.values())
    entries: dict[str, list[Entry]] = {}
    for item in document["programs"]:
        for entry in _entries(item):
            entries.setdefault(entry.program, []).append(entry)
    (unknown,) = _entries(document["unknown"] | {"run": "?"})
    return Knowledge(
        {name: tuple(each) for name, each in entries.items()},
        languages,
        {name: ",".join(each) for name, each in document["makers"].items()},
        {name: tuple(each) for name, each in document["packages"].items()},
        {name: tuple(map(str, each)) for name, each in document["ports"].items()},
        unknown,
    )


def _entries(item: Mapping[str, Any]) -> Iterator[Entry]:
    for run in _texts(item["run"]):
        program, *phrase = run.split()
        yield Entry(
            program,
            tuple(phrase),
            frozenset(_texts(item.get("values"))) | frozenset(_texts(item.get("in"))) | _valued(item),
            tuple(_texts(item.get("if"))),
            tuple(_texts(item.get("unless"))),
            tuple(_texts(item.get("in"))),
            tuple(_effect(line) for line in item.get("does", ())),
            bool(item.get("stops")),
            item.get("others"),
            bool(item.get("dashless")),
        )


def _texts(value: Any) -> list[str]:
    return value.split() if isinstance(value, str) else list(map(str, value or ()))


def _valued(item: Mapping[str, Any]) -> frozenset[str]:
    """Options that an effect takes its names from take a value."""
    sources = [line.split()[2] for line in item.get("does", ()) if line.split()[2].startswith("-")]
    return frozenset(name for source in sources for name in source.partition("?")[0].split(","))


def _effect(line: str) -> Effect:
    access, kind, source = line.split(maxsplit=2)
    kind, _colon, detail = kind.partition(":")
    serves = access == "serve"
    return Effect(access != "read", access in ("read", "both"), kind, detail, source, serves)
