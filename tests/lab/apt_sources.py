"""The package mirrors that this machine itself uses, read from its apt configuration.

The lab's root file system comes from the same mirrors, so that it can be built wherever apt works.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

PREFERRED = "bookworm"


@dataclass(frozen=True)
class AptSource:
    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str | None

    def line(self) -> str:
        """The one-line form of sources.list(5)."""
        options = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return f"deb {options}{self.uri} {self.suite} {' '.join(self.components)}"


def read_sources(apt: Path = Path("/etc/apt")) -> list[AptSource]:
    found: list[AptSource] = []
    for file in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if file.suffix == ".sources":
            found += parse_deb822(file.read_text())
        elif file.suffix == ".list" and file.is_file():
            found += parse_lines(file.read_text())
    return [replace(source, uri=_first_mirror(source.uri)) for source in found]


def _first_mirror(uri: str) -> str:
    """`mirror+file:/PATH` names a file with one mirror a line, the first being the best."""
    if not uri.startswith("mirror+file:"):
        return uri
    return Path(uri.removeprefix("mirror+file:")).read_text().split()[0]


def parse_lines(text: str) -> Iterator[AptSource]:
    """`deb [options] uri suite component…`, one a line."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line)
        if match:
            signed = re.search(r"signed-by=(\S+)", match[1] or "")
            yield AptSource(match[2], match[3], tuple(match[4].split()), signed[1] if signed else None)


def parse_deb822(text: str) -> Iterator[AptSource]:
    """Stanzas of `Key: value`; a comment may stand between a key's lines."""
    bare = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", bare):
        pairs = re.findall(r"^([\w-]+):\s*(.*)$", stanza, re.M)
        fields = {key.lower(): value.strip() for key, value in pairs}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes") == "no":
            continue
        components = tuple(fields.get("components", "").split())
        signed = fields.get("signed-by") or None
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield AptSource(uri, suite, components, signed)


def choose_suite(sources: Sequence[AptSource], release: Path = Path("/etc/os-release")) -> tuple[str, list[AptSource]]:
    """The preferred Debian release if this machine's mirrors have it, else the machine's own release.

    Its security and update suites come along.
    """
    own = re.search(r"^VERSION_CODENAME=\"?(\w+)", release.read_text(), re.M)
    for name in (PREFERRED, own[1] if own else ""):
        suites = {name, f"{name}-updates", f"{name}-security"}
        chosen = [source for source in sources if source.suite in suites]
        if name and any(source.suite == name for source in chosen):
            return name, chosen
    raise LookupError(f"no apt source of this machine offers {PREFERRED} or its own release")
