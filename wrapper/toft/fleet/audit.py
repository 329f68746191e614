"""A record of what agents asked for and what became of it: JSON lines, only ever added to, for the owner alone.

A call that cannot be written down is not carried out. Values of variables never get in, and what looks like a
secret in a command (a password in an address, a `--token`, a known kind of key) is left out.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toft.fleet.failures import NOT_STARTED, Failure
from toft.fleet.fleet import now

HIDDEN = "[hidden]"
_SECRETS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?P<keep>\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)",
        r"(?P<keep>--?[\w-]*(?:passw(?:or)?d|passphrase|secret|token|api-?key|credential|auth)[\w-]*[ =])"
        r"(?:\"[^\"]*\"|'[^']*'|[^\s'\"]+)",
        r"(?P<keep>\b(?:authorization|bearer|basic)[: ]+(?:bearer |basic )?)[\w.~+/=-]{8,}",
        r"(?P<keep>)\b(?:gh[pousr]_\w{16,}|github_pat_\w{20,}|glpat-[\w-]{16,}|sk-[\w-]{16,}|xox[abprs]-[\w-]{10,})",
        r"(?P<keep>)\b(?:AKIA[0-9A-Z]{16}|tskey-[\w-]{10,})",
        r"(?P<keep>\b[A-Za-z_]\w*=)(?:\"[^\"]*\"|'[^']*'|\$'[^']*'|[^\s;&|'\"()]+)",
    )
)


@dataclass(frozen=True)
class Audit:
    path: Path

    def write(self, event: str, **facts: Any) -> None:
        """One line, on disk when this returns. Raises Failure: then nothing may be started."""
        line = json.dumps({"at": now(), "event": event, **facts}, ensure_ascii=True) + "\n"
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                os.write(file, line.encode())
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            why = f"{self.path} cannot be written ({error.strerror}); without it nothing is run"
            raise Failure(why, f"ls -l {self.path}", NOT_STARTED) from error


def redacted(command: str) -> str:
    """The command without what looks like a secret; all assignments count as one."""
    for pattern in _SECRETS:
        command = pattern.sub(lambda match: match["keep"] + HIDDEN, command)
    return command
