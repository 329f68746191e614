# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""`sync_exclude`: patterns of what stays at home, read as rsync reads its exclude patterns.

build        a file or directory of that name, anywhere, with all that is in it
build/       the same, but only a directory
/build       only at the top of the tree
docs/*.pdf   these names in a row, anywhere
*  ?  [ab]   within a name;  ** also across names
"""

from __future__ import annotations

import re
from collections.abc import Iterable


class Exclusions:
    """All patterns as one expression, because each path of a tree is asked for."""

    def __init__(self, patterns: Iterable[str]) -> None:
        parts = [_expression(pattern) for pattern in patterns if pattern.strip("/")]
        self._found = re.compile("|".join(parts), re.DOTALL).search if parts else None

    def __call__(self, path: str, directory: bool = False) -> bool:
        """Whether the path (relative, without a slash at its ends) or a directory above it is excluded."""
        return self._found is not None and self._found(path + "/" if directory else path) is not None


def _expression(pattern: str) -> str:
    start = "^" if pattern.startswith("/") else "(?:^|/)"
    only_directory = pattern.endswith("/")
    body = pattern.strip("/")
    if body.endswith("/***"):
        body = body[:-4]
    return start + _translated(body) + ("/" if only_directory else "(?:/|$)")


def _translated(body: str) -> str:
    made, at = "", 0
    while at < len(body):
        found = _TOKEN.match(body, at)
        token = found[0] if found else body[at]
        made += _WILD.get(token) or _class(token) if found else re.escape(token)
        at += len(token)
    return made


def _class(token: str) -> str:
    if token.startswith("\\"):
        return re.escape(token[1:])
    inner = token[1:-1]
    negated = inner[:1] in ("!", "^")
    return f"[{'^/' if negated else ''}{re.escape(inner[negated:]).replace(chr(92) + '-', '-')}]"


_TOKEN = re.compile(r"\*\*|\*|\?|\[[!^]?\]?[^\]]*\]|\\.")
_WILD = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
