# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The machines that an OpenSSH client configuration names.

A name is an alias of a `Host` line: no wildcard, no negation, usable as a node's name. The alias alone is
what ssh is later given; HostName, User, Port, IdentityFile and ProxyJump stay ssh's to apply, and the first
three are worked out here only to be shown and compared. They are found as ssh finds them: the first value
that applies wins, `Include` stands where it stands and applies where its own block does. `Match` blocks are
passed over, as their conditions may be programs.
"""

from __future__ import annotations

import fnmatch
import glob
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.toft.fleet.plugins.plugin_utils import names

MAX_DEPTH = 16
MAX_FILES = 200
MAX_BYTES = 1 << 20


Condition = tuple[str, ...]
"""The patterns of one `Host` line; none of them means that it never applies."""
Include = Callable[[str], Iterable[tuple[str, str]]]
"""The argument of an `Include` -> (file, text) of each file that it means."""


@dataclass(frozen=True)
class Alias:
    """`host_name`, `user` and `port` are empty, or None, where the configuration does not say."""

    name: str
    host_name: str
    user: str
    port: int | None
    file: str
    line: int


@dataclass(frozen=True)
class Skipped:
    """A word on a `Host` line that cannot name a node, repr'd."""

    what: str
    why: str
    file: str
    line: int


@dataclass(frozen=True)
class _Setting:
    conditions: tuple[Condition, ...]
    keyword: str
    value: str


@dataclass
class _Reading:
    """What has been read so far, in the order in which ssh would apply it."""

    settings: list[_Setting] = field(default_factory=list)
    words: list[tuple[str, tuple[Condition, ...], str, int]] = field(default_factory=list)
    files: int = 0


def parse(text: str, file: str, include: Include) -> tuple[list[Alias], list[Skipped]]:
    """The aliases in the order of the files, each once."""
    reading = _Reading()
    _read(text, file, (), include, reading, 0)
    aliases: dict[str, Alias] = {}
    skipped: list[Skipped] = []
    for word, outer, where, line in reading.words:
        if names.refuse_node(word):
            skipped.append(Skipped(repr(word)[:80], "it cannot be the name of a node", where, line))
        elif word not in aliases and all(_applies(condition, word) for condition in outer):
            aliases[word] = _alias(word, reading.settings, where, line)
    return list(aliases.values()), skipped


def _read(text: str, file: str, outer: tuple[Condition, ...], include: Include, into: _Reading, depth: int) -> None:
    into.files += 1
    here = outer
    for number, line in enumerate(text.splitlines(), 1):
        keyword, words = _split(line)
        if keyword == "host":
            here = (*outer, tuple(words))
            into.words += [(word, outer, file, number) for word in words if not re.search(r"[*?!]", word)]
        elif keyword == "match":
            always = [word.lower() for word in words] == ["all"]
            here = outer if always else (*outer, ())
        elif keyword == "include":
            for name, content in _included(words, include, into, depth):
                _read(content, name, here, include, into, depth + 1)
        elif keyword in ("hostname", "user", "port") and words:
            into.settings.append(_Setting(here, keyword, words[0]))


def _included(words: list[str], include: Include, into: _Reading, depth: int) -> Iterator[tuple[str, str]]:
    """A file that includes itself ends at ssh's own depth."""
    for word in words if depth < MAX_DEPTH else ():
        for name, content in include(word):
            if into.files < MAX_FILES:
                yield name, content


def _split(line: str) -> tuple[str, list[str]]:
    """`Keyword value…`, `Keyword=value`, "quoted words", a comment at the end; ('', []) for an empty line."""
    match = re.match(r"\s*([A-Za-z]+)(?:\s*=\s*|\s+|(?=\"))(.*)", line)
    if not match:
        return "", []
    words: list[str] = []
    for quoted, plain in re.findall(r'"([^"]*)"|([^\s"]+)', match[2]):
        if plain.startswith("#"):
            break
        words.append(quoted or plain)
    return match[1].lower(), words


def _alias(name: str, settings: list[_Setting], file: str, line: int) -> Alias:
    found: dict[str, str] = {}
    for setting in settings:
        if setting.keyword not in found and all(_applies(c, name) for c in setting.conditions):
            found[setting.keyword] = setting.value
    host_name = found.get("hostname", "").replace("%h", name).replace("%%", "%")
    user, port = found.get("user", ""), found.get("port", "")
    return Alias(
        name=name,
        host_name="" if names.refuse_address(host_name) else host_name,
        user="" if names.refuse_user(user) else user,
        port=None if names.refuse_port(port) else int(port),
        file=file,
        line=line,
    )


def _applies(condition: Condition, name: str) -> bool:
    """ssh's rule: one pattern fits, and no negated one does."""
    if any(word.startswith("!") and _fits(word[1:], name) for word in condition):
        return False
    return any(not word.startswith("!") and _fits(word, name) for word in condition)


def _fits(pattern: str, name: str) -> bool:
    """Only * and ? are special to ssh, and case counts."""
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def read(path: Path, home: Path) -> tuple[list[Alias], list[Skipped]]:
    """The configuration at `path`. Raises OSError when there is none; an `Include` of nothing is nothing."""
    return parse(_text(path), str(path), lambda word: _files(word, home))


def _files(word: str, home: Path) -> Iterator[tuple[str, str]]:
    """A relative `Include` starts from ~/.ssh; variables and tokens are ssh's alone."""
    if re.search(r"[$%]", word):
        return
    pattern = home / word[2:] if word.startswith("~/") else home / ".ssh" / word
    for name in sorted(glob.glob(str(pattern))):
        try:
            yield name, _text(Path(name))
        except OSError:
            continue


def _text(path: Path) -> str:
    """A regular file's first MiB; bytes that are no UTF-8 cannot be in a name that is used."""
    if not path.is_file():
        raise FileNotFoundError(2, "No such file", str(path))
    with path.open("rb") as stream:
        return stream.read(MAX_BYTES).decode("utf-8", "replace")
