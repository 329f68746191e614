"""The node program as bytes, and the command that boots it, in every login shell and with every Python."""

from __future__ import annotations

import ast
import json
import marshal
import os
import re
import shutil
import stat
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.module_utils import frames
from ansible_collections.toft.fleet.plugins.plugin_utils import program

from tests.collection.node_sessions import Node, boot_argv, node_for

SHELLS = ["sh", "bash", "zsh", "fish", "tcsh", "csh", "dash"]
FOLDER = Path(program.__file__).parent.parent / "module_utils"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    yield from node_for(tmp_path)


def pythons(lowest: tuple[int, int], below: tuple[int, int]) -> list[str]:
    """The Pythons of this machine from one version up to another one."""
    found: dict[tuple[int, int], str] = {}
    places = [str(path) for path in Path("~/.pyenv/versions").expanduser().glob("*/bin/python3*")]
    for place in [*places, *(f"/usr/bin/python3.{minor}" for minor in range(20))]:
        name = re.fullmatch(r"python3\.(\d+)", Path(place).name)
        if name and os.access(place, os.X_OK):
            found.setdefault((3, int(name[1])), place)
    return [place for version, place in sorted(found.items()) if lowest <= version < below]


def boot(node: Node, argv: list[str], sent: bytes, env: dict[str, str] | None = None) -> tuple[Any, Any]:
    """Run one boot to its end; its frames, and what came instead."""
    done = subprocess.run(argv, input=sent, env=env or node.env, stdout=subprocess.PIPE, timeout=60)
    reader = program.Reader()
    return reader.feed(done.stdout), reader.noise()


PING = {"verb": "ping"}


@pytest.mark.parametrize("shell", SHELLS)
def test_each_login_shell_boots_it(node: Node, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    sent, _noise = boot(node, [shell, "-c", program.command(None)], program.request_bytes(PING))
    assert [kind for kind, _payload in sent] == [frames.ANSWER]
    assert frames.loads(sent[0][1])["ok"] is True


@pytest.mark.parametrize("python", [None, "/opt/a python/3.8+x~y/bin/python3", "python3.11"])
def test_the_command_has_nothing_a_shell_would_change(python: str | None) -> None:
    command = program.command(python)
    before, script, after = command.split("'")
    assert (before, after) == ("/bin/sh -c ", "")
    assert not set("!\\\n'`") & set(script)
    assert len(command) < 1500


@pytest.mark.parametrize("path", ["py'thon", 'py"thon', "$(id)", "`id`", "py\\thon", "hey!", "a\nb"])
def test_a_python_that_would_be_more_than_a_path(path: str) -> None:
    with pytest.raises(program.BadInterpreter) as refused:
        program.command(path)
    assert refused.value.path == path


@pytest.mark.parametrize("python", pythons((3, 8), (4, 0)))
def test_each_supported_python_runs_a_job(node: Node, python: str) -> None:
    node.python = python
    assert node.ask(verb="ping")["python"].startswith(Path(python).name.removeprefix("python"))
    outcome = node.run("sh", "-c", "cat; echo said; exit 3", stdin="none")
    assert (outcome.stdout, outcome.record["exit_code"]) == (b"said\n", 3)
    outcome = node.run("sh", "-c", "tty; kill -9 $$", tty={"rows": 3, "cols": 4})
    assert outcome.stdout.startswith(b"/dev/")
    assert outcome.record["signal"] == 9


@pytest.mark.parametrize("python", [*pythons((3, 0), (3, 8)), "/bin/false", "/no/such/python3"])
def test_a_python_that_will_not_do_is_said(node: Node, python: str) -> None:
    done = subprocess.run(
        ["sh", "-c", program.command(python)], stdin=subprocess.DEVNULL, capture_output=True, env=node.env
    )
    assert done.returncode == 127
    reader = program.Reader()
    assert reader.feed(done.stdout) == []
    assert reader.noise().no_python


def test_a_python_that_fails_gives_way_to_the_next(node: Node, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    stub = tmp_path / "bin" / "python3"
    # As macOS has it where the command line tools are missing.
    stub.write_text("#!/bin/sh\necho 'xcode-select: note: no developer tools were found' >&2\nexit 1\n")
    stub.chmod(0o755)
    if not os.access("/usr/bin/python3", os.X_OK):
        pytest.skip("no /usr/bin/python3 here")
    env = dict(node.env, PATH=f"{tmp_path}/bin:/usr/bin:/bin")
    sent, _noise = boot(node, ["sh", "-c", program.command(None)], program.request_bytes(PING), env)
    assert frames.loads(sent[0][1])["ok"] is True


def test_a_program_that_breaks_is_not_tried_again(node: Node) -> None:
    broken = zlib.compress(b"raise SystemError('broken')")
    sent = b"toft-boot\n%d\n%s" % (len(broken), broken)
    done = subprocess.run(["sh", "-c", program.command(sys.executable)], input=sent, capture_output=True, env=node.env)
    assert done.returncode == 70
    assert b"broken" in done.stderr
    assert done.stdout == b""


def test_noise_before_either_marker_is_skipped(node: Node) -> None:
    noise = b"sudo password\nwelcome toft-boo\n\xff\xfe\0toft-boot \n"
    argv = ["sh", "-c", "printf 'motd\\ntoft-node 2\\nnode: '; exec " + program.command(sys.executable)]
    sent, _noise = boot(node, argv, noise + program.request_bytes(PING))
    assert [kind for kind, _payload in sent] == [frames.ANSWER]


def test_an_end_before_the_marker_is_an_end(node: Node) -> None:
    sent, noise = boot(node, boot_argv(sys.executable, node.env), b"nothing of ours\n")
    assert sent == []
    assert not noise.no_python


def test_the_reader_takes_any_pieces() -> None:
    wire = b"noise toft-no" + b"de toft-node 1\n" + frames.frame(b"A", b"{}") + frames.frame(b"O", b"toft-node 1\n")
    for size in range(1, len(wire) + 1):
        reader, found = program.Reader(), []
        for start in range(0, len(wire), size):
            found += reader.feed(wire[start : start + size])
        assert found == [(b"A", b"{}"), (b"O", b"toft-node 1\n")]


def test_the_reader_does_not_keep_all_the_noise() -> None:
    reader = program.Reader()
    for _ in range(100):
        assert reader.feed(b"x" * 10_000) == []
    assert len(reader.noise().tail) <= program.NOISE_KEPT
    assert reader.feed(b"xtoft-node 1\n") == []
    assert reader.greeted


# What is sent.


def unpacked(verbs: set[str]) -> dict[str, str]:
    payload = program.bundle(frozenset(verbs)).split(b"\n", 2)[2]
    line = zlib.decompress(payload).decode().splitlines()[1]
    sources = ast.literal_eval(line.removeprefix("SOURCES = "))
    assert isinstance(sources, dict)
    return {name.rpartition(".")[2]: text for name, text in sources.items()}


def imports(tree: ast.AST) -> set[str]:
    """Our modules that a source imports when it runs."""
    found = set()
    for statement in ast.walk(tree):
        if isinstance(statement, ast.ImportFrom) and str(statement.module).startswith("ansible_collections"):
            if str(statement.module).endswith(".module_utils"):
                found |= {alias.name for alias in statement.names}
            else:
                found.add(str(statement.module).rpartition(".")[2])
    return found


@pytest.mark.parametrize("verb", ["ping", "state", *program.MODULES])
def test_each_verb_gets_all_it_imports(node: Node, verb: str) -> None:
    """Run alone, so that a missing module shows."""
    job = node.job("true")
    request = {"verb": verb, "job": job, "id": job["id"], "ids": [job["id"]], "signal": "TERM"}
    if verb in ("mirror", "fetch"):
        request |= {"name": "tree-1", "digest": "0", "path": ".", "most": 1, "most_bytes": 1, "job": None}
    if verb != "start":
        node.run_job(job)
    sent, _noise = boot(node, boot_argv(sys.executable, node.env), program.request_bytes(request))
    answer = frames.loads(sent[0][1])
    assert answer["ok"] or answer["error"]["code"] in ("not_running", "no_mirror"), answer


@pytest.mark.parametrize("verb", program.MODULES)
def test_the_bundle_is_closed_over_its_imports(verb: str) -> None:
    sources = unpacked({verb})
    for name in program.MODULES[verb]:
        if name not in ("orders", "attach"):
            needed = imports(without_types(ast.parse(sources[name])))
            assert needed <= sources.keys(), f"{name} needs {needed - sources.keys()}"


def without_types(tree: ast.Module) -> ast.Module:
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    return tree


def test_what_is_left_out_changes_nothing() -> None:
    """Comments and docstrings stay here; every line stays where it was, for a traceback's sake."""
    for name, text in unpacked(set(program.MODULES)).items():
        whole = (FOLDER / f"{name}.py").read_text()
        assert shape(text) == shape(whole), name
        assert len(text.splitlines()) == len(whole.splitlines())
        assert '"""' not in text
        assert not any(line.lstrip().startswith("#") for line in text.splitlines())


def shape(source: str) -> str:
    """What it does: statements that are nothing but a text do nothing."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value = ast.Constant("")
    return ast.dump(tree, include_attributes=False)


def test_requests_come_after_what_they_need() -> None:
    one = program.request_bytes({"verb": "ping"})
    two = program.request_bytes({"verb": "ping"}, {"verb": "list"})
    assert one.endswith(frames.message(frames.REQUEST, {"verb": "ping"}))
    assert two.endswith(frames.message(frames.REQUEST, {"verb": "list"}))
    assert program.bundle(frozenset({"list"})) in two
    # Within the ten segments that a fresh connection may send at once.
    assert len(one) < 10_000


def test_it_is_the_same_bytes_each_time() -> None:
    program.bundle.cache_clear()
    first = program.bundle(frozenset(program.MODULES))
    program.bundle.cache_clear()
    assert program.bundle(frozenset(program.MODULES)) == first


def test_surrogates_and_all_in_a_request(node: Node) -> None:
    job = node.job("printf", "%s", "\udcff é {{ x }}")
    sent, _noise = boot(node, boot_argv(sys.executable, node.env), program.request_bytes({"verb": "start", "job": job}))
    assert json.loads(sent[0][1])["record"]["command"] == "printf %s '\udcff é {{ x }}'"


# What a node keeps of it.


def kept_file(node: Node) -> Path:
    """The compiled program of a ping, as a node keeps it that has had a job."""
    node.run("true")
    before = set((node.root.parent / "code").iterdir())
    boot(node, boot_argv(sys.executable, node.env), program.request_bytes(PING))
    (made,) = set((node.root.parent / "code").iterdir()) - before
    return made


def impostor(path: Path) -> bytes:
    """The same file with another node program in it: so it shows whether it was used."""
    data = path.read_bytes()
    codes = marshal.loads(data[4:])
    codes[f"{program.PACKAGE}.node"] = compile("main = lambda *_: print('impostor', flush=True) or 0", "x", "exec")
    other = marshal.dumps(codes)
    return zlib.crc32(other).to_bytes(4, "big") + other


def pinged(node: Node) -> str:
    done = subprocess.run(
        boot_argv(sys.executable, node.env), input=program.request_bytes(PING), env=node.env, stdout=subprocess.PIPE
    )
    return "impostor" if b"impostor" in done.stdout else "pong" if b'"protocol"' in done.stdout else "nothing"


def test_a_node_with_jobs_keeps_the_program_compiled(node: Node) -> None:
    path = kept_file(node)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.write_bytes(impostor(path))
    assert pinged(node) == "impostor"


def test_what_is_odd_about_a_kept_program_makes_it_none(node: Node, tmp_path: Path) -> None:
    path = kept_file(node)
    good, bad = path.read_bytes(), impostor(path)
    cut = [bad[:size] for size in (0, 3, 4, 100, len(bad) - 1)]
    for left in (
        *cut,
        b"\0\0\0\0",
        bad[:-1] + b"?",
        b"\0" * len(bad),
        zlib.crc32(b"?").to_bytes(4, "big") + b"?",
    ):
        path.write_bytes(left)
        assert pinged(node) == "pong", left[:20]
    path.write_bytes(bad)
    path.chmod(0o620)
    assert pinged(node) == "pong"
    path.unlink()
    (tmp_path / "elsewhere").write_bytes(bad)
    path.symlink_to(tmp_path / "elsewhere")
    assert pinged(node) == "pong"
    if os.geteuid() == 0:
        path.unlink()
        path.write_bytes(bad)
        path.chmod(0o600)
        os.chown(path, 1234, 1234)
        assert pinged(node) == "pong"
        path.unlink()
    path.unlink(missing_ok=True)
    assert pinged(node) == "pong"
    assert path.read_bytes() == good


def test_another_program_is_another_file() -> None:
    names = {digest(program.bundle(frozenset(verbs))) for verbs in ((), ("start",), ("follow",))}
    assert len(names) == 3


def digest(sent: bytes) -> str:
    return zlib.decompress(sent.split(b"\n", 2)[2]).decode().splitlines()[0]


def test_what_was_kept_for_others_is_forgotten_after_a_week(node: Node) -> None:
    path = kept_file(node)
    old = path.with_name("of-another-version")
    old.touch()
    os.utime(old, (0, 0))
    path.unlink()
    assert pinged(node) == "pong"
    assert path.exists()
    assert not old.exists()
