"""What a use case raises when it cannot do what was asked. A face translates it once.

`exit_code` follows the contract: 2 for usage and bad files, 125 when nothing could be started.
"""

from __future__ import annotations

from dataclasses import dataclass

USAGE = 2
NOT_STARTED = 125


@dataclass
class Failure(Exception):
    """`message` says what and why, `hint` what to type."""

    message: str
    hint: str = ""
    exit_code: int = USAGE
    node: str | None = None

    def __str__(self) -> str:
        return self.message
