"""A node as a use case sees it: what the inventory says of it and what the probe found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

REACHED_BUT = frozenset({"no_sh", "protocol"})
"""Causes of a node that answered, but not with a load."""


@dataclass(frozen=True)
class Node:
    """`probed` is a Load as JSON, None when there is none; `cause` then says why, with its fix."""

    name: str
    groups: tuple[str, ...]
    declared: Mapping[str, Any]
    probed: Mapping[str, Any] | None
    cause: Mapping[str, str] | None
    latency_ms: float | None
    local: bool
    score: float | None

    @property
    def state(self) -> str:
        if self.probed is not None:
            return "online"
        return "unknown" if self.cause and self.cause["code"] in REACHED_BUT else "offline"

    def load(self, key: str) -> Any:
        return None if self.probed is None else self.probed.get(key)

    def known(self, key: str) -> Any:
        """Probed, else as declared in the inventory."""
        found = self.load(key)
        return self.declared.get(key) if found is None else found

    def to_dict(self) -> dict[str, Any]:
        """The contract's JSON of a node."""
        from_probe = ("distro", "cores", "cpu_percent", "memory_percent", "memory_bytes", "disk_percent", "uptime_s")
        return {
            "name": self.name,
            "groups": list(self.groups),
            "state": self.state,
            "reason": None if self.cause is None else self.cause["message"],
            "cause": None if self.cause is None else dict(self.cause),
            "os": self.known("os"),
            "arch": self.known("arch"),
            "wsl": bool(self.known("wsl")),
            **{key: self.load(key) for key in from_probe},
            "load": self.load("load"),
            "score": self.score,
            "jobs": self.load("jobs"),
            "slots": self.declared.get("slots") or self.load("cores"),
            "auto": self.declared.get("auto", True),
            "local": self.local,
            "latency_ms": self.latency_ms,
            "container": self.load("container"),
            "capabilities": self.load("capabilities"),
            "machine_id": self.load("machine_id"),
        }


def node_from(name: str, told: Mapping[str, Any]) -> Node:
    """From the answer of toft.fleet.probe."""
    return Node(
        name=name,
        groups=tuple(told["groups"]),
        declared=told["declared"],
        probed=told["load"],
        cause=told["cause"],
        latency_ms=told["latency_ms"],
        local=told["local"],
        score=told["score"],
    )
