# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The directory here that has a counterpart on a node: shared storage, or the same storage elsewhere.

`toft_paths` of a node maps a name to where that storage is on it (`hot: /Volumes/SSDRAID0/agentic-system`).
A directory below this machine's `hot` is found below the other's `hot`. A key that is an absolute path is a
path of this machine, mapped directly.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence

from ansible_collections.toft.fleet.plugins.plugin_utils.roster import Member


def place_on(member: Member, members: Sequence[Member], here: str | None) -> str | None:
    """The counterpart of `here` on this node, or None. On this machine itself it is `here`."""
    if here is None or member.local:
        return here
    ours = next((_paths(m) for m in members if m.local), {})
    return mapped(here, ours, _paths(member))


def mapped(here: str, ours: Mapping[str, str], theirs: Mapping[str, str]) -> str | None:
    """The longest mapping wins."""
    pairs = [(ours.get(name, name), there) for name, there in theirs.items()]
    fitting = [(root, there) for root, there in pairs if root.startswith("/") and _below(here, root)]
    if not fitting:
        return None
    root, there = max(fitting, key=lambda pair: len(pair[0]))
    return posixpath.normpath(posixpath.join(there, posixpath.relpath(here, root)))


def _below(path: str, root: str) -> bool:
    root = root.rstrip("/") or "/"
    return path == root or path.startswith(root.rstrip("/") + "/")


def _paths(member: Member) -> dict[str, str]:
    return {str(k): str(v) for k, v in (member.variables.get("toft_paths") or {}).items()}
