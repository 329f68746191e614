"""The probe's text read: recorded and composed outputs (cases/probe, see its SOURCES.md), and nonsense."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.module_utils import disks, linux, macos
from ansible_collections.toft.fleet.plugins.module_utils.load import Load, parse
from ansible_collections.toft.fleet.plugins.module_utils.sections import START, split, started

CASES = Path(__file__).parent / "cases" / "probe"
TEXTS = {path.stem: path.read_text() for path in sorted(CASES.glob("*.txt"))}


@pytest.mark.parametrize("name", TEXTS)
def test_a_probe_reads_as_expected(name: str) -> None:
    expected = json.loads((CASES / f"{name}.json").read_text())
    told = parse(TEXTS[name]).to_dict()
    assert {key: told[key] for key in expected} == expected


@pytest.mark.parametrize("name", TEXTS)
def test_a_load_survives_json(name: str) -> None:
    load = parse(TEXTS[name])
    assert Load.from_dict(json.loads(json.dumps(load.to_dict()))) == load


def test_from_dict_bears_other_versions() -> None:
    load = Load.from_dict({"os": "linux", "cores": 4, "something_newer": 1})
    assert (load.os, load.cores, load.load, load.disks, load.capabilities) == ("linux", 4, None, (), ())


def test_without_a_start_marker_everything_is_missing() -> None:
    load = parse("Welcome to Ubuntu\n@system\nLinux\n")
    assert load.os is None
    assert len(load.missing) == 17
    assert not started("echo @toft-probe 1\n")


def test_a_terminal_s_line_ends_change_nothing() -> None:
    assert parse(TEXTS["debian-12"].replace("\n", "\r\n")) == parse(TEXTS["debian-12"])


def test_escape_codes_and_endless_lines_do_not_come_through() -> None:
    text = f"{START}\n@hostname\nevil\x1b]0;title\x07\x9b31m{'x' * 100_000}\n@home\n/ho\x00me\u009bm\n@end\n"
    sections = split(text)
    assert sections.first("hostname") == ("evil]0;title31m" + "x" * 100_000)[:4096]
    assert sections.first("home") == "/homem"


def test_a_million_lines_are_not_all_kept() -> None:
    sections = split(f"{START}\n@commands\n" + "git\n" * 1_000_000)
    assert len(sections.lines("commands")) < 2001


@pytest.mark.parametrize("name", TEXTS)
def test_nonsense_never_raises(name: str) -> None:
    chance = random.Random(name)
    text = TEXTS[name]
    for _ in range(300):
        lines = text.split("\n")
        for _ in range(chance.randrange(1, 8)):
            at = chance.randrange(len(lines))
            lines[at] = chance.choice(
                ["", "@cpu", "@limits", "-1", "9" * 5000, "\x1b[2J", lines[at][::-1], lines[at] * 3]
            )
        parse("\n".join(lines)[: chance.randrange(len(text) * 2)])


def _percent(before: str, after: str, times: str = "") -> float | None:
    return linux.cpu_percent(split(f"{START}\n@cpu\n{before}\n{after}\n@times\n{times}\n"))


def test_processors_waiting_for_disks_are_idle_and_stolen_ones_busy() -> None:
    before = "cpu  0 0 0 0 0 0 0 0 0 0"
    assert _percent(before, "cpu  0 0 0 50 50 0 0 0 0 0") == 0.0
    assert _percent(before, "cpu  0 0 0 50 25 0 0 25 0 0") == 25.0
    # guest time is in user already
    assert _percent(before, "cpu  50 0 0 50 0 0 0 0 50 0") == 50.0


def test_the_probe_s_own_time_is_not_the_node_s_load() -> None:
    before, after = "cpu  0 0 0 0 0 0 0 0 0 0", "cpu  10 0 10 20 0 0 0 0 0 0"
    assert _percent(before, after) == 50.0
    assert _percent(before, after, "0m0.020s 0m0.010s\n0m0.040s 0m0.030s") == 25.0
    assert _percent(before, after, "0m9.000s 0m0.010s") == 0.0


@pytest.mark.parametrize(
    ("ranges", "count"), [("0", 1), ("0-3", 4), ("0-3,8", 5), ("0-1,4-5,9", 5), ("", 0), ("none", 0)]
)
def test_processor_ranges(ranges: str, count: int) -> None:
    assert linux.processors(ranges) == count


@pytest.mark.parametrize(
    ("row", "percent", "inodes"),
    [
        ("/dev/sda1 1000 900 100 90% /", 90.0, None),
        ("//nas/my share 1000 0 1000 0% /mnt/my share", 0.0, None),
        ("/dev/disk3s1s1 1942700360 13336380 1073537560 2% 453k 4.2G 0% /", 44.7, 0.0),
        ("/dev/x 1000 1100 -100 110% /", 100.0, None),
        ("tmpfs - - - - /run", None, None),
    ],
)
def test_rows_of_df(row: str, percent: float | None, inodes: float | None) -> None:
    disk = disks.from_df("/", row, shared="disk3" in row)
    assert (disk and disk.percent, disk and disk.inodes_percent) == (percent, inodes)


def test_a_mac_s_idle_is_found_among_any_number_of_disks() -> None:
    head = "              disk0               disk6       cpu    load average\n"
    head += "    KB/t  tps  MB/s     KB/t  tps  MB/s  us sy id   1m   5m   15m\n"
    rows = " 19.97   73  1.43   327.64    3  1.06   3  1 96  2.38 2.38 2.61\n"
    rows += "  4.34   94  0.40     0.00    0  0.00   5  3 92  2.38 2.38 2.61\n"
    assert macos.cpu_percent(split(f"{START}\n@iostat\n{head}{rows}")) == 8.0
    assert macos.cpu_percent(split(f"{START}\n@iostat\n{head}{rows[: rows.index(chr(10))]}\n")) is None


def test_an_old_kernel_without_available_memory() -> None:
    text = f"{START}\n@meminfo\nMemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 50 kB\nCached: 350 kB\n"
    assert linux.memory(split(text)) == (1000 * 1024, 500 * 1024)


def test_wsl_1_is_told_from_wsl_2() -> None:
    text = TEXTS["wsl2"].replace("5.15.153.1-microsoft-standard-WSL2", "4.4.0-19041-Microsoft")
    assert parse(text).wsl_version == 1


@pytest.mark.parametrize(
    ("marks", "said", "kind"),
    [
        ("/.dockerenv", "", "docker"),
        ("/run/.containerenv\n/.dockerenv", "", "podman"),
        ("/.dockerenv", "kubernetes", "kubernetes"),
        ("", "systemd-nspawn", "systemd-nspawn"),
        ("", "wsl", None),
        ("/dev/lxd/sock", "", "lxc"),
        ("/proc/vz", "", "openvz"),
        ("/proc/vz\n/proc/bc", "", None),
    ],
)
def test_what_holds_the_system(marks: str, said: str, kind: str | None) -> None:
    assert linux.container_kind(split(f"{START}\n@container\n{said}\n@marks\n{marks}\n")) == kind


def test_a_card_that_only_the_host_can_reach_is_no_capability() -> None:
    inside = parse(f"{START}\n@system\nLinux\n@marks\n/.dockerenv\n/proc/driver/nvidia/gpus/0000:01:00.0\n@end\n")
    outside = parse(f"{START}\n@system\nLinux\n@marks\n/proc/driver/nvidia/gpus/0000:01:00.0\n@end\n")
    assert (inside.capabilities, outside.capabilities) == ((), ("gpu", "nvidia"))
