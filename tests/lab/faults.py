"""What a fault is: a value that can begin and end on a host.

Ending needs no memory of the beginning but the value itself, so a fault that one process began another can
end: the values in effect stand in each host's `faults.json`.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Protocol

from tests.lab.body import Body

Lasts = Literal["until-boot", "outside", "on-disk"]
"""What a restart does to a fault: it ends; it is begun again, as no part of the host; it is still there."""


class Fault(Protocol):
    name: ClassVar[str]
    lasts: ClassVar[Lasts]

    def begin(self, host: Body) -> None:
        """Returns when the fault is in effect."""

    def end(self, host: Body) -> None:
        """Returns when it is undone; harmless if it was not in effect."""
