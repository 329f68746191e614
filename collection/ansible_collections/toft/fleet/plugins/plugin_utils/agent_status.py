# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What AgentAPI answers to `GET /status`, from the text of its answer: `{"status": "stable", "agent_type": "claude"}`.

Whatever listens at that port wrote the text: it is understood, or said not to be.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

KNOWN = frozenset({"running", "stable"})
LINE = re.compile(r"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r?\n")


@dataclass(frozen=True)
class AgentStatus:
    """Both as it wrote them; `kind` is empty where it did not say."""

    status: str
    kind: str = ""

    @property
    def known(self) -> bool:
        return self.status in KNOWN


class NoStatus(Exception):
    """It answered, but not that."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


def parse(text: str) -> AgentStatus:
    """Raises NoStatus."""
    line = LINE.match(text)
    if line is None:
        raise NoStatus(f"no HTTP: {text[:60]!r}" if text else "nothing at all")
    if line[1] != "200":
        raise NoStatus(f"HTTP {line[1]}")
    parts = re.split(r"\r?\n\r?\n", text, maxsplit=1)
    try:
        told = json.loads(parts[1]) if len(parts) > 1 else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("status"), str):
        raise NoStatus(f"no status: {parts[-1][:60]!r}")
    kind = told.get("agent_type")
    return AgentStatus(told["status"][:40], kind[:40] if isinstance(kind, str) else "")
