"""What the owner configured: one frozen value out of several layers.

From the weakest to the strongest: an existing `~/.config/distributed-gummy/config.yaml` (another
program's file: the three keys that we share are taken, its other keys are its own business),
`~/.config/toft/config.yaml`, the nearest `.toft.yaml` upwards from the current directory, TOFT_<KEY> in the
environment, options.

`.toft.yaml` is not trusted (see settings_keys): a key that it may not set is an error that names the line,
and its `sync_exclude` adds to the owner's patterns, so that a repository cannot have sent away what the
owner keeps at home. One that belongs to another user is passed over with a note: anybody can put one in /tmp.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from toft.fleet.settings_keys import KEYS, Kept, Limits, LoadWeights, Overload
from toft.fleet.yaml_source import BadFile, Place, did_you_mean, parse, read, scalar_document, shown

GUMMY_KEYS = ("load_weights", "sync_exclude", "host_preferences")
REPOSITORY_FILE = ".toft.yaml"


@dataclass(frozen=True)
class Settings:
    inventory: tuple[Path, ...]
    load_weights: LoadWeights
    sync_exclude: tuple[str, ...]
    host_preferences: Mapping[str, tuple[str, ...]]
    rules: tuple[Mapping[str, Any], ...]  # nearest first; before the built-in ones
    overload: Overload
    mirrors: Kept
    announce: str  # off | text | notification | speech
    budgets: Mapping[str, Limits]  # by node; "" is for every other
    connect_timeout: float  # seconds
    reconnect_timeout: float  # seconds a lost stream is sought again
    cpu_interval: float  # seconds over which a probe looks at the CPU
    directory: Path  # ~/.config/toft
    project: Path | None  # where the nearest .toft.yaml stands
    sources: Mapping[str, tuple[str, ...]]  # key -> where it was said, strongest first; () is the default
    files: tuple[Path, ...]  # read, weakest first
    notes: tuple[str, ...]  # for `doctor`

    def limits(self, node: str) -> Limits:
        return self.budgets.get(node, self.budgets.get("", Limits()))


@dataclass(frozen=True)
class Layer:
    """The keys that one source sets; relative paths in it start from `base`."""

    kind: str  # gummy | owner | repository | environment | options
    values: Mapping[str, Place]
    base: Path
    file: Path | None = None
    notes: tuple[str, ...] = field(default=())


def load(env: Mapping[str, str], cwd: Path, flags: Mapping[str, object]) -> Settings:
    """Reads the files and joins the layers. `flags` has keys of KEYS; None is not given. Raises BadFile."""
    directory = config_directory(env)
    gummy = _file_layer("gummy", directory.parent / "distributed-gummy" / "config.yaml")
    owner = _file_layer("owner", directory / "config.yaml")
    layers = [gummy, owner, _repository(cwd), _environment(env, cwd), _options(flags, cwd)]
    return join([layer for layer in layers if layer is not None], directory, home_directory(env))


def config_directory(env: Mapping[str, str]) -> Path:
    """Where toft's configuration is; a relative XDG_CONFIG_HOME is to be ignored, says the standard."""
    given = env.get("XDG_CONFIG_HOME", "")
    return (Path(given) if given.startswith("/") else home_directory(env) / ".config") / "toft"


def join(layers: list[Layer], directory: Path, home: Path) -> Settings:
    """Pure: the layers, weakest first, as one value."""
    values: dict[str, Any] = {name: key.default for name, key in KEYS.items()}
    sources: dict[str, tuple[str, ...]] = dict.fromkeys(KEYS, ())
    for layer in layers:
        for name, place in layer.values.items():
            values[name] = _joined(layer, name, values[name], place, home)
            sources[name] = (place.label, *sources[name])
    values["load_weights"] = _weights(values["load_weights"], layers)
    values["overload"] = Overload(**values["overload"])
    values["mirrors"] = Kept(**values["mirrors"])
    for name in ("host_preferences", "budgets"):
        values[name] = MappingProxyType(dict(values[name]))
    project = next((layer.base for layer in layers if layer.kind == "repository" and layer.file), None)
    return Settings(
        **values,
        directory=directory,
        project=project,
        sources=MappingProxyType(sources),
        files=tuple(layer.file for layer in layers if layer.file),
        notes=tuple(note for layer in layers for note in layer.notes),
    )


def _joined(layer: Layer, name: str, weaker: Any, place: Place, home: Path) -> Any:
    key = KEYS[name]
    value = key.read(place)
    if name == "inventory":
        return tuple(_absolute(text, layer.base, home) for text in value)
    if name == "sync_exclude" and layer.kind == "repository":
        return weaker + tuple(pattern for pattern in value if pattern not in weaker)
    return key.join(weaker, value)


def _weights(given: Mapping[str, float], layers: list[Layer]) -> LoadWeights:
    weights = LoadWeights(**given)
    if weights.cpu + weights.memory + weights.load_average == 0:
        place = [layer.values["load_weights"] for layer in layers if "load_weights" in layer.values][-1]
        raise place.bad("must not all be 0: every node would score the same")
    return weights


def _absolute(text: str, base: Path, home: Path) -> Path:
    if text == "~" or text.startswith("~/"):
        return home / text[2:]
    return base / text


def home_directory(env: Mapping[str, str]) -> Path:
    given = env.get("HOME", "")
    return Path(given if given.startswith("/") else pwd.getpwuid(os.getuid()).pw_dir)


def _file_layer(kind: str, path: Path) -> Layer | None:
    """None when there is no such file; a dangling link is somebody's mistake and is said."""
    if not _is_there(path):
        return None
    top = Place(read(path))
    if top.value is not None and not isinstance(top.value, dict):
        raise top.bad("must be a mapping (key: value)")
    given = {str(name): place for name, place in top.children()}
    if kind == "gummy":
        return _gummy(path, given)
    for name, place in given.items():
        _check_key(kind, name, place)
    return Layer(kind, given, path.parent, path)


def _is_there(path: Path) -> bool:
    """Also when it cannot be looked at: reading it will say why."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _gummy(path: Path, given: Mapping[str, Place]) -> Layer:
    others = [name for name in given if name not in GUMMY_KEYS]
    notes = (f"{path}: not used by toft: {shown(', '.join(others))}",) if others else ()
    values = {name: given[name] for name in GUMMY_KEYS if name in given}
    return Layer("gummy", values, path.parent, path, notes)


def _check_key(kind: str, name: str, place: Place) -> None:
    allowed = [key for key, spec in KEYS.items() if kind == "owner" or spec.repository]
    if name not in KEYS:
        raise place.bad("is no key of toft", did_you_mean(name, allowed))
    if name not in allowed:
        fix = f"put it in ~/.config/toft/config.yaml; a {REPOSITORY_FILE} may set {', '.join(allowed)}"
        raise place.bad("may not be set by a repository", fix)


def _repository(cwd: Path) -> Layer | None:
    """The nearest `.toft.yaml`; one that is neither ours nor root's ends the search with a note."""
    for directory in (cwd, *cwd.parents):
        path = directory / REPOSITORY_FILE
        if os.path.lexists(path):
            owner = _owner(path)
            if owner in (0, os.getuid(), None):
                return _file_layer("repository", path)
            note = f"{path}: passed over: it belongs to user id {owner}; to use it: chown it to yourself"
            return Layer("repository", {}, directory, None, (note,))
    return None


def _owner(path: Path) -> int | None:
    """Whose the link or what it leads to is, a stranger before ourselves. None: it leads nowhere."""
    ours = (0, os.getuid())
    try:
        owners = (os.lstat(path).st_uid, os.stat(path).st_uid)
    except OSError:
        return None
    return next((owner for owner in owners if owner not in ours), owners[0])


def _environment(env: Mapping[str, str], cwd: Path) -> Layer:
    """TOFT_INVENTORY is a list of paths parted by colons; the others are YAML (`TOFT_CONNECT_TIMEOUT=3`)."""
    variables = {name: f"TOFT_{name.upper()}" for name in KEYS}
    given = {name: variable for name, variable in variables.items() if env.get(variable)}
    return Layer("environment", {name: _variable(given[name], env[given[name]]) for name in given}, cwd)


def _variable(variable: str, text: str) -> Place:
    if variable == "TOFT_INVENTORY":
        return Place(scalar_document([part for part in text.split(os.pathsep) if part], variable))
    try:
        return Place(scalar_document(parse(text, variable).data, variable))
    except BadFile as error:  # a variable has no lines
        raise BadFile(variable, None, error.why, error.fix) from error


def _options(flags: Mapping[str, object], cwd: Path) -> Layer:
    """A name that is no key is our own mistake, not the user's: KeyError, in `join`."""
    given = {name: value for name, value in flags.items() if value is not None and value != () and value != []}
    return Layer("options", {name: _option(name, value) for name, value in given.items()}, cwd)


def _option(name: str, value: object) -> Place:
    plain = list(value) if isinstance(value, tuple) else value
    return Place(scalar_document(plain, f"--{name.replace('_', '-')}"))
