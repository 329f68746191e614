"""Inventory files, looked at before Ansible is: a mistake in one is exit 2 with file:line, and nothing ran.

Ansible itself only warns about much of this, or says it without a line, or tries the file as one format
after another and reports them all. Checked are: that each file reads (see yaml_source), that groups have the
form that Ansible knows, and that every node's name is one that may stand in an ssh command. Files are chosen
in the way Ansible chooses them. Executable inventories, plugin configurations and vaults are the owner's own
code or secrets: they are left to Ansible.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from ansible_collections.toft.fleet.plugins.plugin_utils import names

from toft.fleet.yaml_source import BadFile, NotYaml, Place, did_you_mean, parse, read_text, shown

YAML_ENDINGS = (".yml", ".yaml", ".json")
IGNORED_ENDINGS = (
    *(".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst"),
    *(".orig", ".cfg", ".retry"),
)
VARIABLE_DIRECTORIES = ("group_vars", "host_vars")
TAGS = ("!vault", "!vault-encrypted", "!unsafe")
SECTIONS = ("hosts", "children", "vars")
VAULT = "$ANSIBLE_VAULT;"
CONNECTION: Mapping[str, Callable[[object], str | None]] = {
    "ansible_host": names.refuse_address,
    "ansible_ssh_host": names.refuse_address,
    "ansible_user": names.refuse_user,
    "ansible_ssh_user": names.refuse_user,
    "ansible_port": names.refuse_port,
    "ansible_ssh_port": names.refuse_port,
}
MAX_FILES = 2_000
MAX_DEPTH = 8
MAX_RANGE = 10_000

_RANGE = re.compile(r"\[([0-9]+|[A-Za-z]):([0-9]+|[A-Za-z])(?::([0-9]+))?\]")
_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?\Z")


def check(path: Path) -> tuple[Path, ...]:
    """The inventory files that stand for this path. Raises BadFile for the first mistake."""
    files = _bounded(path, _sources(path)) if path.is_dir() else (path,)
    for file in files:
        check_source(file)
    for file in variable_files(path):
        _check_variables(file)
    return files


def variable_files(path: Path) -> tuple[Path, ...]:
    """The files in group_vars and host_vars that belong to this path. Raises BadFile."""
    directory = path if path.is_dir() else path.parent
    return _bounded(directory, _variable_files(directory))


def _bounded(directory: Path, files: Iterator[Path]) -> tuple[Path, ...]:
    """Somebody will give `-i /`."""
    found = tuple(islice(files, MAX_FILES + 1))
    if len(found) > MAX_FILES:
        raise BadFile(str(directory), None, "holds too many files for an inventory")
    return found


def check_source(file: Path) -> None:
    """One inventory file, whatever its format."""
    if _is_script(file):
        return
    text = read_text(file)
    if text.startswith(VAULT) or file.suffix == ".toml":
        return
    if file.suffix in YAML_ENDINGS:
        _check_groups(Place(parse(text, str(file), TAGS)))
    elif not file.suffix and (top := _mapping_or_none(text, file)):
        _check_groups(top)
    else:
        _check_ini(text, str(file))


def _mapping_or_none(text: str, file: Path) -> Place | None:
    """A file without an ending may be either format: it is YAML if it is a mapping."""
    try:
        top = Place(parse(text, str(file), TAGS))
    except NotYaml:
        return None
    return top if isinstance(top.value, dict) else None


def _is_script(file: Path) -> bool:
    if not os.access(file, os.X_OK) or not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(2) == b"#!"


def _sources(directory: Path) -> Iterator[Path]:
    """The inventory files below a directory, in Ansible's order."""
    return _walk(directory, lambda name: name not in (*VARIABLE_DIRECTORIES, "vars_plugins"))


def _variable_files(directory: Path) -> Iterator[Path]:
    for name in VARIABLE_DIRECTORIES:
        if (directory / name).is_dir():
            yield from _walk(directory / name, lambda name: name.endswith(YAML_ENDINGS) or "." not in name)


def _walk(directory: Path, wanted: Callable[[str], bool], depth: int = 0) -> Iterator[Path]:
    """Bounded in depth: a link may lead back up."""
    try:
        entries = sorted(directory.iterdir())
    except OSError as error:
        raise BadFile(str(directory), None, f"cannot be read: {error.strerror}") from error
    if depth > MAX_DEPTH:
        raise BadFile(str(directory), None, "is too deep for an inventory")
    for entry in entries:
        if entry.name.startswith(".") or entry.name.endswith(IGNORED_ENDINGS):
            continue
        if entry.is_dir():
            yield from _walk(entry, wanted, depth + 1) if wanted(entry.name) or depth else ()
        elif wanted(entry.name):
            yield entry


def _check_variables(file: Path) -> None:
    text = read_text(file)
    if text.startswith(VAULT):
        return
    top = Place(parse(text, str(file), TAGS))
    _check_connection(top)


def _check_groups(top: Place) -> None:
    if not isinstance(top.value, dict):
        raise top.bad("must be a mapping of groups", "an example: toft init --dry-run")
    if "plugin" in top.value:
        return
    for _, group in top.children():
        _check_group(group)


def _check_group(group: Place) -> None:
    if group.value is None:
        return
    if not isinstance(group.value, dict):
        raise group.bad(f"must be a group with {', '.join(SECTIONS)}, not {shown(group.value)}")
    for name, section in group.children():
        if name not in SECTIONS:
            raise section.bad("is no part of a group", did_you_mean(name, SECTIONS))
        if name != "vars" and section.value is not None and not isinstance(section.value, dict | str):
            raise section.bad("must be a mapping", "end each name with a colon")
        for child_name, child in section.children():
            if name == "hosts":
                _check_node(child_name, child)
            elif name == "children":
                _check_group(child)
        if name == "vars":
            _check_connection(section)


def _check_node(name: object, place: Place) -> None:
    why = refuse_host(name)
    if why:
        raise BadFile(place.document.file, place.line, why, key=place.key)
    _check_connection(place)


def _check_connection(variables: Place) -> None:
    """Addresses, users and ports that are given literally; a template is judged when it is used."""
    if variables.value is None:
        return
    if not isinstance(variables.value, dict):
        raise variables.bad("must be a mapping of variables (name: value)")
    for name, place in variables.children():
        why = refuse_connection(name, place.value)
        if why:
            raise place.bad(why)


def refuse_connection(name: object, value: object) -> str | None:
    """Why this cannot be the value of a variable that becomes a word of an ssh command."""
    refuse = CONNECTION.get(name) if isinstance(name, str) else None
    literal = not (isinstance(value, str) and ("{{" in value or "{%" in value or value.startswith(VAULT)))
    why = refuse(value) if refuse and literal and value is not None else None
    return shown(why, 300) if why else None


def refuse_host(name: object) -> str | None:
    """Why this word cannot name a node; it may have Ansible's ranges (`pi[1:3]`) and a port (`pi:2222`)."""
    if not isinstance(name, str):
        return names.refuse_node(name)
    count = 1
    for low, high, step in _RANGE.findall(name):
        count *= _steps(low, high, int(step or 1))
    if count > MAX_RANGE:
        return f"{shown(name)} stands for more than {MAX_RANGE} nodes"
    plain = re.sub(r":[0-9]{1,5}\Z", "", _RANGE.sub("0", name))
    why = names.refuse_node(plain)
    return shown(why, 300) if why else None


def _steps(low: str, high: str, step: int) -> int:
    if not (low.isdigit() and high.isdigit()):
        return 52
    return max(1, (int(high[:12]) - int(low[:12])) // max(1, step) + 1)


def _check_ini(text: str, file: str) -> None:
    section = "hosts"
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and not _RANGE.match(line):
            section = _section(line, file, number)
        elif section == "hosts":
            _check_ini_host(line, file, number)
        elif section == "vars":
            _check_ini_variable(line, file, number)


def _section(line: str, file: str, number: int) -> str:
    match = _SECTION.match(line)
    if not match:
        raise BadFile(file, number, f"{shown(line)} is no section", "write [group], without spaces")
    kind = match[2] or "hosts"
    if kind not in SECTIONS:
        raise BadFile(file, number, f"{shown(line)} is no kind of section", did_you_mean(kind, SECTIONS))
    return kind


def _check_ini_variable(line: str, file: str, number: int) -> None:
    name, equals, value = (part.strip() for part in line.partition("="))
    if not equals:
        raise BadFile(file, number, f"must be name=value, not {shown(line)}")
    why = refuse_connection(name, value.strip("'\""))
    if why:
        raise BadFile(file, number, f"{name}: {why}")


def _check_ini_host(line: str, file: str, number: int) -> None:
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise BadFile(file, number, f"a quote is left open: {shown(line)}") from error
    if not words:
        return
    why = refuse_host(words[0])
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if not equals:
            raise BadFile(file, number, f"after a node's name come name=value words, not {shown(word)}")
        why = why or refuse_connection(name, value)
    if why:
        raise BadFile(file, number, why)
