"""The keys of a toft configuration: what each may hold, and how the word of several files joins.

`KEYS` is the whole table. A key's `read` turns a `Place` into a plain value or raises BadFile; its `join`
takes the weaker value and the stronger one. `repository` says that a `.toft.yaml` may set the key: such a
file comes with a repository that was perhaps cloned a minute ago, so it may say how *its own tree* is best
placed and what of it stays at home, and nothing else. Where the nodes are (an inventory is code: lookups and
proxy commands run here), what may be spent, how long to wait and what is spoken are the owner's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

from ansible_collections.toft.fleet.plugins.plugin_utils import names

from toft.fleet.yaml_source import Place, did_you_mean, shown

Reader = Callable[[Place], Any]
Join = Callable[[Any, Any], Any]

ENOUGH = 1e15
# What a machine builds for itself: it would not run on another.
MACHINE_BOUND = ("node_modules", ".venv", "__pycache__")
ANNOUNCE = ("off", "text", "notification", "speech")


@dataclass(frozen=True)
class LoadWeights:
    """How much each part of the load counts in a node's score."""

    cpu: float = 0.4
    memory: float = 0.3
    load_average: float = 0.3


@dataclass(frozen=True)
class Overload:
    """This machine is overloaded when any of these is passed; `load_per_core` is the 1 minute average."""

    cpu_percent: float = 85.0
    memory_percent: float = 90.0
    load_per_core: float = 1.5


@dataclass(frozen=True)
class Kept:
    """How long nodes keep the mirror of a tree of this machine unused, and how many of them; 0 is no limit."""

    days: float = 30.0
    most: int = 50


@dataclass(frozen=True)
class Limits:
    """Caps of an agent; None is no cap. A node's own `toft_budget_usd` is its `session_usd`."""

    session_usd: float | None = None
    day_usd: float | None = None
    session_tokens: int | None = None
    day_tokens: int | None = None


@dataclass(frozen=True)
class Key:
    read: Reader
    default: Any
    join: Join = lambda weaker, stronger: stronger
    repository: bool = False


def _mapping(place: Place) -> Mapping[str, Place]:
    if not isinstance(place.value, dict):
        raise place.bad(f"must be a mapping (name: value), not {shown(place.value)}")
    for name, child in place.children():
        if not isinstance(name, str):
            raise child.bad(f"the name {shown(name)} must be text", "put it in quotes")
    return {str(name): child for name, child in place.children()}


def only(place: Place, allowed: tuple[str, ...]) -> Mapping[str, Place]:
    """A mapping that has no other names than these."""
    found = _mapping(place)
    for name, child in found.items():
        if name not in allowed:
            raise child.bad("is no key here", did_you_mean(name, allowed))
    return found


def number(place: Place, low: float, high: float = ENOUGH) -> float:
    """A finite number; true and false are none, though Python counts them among the integers."""
    value = place.value
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return float(value)
    bounds = f"of at least {low:g}" if high == ENOUGH else f"from {low:g} to {high:g}"
    raise place.bad(f"must be a number {bounds}, not {shown(value)}")


def whole(place: Place, low: float = 0) -> int:
    value = number(place, low)
    if value != int(value):
        raise place.bad(f"must be a whole number, not {shown(place.value)}")
    return int(value)


def text(place: Place) -> str:
    value = place.value
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise place.bad(f"must be one line of text, not {shown(value)}", "put it in quotes")
    return value


def texts(place: Place, item: Callable[[Place], str] = text) -> tuple[str, ...]:
    """A list of texts; one alone needs no list."""
    if isinstance(place.value, str):
        return (item(place),)
    if not isinstance(place.value, list):
        raise place.bad(f"must be a list of texts, not {shown(place.value)}")
    return tuple(item(child) for _, child in place.children())


def numbers(place: Place, bounds: Mapping[str, Reader]) -> dict[str, Any]:
    """A mapping with some of these names, each read by its own reader."""
    return {name: bounds[name](child) for name, child in only(place, tuple(bounds)).items()}


def exclude(place: Place) -> str:
    """A pattern for rsync, and not one of the forms by which a pattern takes other patterns back."""
    pattern = text(place)
    if pattern.startswith(("+ ", "- ", "!", "+,", "-,")):
        raise place.bad(f"{shown(pattern)} is a filter rule, not a pattern", "write the bare pattern")
    return pattern


def node(place: Place) -> str:
    """The name of a node or a group."""
    name = text(place)
    why = names.refuse_node(name)
    if why:
        raise place.bad(shown(why, 200))
    return name


def preferences(place: Place) -> dict[str, tuple[str, ...]]:
    return {topic: texts(child, node) for topic, child in _mapping(place).items()}


def rules(place: Place) -> tuple[Mapping[str, Any], ...]:
    """Mappings in the form of the collection's rules.yml, which judges them too."""
    # Rules bring the command parser along: 30 ms that nobody without rules of his own should pay.
    from ansible_collections.toft.fleet.plugins.plugin_utils import rules as known

    if not isinstance(place.value, list):
        raise place.bad("must be a list of rules")
    try:
        known.with_user_rules(known.built_in(), place.value)
    except known.RuleError as error:
        steps = (error.index, *error.key.split(".")) if error.key else (error.index,)
        wrong = error.key.rpartition(".")[2] if error.problem.startswith("is no") else ""
        fix = did_you_mean(wrong, error.allowed) if error.allowed else ""
        raise Place(place.document, (*place.path, *steps)).bad(shown(error.problem, 200), fix) from error
    return tuple(MappingProxyType(rule) for rule in place.value)


def announce(place: Place) -> str:
    """YAML reads a bare `off` as false and `on` as true; on is what the word was always for: speech."""
    value = place.value
    if isinstance(value, bool):
        value = "speech" if value else "off"
    if value not in ANNOUNCE:
        raise place.bad(f"{shown(value)} is not known", did_you_mean(value, ANNOUNCE))
    return str(value)


def budgets(place: Place) -> dict[str, Limits]:
    """Caps by node name; the caps that stand beside `nodes` are for all others, under the name ''."""
    found = dict(only(place, (*CAPS, "nodes")))
    nodes = found.pop("nodes", None)
    limits = {"": _limits(found.items())} if found else {}
    for node, child in _mapping(nodes).items() if nodes else ():
        limits[node] = _limits(only(child, tuple(CAPS)).items())
    return limits


def _limits(given: Iterable[tuple[str, Place]]) -> Limits:
    return Limits(**{name: CAPS[name](place) for name, place in given})


def _update(weaker: Mapping[str, Any], stronger: Mapping[str, Any]) -> dict[str, Any]:
    return {**weaker, **stronger}


def _nearest_first(weaker: tuple[Any, ...], stronger: tuple[Any, ...]) -> tuple[Any, ...]:
    return stronger + tuple(value for value in weaker if value not in stronger)


_share = partial(number, low=0)
_percent = partial(number, low=0, high=100)
WEIGHTS: Mapping[str, Reader] = {"cpu": _share, "memory": _share, "load_average": _share}
CAPS: Mapping[str, Reader] = {
    "session_usd": _share,
    "day_usd": _share,
    "session_tokens": whole,
    "day_tokens": whole,
}
OVERLOAD: Mapping[str, Reader] = {
    "cpu_percent": _percent,
    "memory_percent": _percent,
    "load_per_core": _share,
}
MIRRORS: Mapping[str, Reader] = {"days": _share, "most": whole}

KEYS: Mapping[str, Key] = MappingProxyType(
    {
        "inventory": Key(texts, ()),
        "load_weights": Key(partial(numbers, bounds=WEIGHTS), {}, _update, repository=True),
        "sync_exclude": Key(partial(texts, item=exclude), MACHINE_BOUND, repository=True),
        "host_preferences": Key(preferences, {}, _update, repository=True),
        "rules": Key(rules, (), _nearest_first, repository=True),
        "overload": Key(partial(numbers, bounds=OVERLOAD), {}, _update),
        "mirrors": Key(partial(numbers, bounds=MIRRORS), {}, _update),
        "announce": Key(announce, "off"),
        "budgets": Key(budgets, {}, _update),
        "connect_timeout": Key(partial(number, low=0.1, high=600), 5.0),
        "reconnect_timeout": Key(partial(number, low=0, high=86_400), 300.0),
        "cpu_interval": Key(partial(number, low=0.05, high=10), 0.25),
    }
)
