"""How roles have packages on Arch Linux, for which ansible-core has no module: by pacman, here a stand-in that records
what it was asked, knows which packages there are, and answers as pacman 6 does. Debian's way the scenarios show."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.collection.roles.scenes import ROLES, Scene, Told, asked, run, stand_in

ARCH = {
    "system": "Linux",
    "os_family": "Archlinux",
    "pkg_mgr": "pacman",
    "kernel": "6.17.1-arch1-1",
    "virtualization_tech_guest": [],
}
PACMAN = """
echo "${SCENE-} $*" >>"$ROOM/asked"
what=$1
while [ "$1" != -- ]; do shift; done; shift
touch "$ROOM/here"
case $what in
-T) for name; do grep -qx "$name" "$ROOM/here" || { echo "$name"; all=127; }; done; exit ${all-0} ;;
-Qq) for name; do grep -x "$name" "$ROOM/here" || { echo "error: package '$name' was not found" >&2; all=1; }; done
    exit ${all-0} ;;
-R) for name; do sed -i "/^$name\\$/d" "$ROOM/here"; done ;;
-S | -Sy) if [ -e "$ROOM/stale" ]; then echo "error: failed retrieving file" >&2; exit 1; fi
    printf '%s\\n' "$@" >>"$ROOM/here" ;;
*) exit 2 ;;
esac
"""
NEEDED = ["ca-certificates", "curl", "git", "python", "rsync", "sudo"]
BASE = [("base", "install")]
OTHER = [("tailscale", "install_package")]
ABSENT = [("base", "packages_absent")]
NAMES = {"base_package_names": ["tree", "htop"]}


def scene(name: str, room: str, tasks: list[tuple[str, str]], place: Path, **variables: object) -> Scene:
    return Scene(name, room, tasks, ARCH, {"base_pacman_lists": f"{place}/{room}/lists", **variables})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("packages")
    stand_in(place, pacman=PACMAN)
    for room in ("kept", "stale"):
        (place / room / "lists").mkdir(parents=True)
        (place / room / "lists/core.db").touch()
    (place / "kept/here").write_text("git\nsudo\n")
    (place / "stale/stale").touch()
    return place


@pytest.fixture(scope="module")
def looked(place: Path) -> Told:
    return run(place, [scene("look", "kept", BASE, place)], "--check")


@pytest.fixture(scope="module")
def told(place: Path, looked: Told) -> Told:
    scenes = [
        scene("first", "kept", BASE, place, base_packages=["tree"]),
        scene("again", "kept", BASE, place, base_packages=["tree"]),
        scene("other", "kept", OTHER, place),
        scene("gone", "kept", ABSENT, place, **NAMES),
        scene("gone_again", "kept", ABSENT, place, **NAMES),
        scene("bare", "bare", OTHER, place),
        scene("stale", "stale", OTHER, place),
    ]
    return run(place, scenes)


def test_check_mode_says_what_would_come(place: Path, looked: Told) -> None:
    assert (looked.failed["look"], looked.changed["look"]) == (False, 1), looked.said["look"]
    assert "pacman would install ca-certificates, curl, python, rsync" in looked.said["look"]
    assert asked(place, "look") == ["-T -- " + " ".join(NEEDED)]


def test_what_is_missing_comes_without_the_lists_being_refreshed(place: Path, told: Told) -> None:
    assert (told.failed["first"], told.changed["first"]) == (False, 1), told.said["first"]
    assert asked(place, "first")[1:] == ["-S --needed --noconfirm -- ca-certificates curl python rsync tree"]


def test_the_second_time_changes_nothing(place: Path, told: Told) -> None:
    assert (told.failed["again"], told.changed["again"]) == (False, 0), told.said["again"]
    assert asked(place, "again") == ["-T -- " + " ".join([*NEEDED, "tree"])]


def test_another_role_has_its_packages_in_the_same_way(place: Path, told: Told) -> None:
    assert not told.failed["other"], told.said["other"]
    assert asked(place, "other") == ["-T -- tailscale", "-S --needed --noconfirm -- tailscale"]


def test_they_go_where_they_are(place: Path, told: Told) -> None:
    assert (told.failed["gone"], told.changed["gone"]) == (False, 1), told.said["gone"]
    assert asked(place, "gone") == ["-Qq -- tree htop", "-R --noconfirm -- tree"]
    assert (told.failed["gone_again"], told.changed["gone_again"]) == (False, 0), told.said["gone_again"]


def test_without_any_list_of_packages_it_is_fetched(place: Path, told: Told) -> None:
    assert not told.failed["bare"], told.said["bare"]
    assert asked(place, "bare")[1:] == ["-Sy --needed --noconfirm -- tailscale"]


def test_a_list_that_is_too_old_is_said(told: Told) -> None:
    assert told.failed["stale"]
    assert "pacman of stale does not install tailscale: error: failed retrieving file" in told.said["stale"]
    assert "Fix: sudo pacman -Syu" in told.said["stale"]


def looks_for_python() -> str:
    block = yaml.safe_load((ROLES / "base/tasks/look.yml").read_text())[0]["block"]
    text = str(block[0]["ansible.builtin.raw"])
    return "\n".join(line for line in text.splitlines() if "{{" not in line)


FIRST = {
    "look.yml": ([looks_for_python(), "sh"], "python"),
    "bootstrap.sh": ([(ROLES / "base/files/bootstrap.sh").read_text(), "sh", "do", "marc", "ssh-ed25519 A"], "python"),
}


def namespace() -> bool:
    try:
        return subprocess.run(["unshare", "--mount", "--map-root-user", "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not namespace(), reason="no mount namespace of its own is to be had here (unshare)")
@pytest.mark.parametrize("lists", [True, False], ids=["lists", "no_lists"])
@pytest.mark.parametrize("name", FIRST)
def test_python_comes_first_in_the_same_way(tmp_path: Path, name: str, lists: bool) -> None:
    script, package = FIRST[name]
    # It goes no further than to fetch: what comes after would change this machine.
    stand_in(tmp_path, pacman=f'echo "$*" >>{tmp_path}/asked; exit 1')
    for program in ("sh", "ls"):
        (tmp_path / "bin" / program).symlink_to(f"/bin/{program}")
    (tmp_path / "lib/pacman/sync").mkdir(parents=True)
    if lists:
        (tmp_path / "lib/pacman/sync/core.db").touch()
    hide = 'mount --bind "$0" /var/lib && PATH=$1 && shift && exec sh -c "$@"'
    argv = ["unshare", "--mount", "--map-root-user", "sh", "-c", hide, str(tmp_path / "lib"), str(tmp_path / "bin")]
    done = subprocess.run([*argv, *script], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 1, done.stderr
    y = "" if lists else "y"
    assert (tmp_path / "asked").read_text() == f"-S{y} --needed --noconfirm {package}\n"
