"""Several commands as they are typed: an argument each, or one argument with quoted parts and bars.

Each argument is a shell command line. One single argument of the form `"a" | "b" | "c"`, every part quoted, is
split at the bars outside the quotes. An argument that is a bar and nothing else parts two others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from toft.fleet.failures import Failure

_PART = r"\"(?:[^\"\\]|\\.)*\"|'[^']*'"
_BARS = re.compile(rf"\s*(?:{_PART})(?:\s*\|\s*(?:{_PART}))+\s*\Z", re.DOTALL)
_HINT = """toft parallel "pytest" "npm test" """.strip()


def command_list(words: Sequence[str]) -> tuple[str, ...]:
    """The command lines. Raises Failure for an empty one, and for a bar with nothing to part."""
    lines = _split(words[0]) if len(words) == 1 and _BARS.match(words[0]) else _without_bars(words)
    if not lines or any(not line.strip() for line in lines):
        raise Failure("an empty command cannot be run", _HINT)
    if any("\0" in line for line in lines):
        raise Failure("a command cannot hold a NUL byte")
    return tuple(lines)


def _split(text: str) -> list[str]:
    return [_unquoted(part) for part in re.findall(_PART, text, re.DOTALL)]


def _unquoted(part: str) -> str:
    inner = part[1:-1]
    return re.sub(r'\\(["\\])', r"\1", inner) if part[0] == '"' else inner


def _without_bars(words: Sequence[str]) -> list[str]:
    bars = [at for at, word in enumerate(words) if word.strip() == "|"]
    alone = [at for at in bars if at in (0, len(words) - 1) or at - 1 in bars]
    if alone:
        raise Failure("a bar stands between two commands", _HINT)
    return [word for at, word in enumerate(words) if at not in bars]
