"""The login's environment: every shell, noisy, hanging and broken start-up files, and how long it is kept."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.module_utils import account, capture, jobs, login

from tests.collection.node_sessions import Node, eventually, processes

NAME = pwd.getpwuid(os.geteuid()).pw_name
SHELLS = {
    "bash": {".profile": "export FROM_LOGIN=1", ".bashrc": ""},
    "zsh": {".zprofile": "export FROM_LOGIN=1", ".zshrc": "export FROM_RC=1"},
    "fish": {
        ".config/fish/config.fish": "status is-login; and set -x FROM_LOGIN 1\n"
        "status is-interactive; and set -x FROM_RC 1\n"
    },
    "tcsh": {".login": "setenv FROM_LOGIN 1", ".tcshrc": "setenv FROM_RC 1"},
    "dash": {".profile": "export FROM_LOGIN=1"},
    "sh": {".profile": "export FROM_LOGIN=1"},
}
SHELLS["bash"] = {
    ".bash_profile": "export FROM_LOGIN=1; . ~/.bashrc",
    ".bashrc": "case $- in *i*) ;; *) return;; esac; export FROM_RC=1",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    (tmp_path / "state").mkdir()
    return path


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    yield
    eventually(lambda: not processes(str(tmp_path)), "no shell is left", 5.0)


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} here")
    return found


def write(home: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text + "\n")


def captured(home: Path, name: str = "bash", current: dict[bytes, bytes] | None = None) -> login.Login:
    user = account.Account(NAME, str(home), shell(name))
    session = {b"PATH": b"/usr/bin:/bin"} if current is None else current
    return login.login(user, session, str(home.parent / "state"))


@pytest.mark.parametrize("name", SHELLS)
def test_each_shell_tells_its_environment(home: Path, name: str) -> None:
    write(home, SHELLS[name])
    found = captured(home, name)
    assert found.note == "captured"
    assert found.env[b"FROM_LOGIN"] == b"1"
    assert b"FROM_RC" in found.env or name in ("dash", "sh")
    assert found.env[b"HOME"] == os.fsencode(home)
    assert (found.env[b"USER"], found.env[b"LOGNAME"]) == (NAME.encode(), NAME.encode())
    assert not {b"SHLVL", b"PWD", b"OLDPWD", b"_", b"TERM"} & found.env.keys()
    assert b"LC_CTYPE" not in found.env or name == "fish"  # Python's; but fish sets it by itself


@pytest.mark.parametrize("name", ["bash", "zsh", "fish", "tcsh"])
def test_noise_is_not_taken_for_the_environment(home: Path, name: str) -> None:
    noisy = "echo NOISE=1; printf 'MORE=2\\0BYTES=\\377\\n'; echo welcome >&2"
    files = {file: noisy + "\n" + text for file, text in SHELLS[name].items()}
    write(home, files)
    found = captured(home, name)
    assert found.note == "captured"
    assert found.env[b"FROM_LOGIN"] == b"1"
    assert not {b"NOISE", b"MORE", b"BYTES"} & found.env.keys()


def test_any_byte_in_a_value(home: Path) -> None:
    write(home, {".bash_profile": "export ODD=$'a=b\\n\\xff\\xfe\"\\'; c'; export EMPTY="})
    found = captured(home)
    assert found.env[b"ODD"] == b"a=b\n\xff\xfe\"'; c"
    assert found.env[b"EMPTY"] == b""
    assert captured(home).env == found.env


def test_functions_that_bash_exports(home: Path) -> None:
    write(home, {".bash_profile": "f() { echo one\n echo two; }; export -f f"})
    assert captured(home).env[b"BASH_FUNC_f%%"].startswith(b"() {")


def test_the_umask_of_the_login(home: Path) -> None:
    write(home, {".bash_profile": "umask 027"})
    assert captured(home).umask == 0o027
    assert captured(home).umask == 0o027


def test_it_is_kept_until_a_startup_file_changes(home: Path) -> None:
    write(home, {".bash_profile": "export V=1; echo x >> ~/asked"})
    assert captured(home).note == "captured"
    again = captured(home)
    assert (again.note, again.env[b"V"]) == ("cached", b"1")
    write(home, {".bash_profile": "export V=22; echo x >> ~/asked"})
    changed = captured(home)
    assert (changed.note, changed.env[b"V"]) == ("captured", b"22")
    assert (home / "asked").read_text() == "x\nx\n"
    assert captured(home, "sh").note == "captured"


def test_it_is_kept_for_a_day(home: Path) -> None:
    captured(home)
    kept = home.parent / "state" / "login.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    value = json.loads(kept.read_text())
    for age, note in ((86_000, "cached"), (86_500, "captured"), (-3600, "captured")):
        kept.write_text(json.dumps(dict(value, taken_at=time.time() - age)))
        assert captured(home).note == note


@pytest.mark.parametrize("left", ["", "{", "[]", '{"key": 1}', "null"])
def test_a_broken_file_is_as_good_as_none(home: Path, left: str) -> None:
    (home.parent / "state" / "login.json").write_text(left)
    assert captured(home).note == "captured"
    assert captured(home).note == "cached"


def test_many_at_once_ask_the_shell_once(node: Node) -> None:
    write(node.home, {".bash_profile": "echo x >> ~/asked; sleep .2"})
    with ThreadPoolExecutor(6) as pool:
        notes = sorted(pool.map(lambda job: node.start(job)["login"], [node.job("true") for _ in range(6)]))
    assert notes == ["cached"] * 5 + ["captured"]
    assert (node.home / "asked").read_text() == "x\n"


def test_a_startup_file_that_hangs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture, "LIMIT_S", 3)
    write(home, {".bash_profile": "echo x >> ~/asked; sleep 60 & sleep 60"})
    begun = time.monotonic()
    found = captured(home, current={b"PATH": b"/usr/bin", b"MINE": b"1"})
    assert time.monotonic() - begun < 20
    assert found.note == f"fallback: {shell('bash')} took longer than 3 s"
    assert found.env[b"PATH"] == b"/usr/bin:/opt/homebrew/bin:/usr/local/bin"
    assert found.env[b"MINE"] == b"1"
    assert found.umask is None
    assert captured(home).note.startswith("fallback")
    assert (home / "asked").read_text() == "x\n", "it is not asked again for ten minutes"


def test_an_interactive_part_that_leaves(home: Path) -> None:
    write(home, {".bash_profile": "case $- in *i*) exec false;; esac; export FROM_LOGIN=1"})
    found = captured(home)
    assert (found.note, found.env[b"FROM_LOGIN"]) == ("captured", b"1")


def test_a_startup_file_that_reads(home: Path) -> None:
    write(home, {".bash_profile": "read -p 'update? ' x; export READ=done"})
    assert captured(home).env[b"READ"] == b"done"


def test_a_startup_file_that_leaves_a_program(home: Path) -> None:
    write(home, {".bash_profile": "sleep 77 & echo $! > ~/pid; export AGENT=1"})
    begun = time.monotonic()
    assert captured(home).env[b"AGENT"] == b"1"
    assert time.monotonic() - begun < 20
    pid = int((home / "pid").read_text())
    os.kill(pid, 9)  # an agent that a login starts is the user's, and lives


@pytest.mark.parametrize("path", ["/usr/sbin/nologin", "/bin/false", "/no/such/shell", ""])
def test_an_account_without_a_shell(home: Path, path: str) -> None:
    user = account.Account("service", str(home), path)
    found = login.login(user, {b"PATH": b"/bin"}, str(home.parent / "state"))
    assert found.note == "fallback: no login shell"
    assert found.env[b"PATH"].startswith(b"/bin:")


def test_what_belongs_to_the_session(home: Path) -> None:
    session = {
        b"PATH": b"/usr/bin:/bin",
        b"SSH_CONNECTION": b"1 2 3 4",
        b"SSH_CLIENT": b"1 2 3",
        b"SSH_TTY": b"/dev/pts/9",
        b"SSH_AUTH_SOCK": b"/tmp/agent",
        b"LANG": b"C",
        b"FROM_PAM": b"1",
    }
    write(home, {".bash_profile": "env > ~/seen"})
    found = captured(home, current=session)
    assert found.env[b"SSH_AUTH_SOCK"] == b"/tmp/agent"
    assert found.env[b"FROM_PAM"] == b"1"
    assert not {b"SSH_CONNECTION", b"SSH_CLIENT", b"SSH_TTY"} & found.env.keys()
    assert "SSH_" not in (home / "seen").read_text()
    assert b"SSH_AUTH_SOCK" not in captured(home).env


def test_a_program_of_the_users_does_not_leave_its_variables(home: Path) -> None:
    found = captured(home, current={b"PATH": b"/venv/bin:/bin", b"VIRTUAL_ENV": b"/venv", b"LANG": b"de_DE.UTF-8"})
    assert b"VIRTUAL_ENV" not in found.env
    assert b"/venv/bin" not in found.env[b"PATH"]
    assert found.env[b"LANG"] == b"de_DE.UTF-8"


def test_a_state_directory_that_is_not_there_costs_only_the_cache(home: Path) -> None:
    user = account.Account("somebody", str(home), shell("bash"))
    assert login.login(user, {b"PATH": b"/bin"}, str(home / "none")).note == "captured"


def test_without_a_home(home: Path) -> None:
    user = account.Account("nobody", None, shell("bash"))
    found = login.login(user, {b"PATH": b"/bin", b"HOME": b"/nonexistent"}, str(home.parent / "state"))
    assert b"HOME" not in found.env


MARKED: list[tuple[bytes, Any]] = [
    (b"noise M22\0A=1\0B=x=y\0M more", {"env": {"A": "1", "B": "x=y"}, "umask": 0o22}),
    (b"M22\0A=\xff\0M", {"env": {"A": "\udcff"}, "umask": 0o22}),
    (b"M22\0A=1\0", None),
    (b"", None),
    (b"M22\0M", None),
]


@pytest.mark.parametrize(("said", "expected"), MARKED)
def test_what_a_shell_said(said: bytes, expected: Any) -> None:
    assert capture.parse(said, b"M") == expected


# Whose account it is.


def test_the_home_of_the_environment_counts_if_it_is_ours(home: Path) -> None:
    assert account.account({b"HOME": os.fsencode(home)}).home == str(home)
    listed = account.account({}).home
    assert listed is not None
    assert listed == os.path.expanduser("~" + account.account({}).name)
    assert account.account({b"HOME": b"/no/such/home"}).home == listed
    assert account.account({b"HOME": b"relative"}).home == listed


def test_where_the_state_is(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = account.Account("somebody", str(home), "/bin/sh")
    assert account.state_directory(user, {b"XDG_STATE_HOME": b"/some/where"}) == "/some/where/toft"
    for env in ({}, {b"XDG_STATE_HOME": b"relative"}, {b"XDG_STATE_HOME": b""}):
        assert account.state_directory(user, env) == f"{home}/.local/state/toft"


def test_without_a_usable_home_it_is_in_a_directory_of_ours_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = os.geteuid()
    shared = f"/var/tmp/toft-{uid}"
    monkeypatch.setattr(account, "SHARED", str(tmp_path / "toft-%d"))
    user = account.Account("nobody", "/nonexistent", "/bin/sh")
    made = Path(account.state_directory(user, {}))
    assert str(made) == shared.replace("/var/tmp", str(tmp_path))
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert account.state_directory(user, {}) == str(made)
    made.chmod(0o755)
    with pytest.raises(jobs.Refused) as refused:
        account.state_directory(user, {})
    assert refused.value.code == "unsafe_state"
    made.rmdir()
    made.symlink_to(tmp_path)
    with pytest.raises(jobs.Refused):
        account.state_directory(user, {})
