"""The table of the Claude Code hook: the routing rules, reduced to what is better run elsewhere in this fleet.

The hook may spend milliseconds and no module of ours, so everything is decided here in advance: of each rule,
whether what it asks for is missing on this machine and to be had on another (a system, a capability), or, for
heavy work, whether routing sends it away from here. Patterns become regular expressions, programs become keys.
What the hook could not judge for sure (variables, redirects, patterns of programs) is left out: then it allows.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import rules as known

from toft.fleet.commands import Words
from toft.fleet.fleet import Fleet
from toft.fleet.nodes import Node
from toft.fleet.route import route
from toft.fleet.status import status

HEAVY = "make"
"""A command that is heavy and nothing else: where it goes, heavy work goes."""
WRAPPERS = (
    "sh",
    "bash",
    "zsh",
    "dash",
    "sudo",
    "doas",
    "env",
    "xargs",
    "ssh",
    "eval",
    "exec",
    "command",
    "nohup",
    "timeout",
    "nice",
)


@dataclass(frozen=True)
class Elsewhere:
    """What this machine should send away, and to whom. `heavy` is a node's name."""

    system: str | None
    systems: Mapping[str, str]
    capabilities: Mapping[str, str]
    heavy: str | None = None

    @property
    def text(self) -> str:
        """For a person: what the hook will send away."""
        needs = [f"{need} on {node}" for need, node in {**self.systems, **self.capabilities}.items()]
        parts = [f"heavy work on {self.heavy}"] if self.heavy else []
        return f"elsewhere: {', '.join([*parts, *needs])}" if parts or needs else "nothing belongs elsewhere"


def table_of(fleet: Fleet) -> tuple[Elsewhere, dict[str, Any]]:
    """The fleet as it is now, asked, and the table that follows from it."""
    found = look(fleet)
    rules = known.with_user_rules(known.built_in(), [dict(rule) for rule in fleet.settings.rules])
    return found, reduced(rules, found)


def look(fleet: Fleet) -> Elsewhere:
    nodes = status(fleet, ["all"]).nodes
    here = next((node for node in nodes if node.local), None)
    others = [node for node in nodes if not node.local and node.state == "online" and node.declared.get("auto", True)]
    system = here.known("os") if here else {"Linux": "linux", "Darwin": "macos"}.get(os.uname().sysname)
    mine = set(here.load("capabilities") or () if here else _found_here())
    heavy = route(fleet, Words((HEAVY,), "exec")).node
    away = heavy if heavy in {node.name for node in others} else None
    return Elsewhere(
        system, _first(others, lambda n: [n.known("os")], {system}), _first(others, _capabilities, mine), away
    )


def reduced(rules: known.Rules, elsewhere: Elsewhere) -> dict[str, Any]:
    """Pure: the table without its time and sources."""
    kept = [(rule, _why(rule, elsewhere)) for rule in rules.rules if _can_be_judged(rule)]
    kept = [(rule, why) for rule, why in kept if why]
    programs: dict[str, list[int]] = {}
    for number, (rule, _) in enumerate(kept):
        for program in filter(_is_plain, rule.when.programs):
            programs.setdefault(program, []).append(number)
    said = [_conditions(rule, why or "") for rule, why in kept]
    return {"programs": programs, "rules": said, **_syntax(rules, programs), "wrappers": list(WRAPPERS)}


def _can_be_judged(rule: known.Rule) -> bool:
    """A path among the arguments is a place on this machine, and no need."""
    paths = [text for text in rule.when.arguments if text.startswith(("/", "~", "$HOME"))]
    return bool(rule.when.programs) and not (paths or rule.when.environment or rule.when.redirects)


def _is_plain(pattern: str) -> bool:
    return not any(sign in pattern for sign in "*?[")


def _why(rule: known.Rule, elsewhere: Elsewhere) -> str | None:
    """Why what this rule speaks of belongs elsewhere; None if it may as well run here."""
    if rule.os and rule.os != elsewhere.system:
        node = elsewhere.systems.get(rule.os)
        return f"This needs {rule.os}, which {node} runs." if node else None
    missing = [each for each in rule.capabilities if each in elsewhere.capabilities]
    if missing:
        return f"This needs {missing[0]}, which {elsewhere.capabilities[missing[0]]} has and this machine has not."
    return f"This is heavy work, which belongs on {elsewhere.heavy}." if rule.heavy and elsewhere.heavy else None


def _conditions(rule: known.Rule, why: str) -> dict[str, Any]:
    when, unless = rule.when, rule.unless
    # The hook does not look at variables and redirects; a rule with such an exception holds without it here, so
    # the words that would state it stand in for it.
    said = {
        "why": why,
        "subcommands": _phrases(when.subcommands) or None,
        "arguments": _either(when.arguments),
        "flags": _either(when.flags),
        "not_subcommands": _phrases(unless.subcommands),
        "only": _either(unless.only),
        "not_words": _either((*unless.arguments, *unless.flags, *unless.environment)),
    }
    return {key: value for key, value in said.items() if value}


def _phrases(phrases: Iterable[tuple[str, ...]]) -> list[list[list[Any]]]:
    return [[_either((word,)) or [] for word in phrase] for phrase in phrases]


def _either(patterns: Sequence[str]) -> list[Any] | None:
    """[plain words, a regular expression for the others or None]: looking up is cheap, compiling is not."""
    plain = [pattern for pattern in patterns if _is_plain(pattern)]
    others = "|".join(translate(pattern) for pattern in patterns if not _is_plain(pattern))
    return [plain, others or None] if patterns else None


def _syntax(rules: known.Rules, programs: Iterable[str]) -> dict[str, Any]:
    """`read`: program to a number in `syntax`."""
    kinds: list[known.Syntax] = []
    read = {}
    for program in programs:
        syntax = next((each for names, each in rules.syntax if names.match(program)), None)
        if syntax:
            kinds += [] if syntax in kinds else [syntax]
            read[program] = kinds.index(syntax)
    said = [{"values": sorted(each.values), "skip": _either(each.skip)} for each in kinds]
    return {"read": read, "syntax": said}


def _first(nodes: Sequence[Node], has: Any, mine: Iterable[Any]) -> dict[str, str]:
    """What others have and this machine has not, with the first node that has it."""
    found: dict[str, str] = {}
    for node in nodes:
        for thing in has(node):
            if thing and thing not in mine:
                found.setdefault(str(thing), node.name)
    return found


def _capabilities(node: Node) -> list[str]:
    return list(node.load("capabilities") or ())


def _found_here() -> list[str]:
    """This machine is no node: what it has is looked for on PATH."""
    from shutil import which

    programs = {"docker": "docker", "podman": "podman", "gpu": "nvidia-smi", "xcode": "xcodebuild"}
    return [capability for capability, program in programs.items() if which(program)]
