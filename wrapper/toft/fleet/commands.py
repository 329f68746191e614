"""A command as a face hands it over: its words as typed, and how to take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Words:
    """`may_name_node`: whether the first word may be a node's name (not after `--`)."""

    words: tuple[str, ...]
    form: Literal["auto", "shell", "exec"] = "auto"
    may_name_node: bool = False

    def to_body(self) -> dict[str, Any]:
        return {"words": list(self.words), "form": self.form, "may_name_node": self.may_name_node}
