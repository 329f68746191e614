# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where an effect finds the names that it is about: in operands, options, assignments, or made from them.

The forms are explained in the head of effects.yml. Each is a function from a command's use to texts.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from urllib.parse import urlsplit

from ansible_collections.toft.fleet.plugins.plugin_utils.resources import ending
from ansible_collections.toft.fleet.plugins.plugin_utils.uses import Use

Names = Mapping[str, tuple[str, ...]]
HERE = frozenset({"localhost", "127.0.0.1", "0.0.0.0", "::1"})
WRITTEN = re.compile(
    r"-o$|--?(out|output|outfile|out-?file|output-?file|out-?dir|output-?dir|dest|destination|save|report|log-?file"
    r"|save-?(to|path|dir)|output-?path|out-?path|export|target-?dir)$"
)
"""Options that any program would call an output by."""
MAKES = re.compile(
    r"(pre_?)?process|conver|transform|clean|gen|extract|normali[sz]e|resize|compress|minify|encode|decode|render|split"
    r"|prep|filter|export|encrypt|decrypt|translate|compile|bundle|dedup"
)
"""How scripts are called that make their last file out of the others."""
DATABASE = re.compile(
    r"\b(?:create|drop|alter|use)\s+(?:database|schema)\s+(?:if\s+(?:not\s+)?exists\s+)?[`\"]?([\w-]+)", re.I
)
_SLICE = re.compile(r"args(?:\[(-?\d+)?(:)?(-?\d+)?\])?(?:\?(.+))?\Z")


def texts(source: str, use: Use, packages: Names, ports: Names) -> list[str]:
    """What an effect's source names in this command."""
    if source.startswith("="):
        return [source[1:]]
    if source.startswith("-"):
        return _option(source, use)
    sliced = _SLICE.match(source)
    if sliced:
        *cut, default = sliced.groups()
        return _slice(use.operands, *cut) or ([default] if default else [])
    name, _colon, rest = source.partition(":")
    if name == "packages":
        return [program for each in use.operands for program in _programs(each, packages)]
    if name == "ports_of":
        return [port for each in use.operands for port in ports.get(each.removesuffix(".service"), ("*",))]
    return _FORMS[name](use, rest)


def _option(source: str, use: Use) -> list[str]:
    names, asked, default = source.partition("?")
    found = [value for name in names.split(",") for value in use.options.get(name, ())]
    return found or ([default] if asked else [])


def _slice(operands: tuple[str, ...], start: str | None, colon: str | None, end: str | None) -> list[str]:
    if start is not None and colon is None:
        return [each for each in [_at(operands, int(start))] if each is not None]
    return list(operands[int(start) if start else None : int(end) if end else None])


def _at(operands: tuple[str, ...], index: int) -> str | None:
    try:
        return operands[index]
    except IndexError:
        return None


def _programs(package: str, packages: Names) -> tuple[str, ...]:
    """The programs of a package: as the data says, else the one of its name (without extras and version)."""
    scoped = package.startswith("@")
    name = package if scoped else re.split(r"[\[=<>~!@ ]", posixpath.basename(package))[0]
    return packages.get(name, (name,) if name not in ("", ".") else ())


# ---- forms -------------------------------------------------------------------


def _own(use: Use, rest: str) -> list[str]:
    return [use.prefix or "default"]


def _named(use: Use, rest: str) -> list[str]:
    return [each for each in use.operands if each.rstrip("/") not in (".", "..")]


def _into(use: Use, rest: str) -> list[str]:
    """Where cp, mv and the like put things: the files themselves if the last operand is a directory."""
    target = use.options.get("-t") or use.options.get("--target-directory")
    things = use.operands if target else use.operands[:-1]
    last = target[0] if target else use.operands[-1] if len(use.operands) > 1 else ""
    whole = any(flag in use.options for flag in ("-r", "-R", "-a", "--recursive", "--archive"))
    one_file = len(things) == 1 and not last.endswith("/") and last != "."
    same = posixpath.basename(last) == posixpath.splitext(posixpath.basename(things[0]))[0] if one_file else False
    if not last or (one_file and (whole or same or ending(last) or not ending(things[0]) or "*" in things[0])):
        return [last] if last else []
    return [posixpath.join(last, posixpath.basename(each.rstrip("/"))) for each in things]


def _base(use: Use, rest: str) -> list[str]:
    """The last part of an address: what `curl -O` writes."""
    paths = (re.sub(r"^[a-z]+://[^/]*|[?#].*", "", each) for each in use.operands)
    return [name for path in paths if (name := posixpath.basename(path))]


def _repository(use: Use, rest: str) -> list[str]:
    """Where `git clone` puts it."""
    if not use.operands:
        return []
    named = re.split(r"[/:]", use.operands[0].rstrip("/"))[-1].removesuffix(".git")
    return [use.operands[1] if len(use.operands) > 1 else named]


def _key(use: Use, rest: str) -> list[str]:
    return [each.partition("=")[2] for each in use.operands if each.startswith(f"{rest}=")]


def _swapped(use: Use, rest: str) -> list[str]:
    """foo.o of src/foo.c: another ending, in the current directory."""
    return [posixpath.splitext(posixpath.basename(each))[0] + "." + rest for each in use.operands]


def _added(use: Use, rest: str) -> list[str]:
    return [f"{each}.{rest}" for each in use.operands]


def _dropped(use: Use, rest: str) -> list[str]:
    return [posixpath.splitext(each)[0] for each in use.operands]


def _asked_ports(use: Use, rest: str) -> list[str]:
    """Ports of this machine in addresses, among operands and options' values."""
    found = []
    for each in (*use.operands, *(value for values in use.options.values() for value in values)):
        try:
            address = urlsplit(each if "://" in each else f"//{each}")
            if address.hostname in HERE:
                found.append(str(address.port or (443 if address.scheme == "https" else 80)))
        except ValueError:
            continue
    return found


def _published(use: Use, rest: str) -> list[str]:
    """The ports on this machine of `-p 8080:80`, `-p 127.0.0.1:8080:80`, `-p 80`."""
    given = [value for name in rest.split(",") for value in use.options.get(name, ())]
    return [(value.split(":")[-2] if ":" in value else value) for value in given]


def _served(use: Use, rest: str) -> list[str]:
    """The port of `host:port` operands (php -S, gunicorn -b)."""
    given = [value for name in rest.split(",") for value in use.options.get(name, ())]
    return [value.rpartition(":")[2] for value in given]


def _files_at(use: Use, rest: str) -> list[str]:
    """The files of `-d @body.json` and `-F f=@x.png`."""
    values = [value for name in rest.split(",") for value in use.options.get(name, ())]
    return [value.partition("@")[2].partition(";")[0] for value in values if "@" in value]


def _assigned(use: Use, rest: str) -> list[str]:
    name, asked, default = rest.partition("?")
    found = [each.value.text for each in use.command.assignments if each.name == name]
    through = [word.text for via in use.command.via for word in via]
    found += [text.partition("=")[2] for text in through if text.startswith(f"{name}=")]
    return found or ([default] if asked else [])


def _mounted(use: Use, rest: str) -> list[str]:
    """The directories here of `-v ./data:/data`."""
    given = [value for name in rest.split(",") for value in use.options.get(name, ())]
    return [value.partition(":")[0] for value in given if value.startswith((".", "/"))]


def _volumes(use: Use, rest: str) -> list[str]:
    """The named volumes of `-v data:/data`."""
    given = [value for name in rest.split(",") for value in use.options.get(name, ())]
    return [value.partition(":")[0] for value in given if not value.startswith((".", "/", "$", "~"))]


def _parts(use: Use, rest: str) -> list[str]:
    """Operands without what follows a colon, as in `host:path`, `name:path`."""
    return [each.partition(":")[0] for each in use.operands if ":" in each]


def _beside(use: Use, rest: str) -> list[str]:
    """The directory of a file."""
    return [posixpath.dirname(value) or "." for value in use.options.get(rest, ())]


def _pieces(use: Use, rest: str) -> list[str]:
    """What `split FILE [PREFIX]` makes."""
    return [f"{use.operands[1] if len(use.operands) > 1 else 'x'}*"]


def _forwarded(use: Use, rest: str) -> list[str]:
    """5433 of `-L 5433:db:5432` and `-L localhost:5433:db:5432`."""
    return [value.split(":")[-3] for value in use.options.get(rest, ()) if value.count(":") >= 2]


def _reports(use: Use, rest: str) -> list[str]:
    """The files of `--cov-report=xml` and `--cov-report=xml:cov.xml`."""
    usual = {"xml": "coverage.xml", "json": "coverage.json", "lcov": "coverage.lcov", "html": "htmlcov"}
    given = (value.partition(":") for value in use.options.get(rest, ()))
    return [path or usual[form] for form, _colon, path in given if form in usual]


def _in_sql(use: Use, rest: str) -> list[str]:
    """Databases that a statement creates, drops or changes to."""
    statements = [value for name in rest.split(",") for value in use.options.get(name, ())]
    return [found for text in statements for found in DATABASE.findall(text)]


def _ports_asked(use: Use, rest: str) -> list[str]:
    """8080 of `tcp:8080`, `:8080` and `8080`."""
    return [found[1] for each in use.operands if (found := re.fullmatch(r"(?:tcp:|:)?(\d{2,5})", each))]


def _scripts(use: Use, rest: str) -> list[str]:
    """The module's file of `python -m pkg.mod`."""
    return [value.replace(".", "/") + ".py" for value in use.options.get("-m", ())]


_FORMS: dict[str, Callable[[Use, str], list[str]]] = {
    "own": _own,
    "named": _named,
    "into": _into,
    "base": _base,
    "repository": _repository,
    "key": _key,
    "swap": _swapped,
    "add": _added,
    "drop": _dropped,
    "localhost": _asked_ports,
    "published": _published,
    "served": _served,
    "at": _files_at,
    "assigned": _assigned,
    "mounted": _mounted,
    "mounted_name": _volumes,
    "parts": _parts,
    "module": _scripts,
    "beside": _beside,
    "pieces": _pieces,
    "forwarded": _forwarded,
    "reports": _reports,
    "sql": _in_sql,
    "ports_asked": _ports_asked,
}


# ---- programs that nobody told us about --------------------------------------


def by_looks(use: Use, start: int) -> Iterator[tuple[str, bool]]:
    """(text, written) of what looks like files from operand `start` on, and of options called like an output.

    Of two or more plain operands the last is taken for the result if its ending differs (`x.py a.csv b.json`)
    or the program is called by what it makes (`clean.py raw.csv good.csv`).
    """
    for name, values in use.options.items():
        for value in values:
            if WRITTEN.match(name):
                yield value, True
            elif looks_like_file(value):
                yield value, False
    written = _after_output_options(use)
    files = [each for each in use.operands[start:] if looks_like_file(each) and each not in written]
    plain = [each for each in files if each not in use.loose]
    makes = len(plain) > 1 and (ending(plain[-1]) not in {ending(e) for e in plain[:-1]} or _is_maker(use))
    result = plain[-1] if makes else None
    for each in written:
        yield each, True
    for each in files:
        yield each, each == result or _called_output(each, plain)


def ports(use: Use, unknown: bool) -> Iterator[tuple[str, bool]]:
    """(port, it may be served) of a command of whose ports nobody told us: addresses of this machine are asked; what
    `--port` names (`-p` too, of a program that is not known) is served or asked, and either may be."""
    named = _values(use, "--port", *(("-p",) if unknown else ()))
    bound = [value.rpartition(":")[2] for value in _values(use, "--listen", "--bind", "--addr", "--address")]
    for port in (*named, *bound, *_assigned(use, "PORT")):
        if re.fullmatch(r"[0-9]{2,5}", port) and (int(port) >= 1000 or port in ("80", "443")):
            yield port, True
    for port in _asked_ports(use, ""):
        yield port, False


def _values(use: Use, *names: str) -> list[str]:
    """Also of options that nobody told us take a value."""
    words = [word.text for word in use.command.argv]
    loose = [after for word, after in pairwise(words) if word in names and not after.startswith("-")]
    return [value for name in names for value in use.options.get(name, ())] + loose


def plain_words(use: Use, start: int) -> list[str]:
    """Words that do not look like files, but could be some: operands and options' values."""
    given = [*use.operands[start:], *(value for values in use.options.values() for value in values)]
    return [each for each in given if re.fullmatch(r"\w[\w.-]*", each) and not looks_like_file(each)]


def _is_maker(use: Use) -> bool:
    words = [word.text for word in use.command.argv if not word.text.startswith("-")][:2]
    return any(MAKES.match(posixpath.basename(word)) for word in words)


def _after_output_options(use: Use) -> set[str]:
    """Words behind an output option that nobody told us takes a value."""
    words = [word.text for word in use.command.argv]
    return {after for word, after in pairwise(words) if WRITTEN.match(word) and not after.startswith("-")}


def _called_output(text: str, plain: list[str]) -> bool:
    name = posixpath.basename(text)
    return len(plain) > 1 and text == plain[-1] and bool(re.match(r"(out|output|result)s?\b", name))


def looks_like_file(text: str) -> bool:
    """A relative or absolute path, or a name with an ending that begins with a letter."""
    if "://" in text or "=" in text or not text or re.match(r"[\w.@-]{2,}:", text) or re.search(r"\s", text):
        return False
    if text.startswith("@") or re.fullmatch(r"[\d./:-]+", text):
        return False
    return "/" in text or bool(re.search(r"\w\.[A-Za-z]\w{0,9}$", text))
