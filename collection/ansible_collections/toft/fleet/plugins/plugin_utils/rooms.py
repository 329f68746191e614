# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How many of ours each node lets in at once, as far as we have found out.

A node's slots are everybody's, and it has the last word. At first as many are tried as were free when it was
probed. Where it refuses one, no more are tried for a while than ran there then; when one of ours ends, its slot
is. After a pause one more is tried, and each that is let in makes room for the next, up to the node's number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

PAUSE_S, LONGEST_PAUSE_S = 0.5, 8.0
"""Before a full node is tried again; twice as long each time, because each try costs the node a session."""


@dataclass
class Room:
    """Of one node: `limit` is how many of ours are tried at once now, `most` how many there can ever be."""

    limit: int
    most: int
    pause_s: float = PAUSE_S
    again: float | None = None

    def __post_init__(self) -> None:
        self.most = max(self.limit, self.most)

    @property
    def shared(self) -> bool:
        """Whether others take some of the slots."""
        return self.limit < self.most

    def full(self, ours: int, now: float) -> None:
        """It has refused one, while so many of ours ran there."""
        self.limit = ours
        self.again = now + self.pause_s
        self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S)

    def let_in(self, ours: int) -> None:
        """It has taken one, and now runs so many of ours."""
        self.limit = min(self.most, max(self.limit, ours + 1))
        self.pause_s = PAUSE_S

    def wait(self, ours: int, now: float) -> None:
        """Time passes."""
        if not self.shared:
            self.again = None
        elif self.again is None:
            self.again = now + self.pause_s
        elif now >= self.again:
            self.limit = min(self.most, max(self.limit, ours + 1))
            self.again = now + self.pause_s


class Rooms:
    """By the names of the nodes. `ours` says how many of ours take a slot of a node now."""

    def __init__(self, rooms: dict[str, Room], ours: Callable[[str], int]) -> None:
        self._rooms = rooms
        self._ours = ours

    def limit(self, node: str) -> int:
        return self._rooms[node].limit

    def free(self, node: str) -> bool:
        return self._ours(node) < self._rooms[node].limit

    def crowded(self, node: str) -> bool:
        """Whether nothing more is tried there just now, because of others. When that ends nobody knows."""
        return self._rooms[node].shared and not self.free(node)

    def full(self, node: str, now: float) -> None:
        self._rooms[node].full(self._ours(node), now)

    def let_in(self, node: str) -> None:
        self._rooms[node].let_in(self._ours(node))

    def wait(self, now: float) -> None:
        for node, room in self._rooms.items():
            room.wait(self._ours(node), now)
