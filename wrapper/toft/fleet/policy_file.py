"""The policy as the owner wrote it: `mcp-policy.yaml` in the configuration, before the built-in rules (policy.yml)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import yaml
from ansible_collections.toft.fleet.plugins.plugin_utils import rules as known

from toft.fleet.policy import WORDS, Policy, Rule, Word
from toft.fleet.policy_texts import Texts
from toft.fleet.settings_keys import only, text, texts
from toft.fleet.yaml_source import Place, did_you_mean, read, shown

OWN_KEYS = ("decision", "tools", "nodes", "reason")
FILE = "mcp-policy.yaml"


def load(directory: Path) -> Policy:
    """The built-in rules, and before them those of `mcp-policy.yaml` in the configuration. Raises BadFile."""
    path = directory / FILE
    document = yaml.safe_load(Path(__file__).with_name("policy.yml").read_text())
    mine = [(_built_in(entry), _conditions(entry)) for entry in document["rules"]]
    base = _vocabulary(document)
    place = Place(read(path)) if path.exists() or path.is_symlink() else None
    given = only(place, ("default", "built_in", "rules")) if place and place.value is not None else {}
    default = decision(given["default"]) if "default" in given else "allow"
    owners = [_rule(child) for _, child in given["rules"].children()] if "rules" in given else []
    if "rules" in given:
        _check(given["rules"], base)
    keeps = "built_in" not in given or _truth(given["built_in"])
    pairs = [*owners, *(mine if keeps else ())]
    return Policy(default, tuple(rule for rule, _ in pairs), _together(pairs, base), path, _texts(document))


def _together(pairs: list[tuple[Rule, Mapping[str, Any]]], base: known.Rules) -> known.Rules:
    """The conditions of all rules, each under the rule's number."""
    spoken = [
        {"name": str(i), "topics": ["policy"], **conditions}
        for i, (rule, conditions) in enumerate(pairs)
        if rule.commands
    ]
    return known.with_user_rules(base, spoken)


def _texts(document: Mapping[str, Any]) -> Texts:
    about = document["texts"]
    return Texts(
        inert=frozenset(about["inert"]),
        inert_after=frozenset(tuple(each.split()) for each in about["inert_after"]),
        renames=frozenset(about["renames"]),
        elsewhere=frozenset(about["elsewhere"]),
        interpreters=tuple(about["interpreters"]),
        harmful=tuple(document["sets"]["harmful_text"]),
    )


def _vocabulary(document: Mapping[str, Any]) -> known.Rules:
    """No rules yet, but how the words of programs are to be read, and the sets that a rule may name."""
    built_in = known.built_in()
    ours = known.load({"rules": [], "syntax": document["syntax"], "sets": document["sets"]})
    sets = {**built_in.sets, **ours.sets}
    return replace(built_in, rules=(), syntax=(*ours.syntax, *built_in.syntax), sets=sets, index={}, patterned=())


def _conditions(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key in (*known.CONDITIONS, "unless")}


def _built_in(entry: Mapping[str, Any]) -> Rule:
    return Rule(entry["name"], entry["decision"], entry["reason"])


def _rule(place: Place) -> tuple[Rule, Mapping[str, Any]]:
    given = only(place, ("name", *OWN_KEYS, *known.CONDITIONS, "unless"))
    if "decision" not in given:
        raise place.bad("says no decision", "decision: allow, ask or deny")
    conditions = _conditions({key: child.value for key, child in given.items()})
    rule = Rule(
        name=text(given["name"]) if "name" in given else f"rule {int(str(place.path[-1])) + 1}",
        decision=decision(given["decision"]),
        reason=text(given["reason"]) if "reason" in given else "the owner's rule",
        tools=texts(given["tools"]) if "tools" in given else (),
        nodes=texts(given["nodes"]) if "nodes" in given else (),
        commands=bool(conditions),
        source=place.label,
        reads_words=not {"arguments", "unless"}.isdisjoint(conditions),
        whatever_it_says=conditions.keys() == {"programs"},
    )
    if not conditions and not rule.tools and not rule.nodes:
        raise place.bad("says nothing about a command, a tool or a node", "to say it of all: default: deny")
    return rule, conditions


def _check(place: Place, base: known.Rules) -> None:
    """The conditions are judged by who applies them; a complaint gets its line."""
    if not isinstance(place.value, list):
        raise place.bad("must be a list of rules")
    for index, child in place.children():
        conditions = _conditions(cast("Mapping[str, Any]", child.value))
        if not conditions:
            continue
        try:
            known.with_user_rules(base, [{"name": "x", "topics": ["policy"], **conditions}])
        except known.RuleError as error:
            steps = tuple(error.key.split(".")) if error.key else ()
            fix = did_you_mean(error.key.rpartition(".")[2], error.allowed) if error.allowed else ""
            raise Place(place.document, (*place.path, index, *steps)).bad(shown(error.problem, 200), fix) from error


def decision(place: Place) -> Word:
    if place.value not in WORDS:
        raise place.bad(f"{shown(place.value)} is no decision", did_you_mean(place.value, WORDS))
    return place.value


def _truth(place: Place) -> bool:
    if not isinstance(place.value, bool):
        raise place.bad(f"must be true or false, not {shown(place.value)}")
    return place.value
