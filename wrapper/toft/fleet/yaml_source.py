"""A YAML file that somebody wrote, read with suspicion.

Settings, inventories and plans are files that people edit, clone and copy. Each is read here into
a `Document`: plain values and, beside them, the line that each value stands on, so that every complaint
can say file:line. Refused are: what is not UTF-8 or not a regular file, more than 1 MiB, nesting deeper
than 50, aliases that multiply or lead back to themselves, keys given twice, and tags that make objects
(`!!python/…`). Nothing is ever constructed but mappings, lists and scalars.

A `Place` is one value inside a document that knows where it stands and can complain about itself.
"""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import yaml

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_VALUES = 200_000
CORE_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map"))
MERGE_TAG = "tag:yaml.org,2002:merge"

Path_ = tuple[Hashable, ...]
# libyaml when PyYAML has it: the same results, ten times as fast, and its parser does not recurse.
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class BadFile(Exception):
    """A file (or variable, or option) of the user that cannot be used. Nothing has been run.

    `message` says where and why; `fix` what to do, or what to type.
    """

    exit_code = 2

    def __init__(self, file: str, line: int | None, why: str, fix: str = "", key: str = "") -> None:
        self.file, self.line, self.why, self.fix, self.key = file, line, why, fix, key
        where = shown(file, 500) if line is None else f"{shown(file, 500)}:{line}"
        self.message = f"{where}: {why}"
        super().__init__(self.message + (f"; {fix}" if fix else ""))


class NotYaml(BadFile):
    """The text does not parse: where another format is possible, it may be that."""


@dataclass(frozen=True)
class Document:
    """Plain values of one file; `lines` has the line (from 1) of a value by its path of keys and indexes."""

    file: str
    data: object
    lines: Mapping[Path_, int]


@dataclass(frozen=True)
class Place:
    """One value of a document."""

    document: Document
    path: Path_ = ()

    @property
    def value(self) -> object:
        found = self.document.data
        for step in self.path:
            found = found[step]  # type: ignore[index]
        return found

    @property
    def line(self) -> int | None:
        """None for what stands in no file: an environment variable, an option.

        What came in through an alias or `<<` stands where its nearest known parent does.
        """
        known = (self.path[:length] for length in range(len(self.path), -1, -1))
        return next((self.document.lines[path] for path in known if path in self.document.lines), None)

    @property
    def key(self) -> str:
        return ".".join(str(step) for step in self.path)

    @property
    def label(self) -> str:
        """Where this was said, as `doctor` shows it."""
        return self.document.file if self.line is None else f"{self.document.file}:{self.line}"

    def children(self) -> Iterator[tuple[Hashable, Place]]:
        """The entries of a mapping or a list; nothing for a scalar."""
        value = self.value
        steps = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        for step in steps:
            yield step, Place(self.document, (*self.path, step))

    def bad(self, why: str, fix: str = "") -> BadFile:
        name = f"{shown(self.key)}: " if self.path else ""
        return BadFile(self.document.file, self.line, name + why, fix, self.key)


def shown(text: object, limit: int = 80) -> str:
    """Text of a file as it may stand in a message: no control characters, no surrogates, not endless."""
    if text is None:
        return "nothing"
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def did_you_mean(given: object, allowed: Collection[str]) -> str:
    near = difflib.get_close_matches(str(given), sorted(allowed), n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}allowed: {', '.join(sorted(allowed))}"


def read(path: Path, tags: Collection[str] = ()) -> Document:
    """Reads and parses; `tags` are the local tags (such as `!vault`) allowed besides the core ones."""
    return parse(read_text(path), str(path), tags)


def read_text(path: Path) -> str:
    """The text of a regular UTF-8 file of at most 1 MiB. A FIFO or a device is refused, never waited for."""
    try:
        raw = _read_regular(path)
    except OSError as error:
        raise BadFile(str(path), None, f"cannot be read: {error.strerror}", f"ls -ld {path}") from error
    if len(raw) > MAX_BYTES:
        raise BadFile(str(path), None, "is larger than 1 MiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BadFile(str(path), line, "is not UTF-8", f"file {path}") from error


def _read_regular(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = "a directory, not a file" if stat.S_ISDIR(mode) else "not a regular file"
        raise BadFile(str(path), None, f"is {kind}")
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(MAX_BYTES + 1)


def parse(text: str, file: str, tags: Collection[str] = ()) -> Document:
    """Raises BadFile. An empty text is None."""
    try:
        text.encode()
        _check_events(text, file, tags)
        root = yaml.compose(text, Loader=_Loader)
    except UnicodeEncodeError as error:
        raise BadFile(file, None, "is not UTF-8") from error
    except yaml.YAMLError as error:
        raise _syntax(error, text, file) from error
    lines: dict[Path_, int] = {}
    data = None if root is None else _Values(file, lines).value(root, ())
    return Document(file, data, MappingProxyType(lines))


def scalar_document(value: object, file: str) -> Document:
    """A value that came by an option: it stands in no file, so it has no lines."""
    return Document(file, value, MappingProxyType({}))


def _syntax(error: yaml.YAMLError, text: str, file: str) -> NotYaml:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        why = " ".join(part for part in (error.problem, error.context) if part)
        return NotYaml(file, mark.line + 1 if mark else None, f"is not YAML: {shown(why, 160)}")
    position = getattr(error, "position", 0)
    why = getattr(error, "reason", "cannot be read")
    return NotYaml(file, text.count("\n", 0, position) + 1, f"is not YAML: {shown(why, 160)}")


def _check_events(text: str, file: str, tags: Collection[str]) -> None:
    """Depth, tags and the number of documents: checked on the stream, before anything nests on our stack."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        tag = getattr(event, "tag", None)
        if documents > 1:
            raise BadFile(file, line, "holds more than one document", "remove everything from --- on")
        if depth > MAX_DEPTH:
            raise BadFile(file, line, f"is nested deeper than {MAX_DEPTH}")
        if tag not in (None, "!") and tag not in CORE_TAGS and tag not in tags:
            raise BadFile(file, line, f"the tag {shown(tag)} is not allowed", "write a plain value")


class _Values:
    """Nodes to plain values, counting every visit: an alias costs what it expands to."""

    def __init__(self, file: str, lines: dict[Path_, int]) -> None:
        self.file, self.lines = file, lines
        self.left = MAX_VALUES
        self.open: set[int] = set()
        self.scalars = yaml.SafeLoader("")

    def value(self, node: yaml.Node, path: Path_) -> object:
        self._spend(node)
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if id(node) in self.open:
            raise self._bad(node, "an alias leads back to itself")
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._mapping(node, path)
        finally:
            self.open.discard(id(node))

    def _mapping(self, node: yaml.Node, path: Path_) -> dict[Hashable, object]:
        found: dict[Hashable, object] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == MERGE_TAG:
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                continue
            key = self._key(key_node)
            if key in found:
                first = self.lines[(*path, key)]
                raise self._bad(key_node, f"{shown(key)} is given twice (first in line {first})")
            self.lines[(*path, key)] = key_node.start_mark.line + 1
            found[key] = self.value(value_node, (*path, key))
        for source in merged:
            self._merge(source, path, found)
        return found

    def _merge(self, source: yaml.Node, path: Path_, found: dict[Hashable, object]) -> None:
        """`<<: *other`: what is said here, or by an earlier source, wins."""
        values = self.value(source, (*path, "<<"))
        if not isinstance(values, dict):
            raise self._bad(source, "<< takes a mapping or a list of mappings")
        for key, value in values.items():
            if key not in found:
                found[key] = value
                self.lines[(*path, key)] = self.lines[(*path, "<<", key)]

    def _key(self, node: yaml.Node) -> Hashable:
        self._spend(node)
        if not isinstance(node, yaml.ScalarNode):
            raise self._bad(node, "a key must be a plain word")
        key = self._scalar(node)
        return key if isinstance(key, Hashable) else str(key)

    def _scalar(self, node: yaml.ScalarNode) -> object:
        if node.tag not in CORE_TAGS:
            # Dates, and what an allowed local tag holds, stay the text they are.
            return node.value
        try:
            return self.scalars.construct_object(node)
        except (ValueError, OverflowError, KeyError, yaml.YAMLError) as error:
            raise self._bad(node, f"{shown(node.value)} is no {node.tag.rpartition(':')[2]}") from error

    def _spend(self, node: yaml.Node) -> None:
        self.left -= 1
        if self.left < 0:
            raise self._bad(node, f"holds more than {MAX_VALUES} values once its aliases are expanded")

    def _bad(self, node: yaml.Node, why: str) -> BadFile:
        return BadFile(self.file, node.start_mark.line + 1, why)
