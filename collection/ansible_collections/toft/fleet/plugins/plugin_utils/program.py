# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The node program as bytes, and the shell command that boots it.

A node has nothing of ours installed. Each connection runs one constant command, which finds a Python
and gives it a boot line; that line skips its input up to a marker (whatever a sudo prompt was fed
comes before it), reads the bundle and executes it. The bundle carries the sources of the node's
modules that the request's verb needs. A node where jobs are kept keeps them compiled as well, under
their digest.

    send      request_bytes({"verb": "ping"}), which is the bundle for that verb and the request itself
    receive   Reader().feed(data), which skips all noise before the node's own marker
"""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ansible_collections.toft.fleet.plugins.module_utils import frames

PACKAGE = "ansible_collections.toft.fleet.plugins.module_utils"
MARKER = "toft-boot"
NO_PYTHON = b"toft-no-python\n"
NOISE_KEPT = 4096

PYTHONS = ("python3", "/opt/homebrew/bin/python3", "/usr/local/bin/python3", "/usr/bin/python3")
FLAGS = ("-I", "-S", "-X", "utf8")

ALWAYS = ("frames", "jobs", "account", "node", "compiled")
MODULES = {
    "start": (
        "intake",
        "claim",
        "processes",
        "spawn",
        "environment",
        "login",
        "capture",
        "orders",
        "clock",
        "launch",
        "brief",
        "streams",
        "control",
        "supervisor",
        "manifest",
        "slots",
    ),
    "mirror": ("manifest", "slots", "shelf", "upkeep", "gitindex", "switch", "stage", "commit", "mirror"),
    "mirrors": ("manifest", "slots", "stage", "shelf"),
    "fetch": ("manifest", "slots", "fetch"),
    "follow": ("control", "attach"),
    "signal": ("control", "processes"),
    "cancel": ("intake",),
    "remove": ("intake",),
    "list": ("intake",),
    "look": ("look",),
}

# One line, for `python -c`, inside double quotes inside single quotes: it has neither kind of quote, no
# dollar, backtick, backslash or exclamation mark. Its words come as arguments. 70 means that a Python
# of ours ran and failed; with any other failure the next Python is tried.
BOOT = (
    "import sys,os,io,zlib;sys.version_info<(3,8)and sys.exit(99);"
    "sys.excepthook=lambda *e:(sys.__excepthook__(*e),sys.stderr.flush(),os._exit(70));"
    "f=open(0,sys.argv[1],0,None,None,None,False);m=sys.argv[2].encode()+bytes([10]);"
    "next((1 for l in f if l.endswith(m)),0)or sys.exit(70);n=int(f.readline());"
    "exec(zlib.decompress(io.BufferedReader(f,1).read(n)))"
)

# Python itself sets LC_CTYPE when it finds the C locale. The command must not see that.
# COMPILED is what the module `compiled` has kept, and None of it if anything about the file is odd.
LOADER = '''
import marshal, os, sys
import _frozen_importlib_external as external
if not sys.argv[3]:
    os.environ.pop("LC_CTYPE", None)

STATE = os.environ.get("XDG_STATE_HOME") or os.environ.get("HOME", "") + "/.local/state"
KEPT = STATE + "/toft/code/" + DIGEST + external.MAGIC_NUMBER.hex()

def compiled():
    try:
        with open(os.open(KEPT, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            found, data = os.fstat(file.fileno()), file.read()
        ours = found.st_uid == os.geteuid() and not found.st_mode & 0o022
        if ours and int.from_bytes(data[:4], "big") == zlib.crc32(data[4:]):
            return marshal.loads(data[4:])
    except (OSError, EOFError, ValueError, TypeError):
        return None

COMPILED = compiled()

class Bundled:
    """Finds the modules that came along; the packages above them are empty."""

    def find_spec(self, name, path=None, target=None):
        if name in SOURCES or any(known.startswith(name + ".") for known in SOURCES):
            return type(sys.__spec__)(name, self, is_package=name not in SOURCES)

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        name = module.__name__
        if name in SOURCES:
            file = "toft/" + name.rpartition(".")[2] + ".py"
            code = COMPILED[name] if COMPILED else compile(SOURCES[name], file, "exec", dont_inherit=True)
            exec(code, module.__dict__)

sys.meta_path.insert(0, Bundled())
from PACKAGE import node
status = node.main(0, 1)
if not COMPILED:
    from PACKAGE.compiled import keep
    keep(KEPT, SOURCES)
os._exit(status)
'''.replace("PACKAGE", PACKAGE)

_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_DOCSTRING = re.compile(r'^([ \t]*)"""(?:[^"]|"(?!""))*"""[ \t]*$', re.MULTILINE)
_UNQUOTABLE = re.compile("['\"$`\\\\!\n]")


@dataclass(frozen=True)
class Noise:
    """What came instead of the node's marker, for a message; `no_python` when it said so itself."""

    tail: bytes
    no_python: bool


class BadInterpreter(Exception):
    """A path that cannot stand in the boot command."""

    def __init__(self, path: str) -> None:
        super().__init__(f"not a path of a Python: {path!r}")
        self.path = path


def request_bytes(*requests: dict[str, Any]) -> bytes:
    """All that is to be sent for these requests, which are answered one after the other."""
    verbs = {str(request.get("verb")) for request in requests}
    carried = bundle(frozenset(verbs & MODULES.keys()))
    return carried + b"".join(frames.message(frames.REQUEST, request) for request in requests)


@cache
def bundle(verbs: frozenset[str]) -> bytes:
    """What comes before the first request: the program, with what these verbs need of it."""
    folder = Path(__file__).parent.parent / "module_utils"
    names = dict.fromkeys([*ALWAYS, *(name for verb in sorted(verbs) for name in MODULES[verb])])
    sources = {f"{PACKAGE}.{name}": _spare((folder / f"{name}.py").read_text("utf-8")) for name in names}
    program = f"SOURCES = {sources!r}\n{LOADER}"
    digest = hashlib.sha256(program.encode()).hexdigest()[:32]
    payload = zlib.compress(f"DIGEST = {digest!r}\n{program}".encode(), 6)
    return b"%s\n%d\n%s" % (MARKER.encode(), len(payload), payload)


def _spare(source: str) -> str:
    """The same lines without comments and docstrings."""
    bare = _COMMENT.sub("", source)
    return _DOCSTRING.sub(lambda found: found[1] + '""' + "\n" * found[0].count("\n"), bare)


def command(python: str | None) -> str:
    """The shell command that boots the program, for any login shell: sh, bash, zsh, fish, csh.

    With `python` only that one is tried. Raises BadInterpreter for what no shell here could be given.
    """
    if python is not None and _UNQUOTABLE.search(python):
        raise BadInterpreter(python)
    pythons = " ".join(f'"{path}"' for path in ((python,) if python else PYTHONS))
    run = f'"$p" {" ".join(FLAGS)} -c "{BOOT}" rb {MARKER} "${{LC_CTYPE+set}}"'
    script = (
        f'for p in {pythons}; do command -v "$p" >/dev/null 2>&1 || continue; {run}; r=$?; '
        "case $r in 0|70) exit $r;; esac; [ $r -gt 128 ] && exit $r; done; "
        f"echo {NO_PYTHON.decode().strip()}; exit 127"
    )
    return f"/bin/sh -c '{script}'"


class Reader:
    """The node's frames out of what its channel delivers; those of the kinds in `flowing` as they come."""

    def __init__(self, flowing: bytes = b"") -> None:
        self._decoder = frames.Decoder(flowing)
        self._before = bytearray()
        self.greeted = False

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """The frames that `data` completes. Raises frames.BadFrame after the marker."""
        if self.greeted:
            return self._decoder.feed(data)
        self._before += data
        place = self._before.find(frames.MARKER)
        if place < 0:
            del self._before[:-NOISE_KEPT]
            return []
        self.greeted = True
        return self._decoder.feed(bytes(self._before[place + len(frames.MARKER) :]))

    def noise(self) -> Noise:
        """What stands instead of an answer when the channel ends without one."""
        return Noise(bytes(self._before), NO_PYTHON in self._before)
