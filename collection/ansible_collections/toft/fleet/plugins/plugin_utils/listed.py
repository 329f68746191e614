# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a node says is there to be pulled, judged before anything of it is fetched.

It is not believed: names that lead out of what was asked for, links that lead out of the tree, git's own data
and more than is allowed are refused.
"""

from __future__ import annotations

from ansible_collections.toft.fleet.plugins.module_utils import manifest

MOST_FILES = 100_000


class Unwanted(Exception):
    """It was not brought back, and nothing was changed. `what` is a code, `paths` those that are meant."""

    def __init__(self, what: str, message: str, paths: list[str]) -> None:
        super().__init__(message)
        self.what = what
        self.message = message
        self.paths = paths


def checked(entries: object, asked: str, most_bytes: int) -> manifest.Entries:
    """What the node lists, if it can be what was asked for. Raises Unwanted."""
    if not isinstance(entries, dict) or len(entries) > MOST_FILES:
        raise Unwanted("too_much", f"{asked}: more than {MOST_FILES} files", [asked])
    for path, entry in entries.items():
        why = _wrong(path, entry, asked) or _leads_out(path, entry)
        if why:
            raise Unwanted("hostile", f"{path!r} from the node is refused: {why}", [str(path)])
    inner = {above for path in entries for above in manifest.parents(path)} & entries.keys()
    if inner:
        raise Unwanted("hostile", f"{min(inner)!r} from the node is a file and a directory", sorted(inner))
    size = sum(entry[manifest.SIZE] for entry in entries.values() if entry[0] == manifest.FILE)
    if size > most_bytes:
        raise Unwanted("too_much", f"{asked} has {size} bytes; {most_bytes} are allowed", [asked])
    return entries


def _wrong(path: object, entry: object, asked: str) -> str | None:
    if manifest.unsafe(path) or not isinstance(path, str):
        return "its name leads out of the tree"
    if asked != "." and path != asked and not path.startswith(asked + "/"):
        return f"it is not in {asked}"
    if any(part.lower() == ".git" for part in path.split("/")):
        return "it is git's own"
    if not isinstance(entry, list):
        return "it is no file"
    if entry[:1] == [manifest.LINK] and len(entry) == 2 and isinstance(entry[1], str):
        return None
    numbers = entry[1:4]
    if entry[:1] != [manifest.FILE] or len(entry) != 5 or not digest_or_none(entry[4]):
        return "it is no file"
    return None if all(isinstance(n, int) and n >= 0 for n in numbers) else "its size is no number"


def _leads_out(path: str, entry: manifest.Entry) -> str | None:
    """A link may climb as far as the tree's top, at its beginning; never in its middle, behind other links."""
    if entry[0] != manifest.LINK:
        return None
    parts = str(entry[manifest.TARGET]).split("/")
    climbs = next((i for i, part in enumerate(parts) if part != ".."), len(parts))
    if not parts[0] or ".." in parts[climbs:] or climbs > path.count("/"):
        return f"it is a link to {entry[manifest.TARGET]!r}, which leads out of the tree"
    return "it is a link into git's own data" if any(part.lower() == ".git" for part in parts) else None


def digest_or_none(value: object) -> str:
    """A digest as it is, anything else as an empty string."""
    return value if isinstance(value, str) and len(value) == 40 and set(value) <= set("0123456789abcdef") else ""
