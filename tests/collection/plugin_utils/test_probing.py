"""The probe run for real: here, in every shell that is installed, on made-up systems, and as on a Mac."""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import shutil
import stat
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.toft.fleet.plugins.module_utils.load import Load
from ansible_collections.toft.fleet.plugins.plugin_utils import probing

CASES = Path(__file__).parents[1] / "module_utils" / "cases" / "probe"
MACS = ("macos-arm64", "macos-x86_64")
SHELLS = {
    "dash": ["dash"],
    "bash": ["bash", "--posix"],
    "busybox": ["busybox", "sh"],
    "ksh93": ["ksh93"],
    "mksh": ["mksh"],
    "zsh": ["zsh", "--emulate", "sh"],
}
LOGINS = ("sh", "bash", "zsh", "fish", "csh", "tcsh", "ksh93")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="reads this machine's /proc to compare")


def installed(names: Mapping[str, list[str]]) -> list[str]:
    return [name for name, argv in names.items() if shutil.which(argv[0])]


def run(
    script: bytes, argv: list[str] | None = None, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": PATH, "HOME": "/root", "USER": "root", "SHELL": "/bin/sh"} | dict(env or {})
    return subprocess.run(
        argv or ["sh", "-c", probing.COMMAND], input=script, capture_output=True, env=environment, cwd=cwd, timeout=30
    )


def load(
    script: bytes, argv: list[str] | None = None, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Load:
    done = run(script, argv, env, cwd)
    assert (done.returncode, done.stderr) == (0, b"")
    read = probing.read(done.stdout)
    assert isinstance(read, Load), read
    return read


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


# ---- this machine


@linux_only
@pytest.mark.parametrize("shell", installed(SHELLS))
def test_every_shell_tells_the_same_of_this_machine(shell: str, tmp_path: Path) -> None:
    paths = [str(tmp_path), "/"]
    before = Reference.now(paths)
    told = load(probing.script(paths, 0.2), [*SHELLS[shell], "-s"])
    after = Reference.now(paths)
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert told.missing in ((), ("machine_id",))
    assert told.os == "linux"
    assert told.arch == os.uname().machine
    assert told.kernel == os.uname().release
    assert told.hostname == os.uname().nodename
    assert told.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert told.cores == processors()
    assert told.memory_bytes == int(meminfo["MemTotal"].split()[0]) * 1024
    assert (told.user, told.home, told.shell) == ("root", "/root", "/bin/sh")
    assert between(told.uptime_s, before.uptime_s, after.uptime_s, 1)
    assert told.load is not None
    for value, one, other in zip(told.load, before.load, after.load, strict=True):
        assert between(value, one, other, 0.1)
    assert [disk.path for disk in told.disks] == paths
    for disk, one, other in zip(told.disks, before.disks, after.disks, strict=True):
        there = os.statvfs(disk.path)
        assert disk.total_bytes == there.f_blocks * there.f_frsize
        assert between(disk.free_bytes, one[0], other[0], 0.01 * other[0])
        assert between(disk.percent, one[1], other[1], 0.2)
        assert between(disk.inodes_percent, one[2], other[2], 0.2)


@dataclass(frozen=True)
class Reference:
    """What changes on this machine by the moment."""

    uptime_s: float
    load: tuple[float, ...]
    disks: tuple[tuple[float, float, float], ...]
    """Free bytes, percent used, percent of inodes used."""

    @classmethod
    def now(cls, paths: list[str]) -> Reference:
        disks = []
        for there in map(os.statvfs, paths):
            used = there.f_blocks - there.f_bfree
            inodes = 100 * (there.f_files - there.f_ffree) / there.f_files
            disks.append((there.f_bavail * there.f_frsize, 100 * used / (used + there.f_bavail), inodes))
        return cls(time.clock_gettime(time.CLOCK_BOOTTIME), os.getloadavg(), tuple(disks))


def between(value: float | None, before: float, after: float, slack: float) -> bool:
    """Told at a moment between two others, in which it was so and so."""
    return value is not None and min(before, after) - slack <= value <= max(before, after) + slack


def processors() -> int:
    """Those that this process may use: by affinity, and by the quotas of its control groups."""
    most = [float(len(os.sched_getaffinity(0)))]
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        own = Path("/sys/fs/cgroup", "cpu" if controllers else "", group.lstrip("/"))
        for folder in (own, *own.parents):
            for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
                with contextlib.suppress(FileNotFoundError):
                    quota, period = " ".join((folder / name).read_text() for name in names).split()
                    most += [] if quota in ("max", "-1") else [int(quota) / int(period)]
    return math.ceil(min(most))


@linux_only
@pytest.mark.skipif(not shutil.which("taskset"), reason="needs taskset")
def test_cores_are_those_that_may_be_used() -> None:
    script = probing.script([], 0.05)
    told = load(script, ["taskset", "-c", "0", "sh", "-s"])
    nproc = subprocess.run(["taskset", "-c", "0", "nproc"], capture_output=True, text=True, check=True)
    assert told.cores == int(nproc.stdout) == 1


@linux_only
def test_busy_processors_are_seen() -> None:
    # the load of both samples is ours to make: one busy loop on each processor
    spin = [sys.executable, "-c", "while True: pass"]
    loops = [subprocess.Popen(spin) for _ in os.sched_getaffinity(0)]
    try:
        told = load(probing.script([], 0.5))
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    assert (told.cpu_percent or 0) > 70


@linux_only
def test_memory_agrees_with_the_kernel() -> None:
    before = memory_percent()
    told = load(probing.script([], 0.05))
    assert between(told.memory_percent, before, memory_percent(), 2)


def memory_percent() -> float:
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, available = (int(meminfo[key].split()[0]) for key in ("MemTotal", "MemAvailable"))
    return 100 * (total - available) / total


@linux_only
def test_the_probe_is_cheap() -> None:
    """It forks a handful of times: in starts of a shell with one program, which run in turns with it."""
    probe, nothing = probing.script(["/"], 0.05), b"cat /dev/null\n"
    rounds = [(cpu_s(probe), cpu_s(nothing)) for _ in range(20)]
    whole, start = (statistics.median(each) for each in zip(*rounds, strict=True))
    assert whole < 5 * start, f"{whole * 1000:.1f} ms; a shell that starts one program {start * 1000:.1f} ms"


def cpu_s(script: bytes) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(script)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@linux_only
def test_it_takes_no_longer_than_the_interval() -> None:
    took = []
    for _ in range(3):
        begun = time.monotonic()
        load(probing.script(["/"], 0.4))
        took.append(time.monotonic() - begun)
    assert min(took) >= 0.4
    assert min(took) < 0.4 + 0.5, "the best of three: a busy machine may keep the others waiting"


@pytest.mark.parametrize("shell", [name for name in LOGINS if shutil.which(name)])
def test_every_login_shell_reads_the_command(shell: str) -> None:
    assert load(probing.script([], 0.05), [shell, "-c", probing.COMMAND]).os in ("linux", "macos")


# ---- parameters


HOSTILE = [
    "it's",
    '"; touch CANARY; "',
    "$(touch CANARY)",
    "`touch CANARY`",
    "-rf",
    "--",
    "a b  c",
    "*",
    "%s%n",
    "\\n",
    "ünïcode",
    "'; touch CANARY; '",
]


@linux_only
@pytest.mark.parametrize("shell", installed(SHELLS))
def test_paths_are_only_paths(shell: str, tmp_path: Path) -> None:
    for name in HOSTILE:
        (tmp_path / name.replace("/", "")).mkdir()
    paths = [str(tmp_path / name) for name in HOSTILE] + ["~/it's $HOME", "-rf", "~"]
    told = load(probing.script(paths, 0.05), [*SHELLS[shell], "-s"], {"HOME": str(tmp_path)}, cwd=tmp_path)
    home = str(tmp_path)
    expected = {*paths[:-3], f"{home}/it's $HOME", f"{home}/-rf", home}
    assert {disk.path for disk in told.disks} == expected
    assert not list(tmp_path.rglob("CANARY"))


def test_what_is_no_path_or_name_is_left_out() -> None:
    text = probing.script(["", "a\nb", "/x\0y"], 0.2, ["zstd", "a b", "-x", "$(id)"]).split(b"\n")
    assert text[1].endswith(b"agentapi zstd'")
    assert text[2] == b'set -- "$HOME"'


@pytest.mark.parametrize(("asked", "used"), [(0.2, b"0.2"), (-1, b"0.05"), (1e9, b"10"), (2, b"2")])
def test_the_interval_is_a_number_within_bounds(asked: float, used: bytes) -> None:
    assert b"interval=" + used + b" " in probing.script([], asked)


def test_an_interval_that_is_no_number_is_within_bounds() -> None:
    assert b"interval=0.05 " in probing.script([], math.nan)


@linux_only
def test_a_disk_that_is_still_to_be_made_is_its_parent_s(tmp_path: Path) -> None:
    told = load(probing.script([str(tmp_path / "not" / "yet"), "/proc"], 0.05))
    there = os.statvfs(tmp_path)
    assert {disk.path: disk.total_bytes for disk in told.disks} == {
        str(tmp_path / "not" / "yet"): there.f_blocks * there.f_frsize
    }


def test_a_script_that_was_cut_off_does_nothing() -> None:
    script = probing.script([], 0.05)
    for shell in installed(SHELLS):
        for length in (len(script) // 3, len(script) // 2, len(script) - 20):
            assert run(script[:length], [*SHELLS[shell], "-s"]).stdout == b""


def test_the_sent_script_has_no_comments_and_is_small() -> None:
    script = probing.script(["/"])
    assert not [line for line in script.split(b"\n") if line.startswith((b"#", b" "))]
    assert len(script) < 9000


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="needs shellcheck")
def test_shellcheck_finds_nothing() -> None:
    file = Path(probing.__file__).with_name("probe.sh")
    done = subprocess.run(["shellcheck", str(file)], capture_output=True, text=True)
    assert done.stdout == ""


# ---- output


@pytest.mark.parametrize(
    ("stdout", "code"),
    [
        (b"", "no_sh"),
        (b"\n \n", "no_sh"),
        (b"This account is currently not available.\n", "no_sh"),
        (b"'exec' is not recognized as an internal or external command\r\n", "no_sh"),
        (b"Welcome!\n", "protocol"),
        (b"\x1b[2J\xff\xfe" * 2_000_000, "protocol"),
        (b"\n@toft-probe 1\n", "protocol"),
        (b"noise @toft-probe 1\n", "protocol"),
    ],
)
def test_what_is_no_load_has_a_code(stdout: bytes, code: str) -> None:
    assert probing.read(stdout) == code


def test_ten_megabytes_of_login_noise_are_not_waited_out() -> None:
    begun = time.thread_time()
    assert probing.read(b"x" * 10_000_000 + b"\n@toft-probe 1\n@system\nLinux\n@end\n") == "protocol"
    assert time.thread_time() - begun < 1


def test_noise_before_the_probe_is_skipped() -> None:
    recorded = (CASES / "debian-12.txt").read_bytes()
    noise = b"\x1b[31mWelcome\x1b[0m\n@system\nPlan9\n@cpu\n\xff\xfe no new line at the end"
    assert probing.read(noise + recorded[recorded.index(b"\n@toft") :]) == probing.read(recorded)


# ---- systems made up under another root directory


def tree(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


LINUX = {
    "proc/sys/kernel/ostype": "Linux\n",
    "proc/sys/kernel/arch": "x86_64\n",
    "proc/stat": "cpu  1 2 3 4 5 6 7 8 0 0\n",
    "proc/meminfo": "MemTotal: 8000000 kB\nMemFree: 1 kB\nMemAvailable: 4000000 kB\n",
    "proc/self/status": "Name:\tsh\nUid:\t1000\t1000\t1000\t1000\nCpus_allowed_list:\t0-7\n",
}


def made_up(root: Path, files: Mapping[str, str], shell: str = "dash") -> Load:
    script = probing.script(["/"], 0.05, root=str(tree(root, {**LINUX, **files})))
    return load(script, [*SHELLS[shell], "-s"], {"HOME": str(root), "USER": "ada"})


@linux_only
@pytest.mark.parametrize("shell", installed(SHELLS))
def test_limits_of_control_groups_version_2(shell: str, tmp_path: Path) -> None:
    told = made_up(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user.slice/session-1.scope\n",
            "sys/fs/cgroup/user.slice/session-1.scope/cpu.max": "max 100000\n",
            "sys/fs/cgroup/user.slice/session-1.scope/memory.max": "max\n",
            "sys/fs/cgroup/user.slice/cpu.max": "250000 100000\n",
            "sys/fs/cgroup/user.slice/memory.max": "2000000000\n",
            "sys/fs/cgroup/user.slice/memory.current": "1500000000\n",
            "sys/fs/cgroup/user.slice/memory.stat": "anon 5\ninactive_file 500000000\nactive_file 7\n",
        },
        shell,
    )
    assert (told.cores, told.memory_bytes, told.memory_percent) == (3, 2_000_000_000, 50.0)


@linux_only
@pytest.mark.parametrize("shell", installed(SHELLS))
def test_limits_of_control_groups_version_1_seen_from_inside(shell: str, tmp_path: Path) -> None:
    told = made_up(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/docker/1f\n4:memory:/docker/1f\n3:cpuset:/docker/1f\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000000\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "900000000\n",
            "sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 150000000\n",
            "run/.containerenv": "",
        },
        shell,
    )
    assert (told.cores, told.memory_bytes, told.memory_percent) == (4, 1_000_000_000, 75.0)
    assert told.container == "podman"


@linux_only
def test_no_limit_in_version_1_is_a_very_large_number(tmp_path: Path) -> None:
    told = made_up(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu:/\n4:memory:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
    )
    assert (told.cores, told.memory_bytes) == (8, 8_192_000_000)


@linux_only
def test_an_almost_empty_system_is_read_without_a_word(tmp_path: Path) -> None:
    for name in list(LINUX)[2:]:
        assert name.startswith("proc/")
    script = probing.script(["/"], 0.05, root=str(tree(tmp_path, {"proc/sys/kernel/ostype": "Linux\n"})))
    told = load(script, None, {"HOME": str(tmp_path)})
    assert told.os == "linux"
    assert {"cpu_percent", "cores", "memory_bytes", "load", "boot_id"} <= set(told.missing)


@linux_only
@pytest.mark.parametrize("shell", installed(SHELLS))
def test_running_jobs_are_counted_and_those_of_an_earlier_boot_are_not(shell: str, tmp_path: Path) -> None:
    boot = "proc/sys/kernel/random/boot_id"
    jobs = {f"state/toft/jobs/j{n}/live": text for n, text in enumerate(["now\n", "now\n", "before\n", ""])}
    tree(tmp_path, {**LINUX, **jobs, boot: "now\n", "state/toft/jobs/j9/record.json": "{}"})
    script = probing.script(["/"], 0.05, root=str(tmp_path))
    env = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    assert load(script, [*SHELLS[shell], "-s"], env).jobs == 2
    (tmp_path / "home/.local").mkdir(parents=True)
    (tmp_path / "state").rename(tmp_path / "home/.local/state")
    assert load(script, [*SHELLS[shell], "-s"], {"HOME": str(tmp_path / "home")}).jobs == 2


@linux_only
def test_commands_are_found_where_a_login_puts_them_but_not_in_windows(tmp_path: Path) -> None:
    for name in (
        ".cargo/bin/cargo",
        ".nvm/versions/node/v22.1.0/bin/npm",
        "go/bin/agentapi",
        ".local/bin/claude",
    ):
        (tmp_path / name).parent.mkdir(parents=True)
        executable(tmp_path / name, "")
    told = load(probing.script([], 0.05), None, {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin:/mnt/c/Windows"})
    assert {"cargo", "npm", "agentapi", "claude"} <= set(told.capabilities)
    script = probing.script([], 0.05)
    assert b"/mnt/?/*" in script


@linux_only
@pytest.mark.parametrize("shell", installed(SHELLS))
def test_python_is_told_without_starting_it_or_a_shim(shell: str, tmp_path: Path) -> None:
    shims, real = tmp_path / "shims", tmp_path / "bin"
    shims.mkdir()
    real.mkdir()
    executable(shims / "python3", f"#!/bin/sh\ntouch {tmp_path}/started\necho Python 3.9.9\n")
    executable(real / "python3.13", f"#!/bin/sh\ntouch {tmp_path}/started\necho Python 3.13.1\n")
    (real / "python3").symlink_to("python3.13")
    env = {"HOME": str(tmp_path), "PATH": f"{shims}:{real}:/usr/bin:/bin"}
    assert load(probing.script([], 0.05), [*SHELLS[shell], "-s"], env).python == "3.13"
    assert not (tmp_path / "started").exists()
    (real / "python3").unlink()
    executable(real / "python3", "#!/bin/sh\necho Python 3.12.4\n")
    assert load(probing.script([], 0.05), [*SHELLS[shell], "-s"], env).python == "3.12.4"


@linux_only
@pytest.mark.parametrize("shell", [name for name in installed(SHELLS) if name != "busybox"])
def test_a_disk_that_does_not_answer_delays_by_two_seconds(shell: str, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    executable(tmp_path / "stat", f'#!/bin/sh\necho "$$" >{pid}\nexec sleep 60\n')
    begun = time.monotonic()
    told = load(probing.script(["/"], 0.05), [*SHELLS[shell], "-s"], {"PATH": f"{tmp_path}:{PATH}"})
    assert time.monotonic() - begun < 20, "not the minute that the disk takes"
    assert told.disks_stuck
    assert told.disks == ()
    assert told.cpu_percent is not None
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
        pytest.fail("the stuck stat was left behind")


@linux_only
def test_without_a_stat_of_its_own_df_is_asked(tmp_path: Path) -> None:
    executable(tmp_path / "stat", "#!/bin/sh\nexit 1\n")
    told = load(probing.script([str(tmp_path), "/proc"], 0.05), None, {"PATH": f"{tmp_path}:{PATH}"})
    there = os.statvfs(tmp_path)
    assert [(disk.path, disk.total_bytes) for disk in told.disks] == [(str(tmp_path), there.f_blocks * there.f_frsize)]


@linux_only
@pytest.mark.parametrize("shell", installed(SHELLS))
def test_what_is_known_at_once_is_told_without_waiting(shell: str, tmp_path: Path) -> None:
    """For a node that was named: neither its processors are watched nor its disks looked at."""
    for name in ("sleep", "stat", "df"):
        executable(tmp_path / name, f"#!/bin/sh\necho {name} >>{tmp_path}/calls\n")
    told = load(probing.script(["/"], None), [*SHELLS[shell], "-s"], {"PATH": f"{tmp_path}:{PATH}"})
    assert not (tmp_path / "calls").exists()
    assert {"cpu_percent", "disk_percent"} <= set(told.missing) <= {"cpu_percent", "disk_percent", "machine_id"}
    assert (told.os, told.hostname, told.jobs) == ("linux", os.uname().nodename, 0)
    assert told.capabilities


@linux_only
def test_a_sleep_of_whole_seconds_is_enough(tmp_path: Path) -> None:
    executable(tmp_path / "sleep", '#!/bin/sh\ncase $1 in *.*) exit 1 ;; *) exec /bin/sleep "$1" ;; esac\n')
    told = load(probing.script(["/"], 0.2), None, {"PATH": f"{tmp_path}:{PATH}"})
    assert (told.interval_s, told.cpu_percent is not None) == (1.0, True)


# ---- a Mac, by stand-ins


@pytest.fixture
def mac(tmp_path: Path) -> Path:
    """Commands that log how they were called and print what is recorded in $RECORDED."""
    home = tmp_path / "home"
    live = home / ".local/state/toft/jobs/j1/live"
    live.parent.mkdir(parents=True)
    live.write_text("40962879-B7EE-4F13-AF6E-E7266EF5E732\n7C0E4E0A\n")
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ("iostat", "vm_stat", "sysctl", "sw_vers", "ioreg", "df", "date"):
        executable(commands / name, f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/calls\n/bin/cat "$RECORDED/{name}"\n')
    executable(
        commands / "xcode-select",
        '#!/bin/sh\n[ -s "$RECORDED/xcode-select" ] && /bin/cat "$RECORDED/xcode-select"\n',
    )
    executable(
        commands / "uname",
        '#!/bin/sh\ncase $1 in -s) echo Darwin ;; -m) /bin/cat "$RECORDED/uname-m" ;; esac\n',
    )
    for name in ("git", "clang", "brew"):
        executable(commands / name, "")
    executable(commands / "python3.13", f"#!/bin/sh\necho started >>{tmp_path}/calls\n")
    (commands / "python3").symlink_to("python3.13")
    for name in ("sleep", "cat"):
        (commands / name).symlink_to(f"/bin/{name}")
    return tmp_path


@pytest.mark.parametrize("shell", [name for name in installed(SHELLS) if name in ("dash", "bash", "zsh", "ksh93")])
@pytest.mark.parametrize("name", MACS)
def test_a_mac_reads_as_expected(name: str, shell: str, mac: Path) -> None:
    expected = json.loads((CASES / f"{name}.json").read_text())
    live = mac / "home/.local/state/toft/jobs/j1/live"
    live.write_text(expected["boot_id"] + "\n")
    env = {"PATH": str(mac / "commands"), "HOME": str(mac / "home"), "RECORDED": str(CASES / name)}
    script = probing.script(["/Volumes/hot disk"], 0.2, root=str(mac / "none"))
    shell_program = shutil.which(SHELLS[shell][0]) or ""
    told = load(script, [shell_program, *SHELLS[shell][1:], "-s"], env).to_dict()
    assert {key: told[key] for key in expected} == expected
    calls = (mac / "calls").read_text().splitlines()
    assert "iostat -n 0 -w 1 -c 2" in calls
    assert "ioreg -rd1 -c IOPlatformExpertDevice" in calls
    assert "df -k -i -- /" in calls
    assert "started" not in calls


def test_a_mac_s_interval_is_whole_seconds(mac: Path) -> None:
    env = {"PATH": str(mac / "commands"), "HOME": str(mac / "home"), "RECORDED": str(CASES / "macos-arm64")}
    told = load(probing.script([], 2.5, root=str(mac / "none")), ["/bin/sh", "-s"], env)
    assert "iostat -n 0 -w 2 -c 2" in (mac / "calls").read_text()
    assert told.interval_s == 2.0


def test_a_mac_that_was_named_does_not_take_the_second_that_its_load_takes(mac: Path) -> None:
    env = {"PATH": str(mac / "commands"), "HOME": str(mac / "home"), "RECORDED": str(CASES / "macos-arm64")}
    told = load(probing.script(["/"], None, root=str(mac / "none")), ["/bin/sh", "-s"], env)
    calls = (mac / "calls").read_text()
    assert "iostat" not in calls
    assert "df" not in calls
    assert (told.os, told.cores, told.cpu_percent, told.disks) == ("macos", 8, None, ())
    assert told.machine_id
    assert "git" in told.capabilities


def test_a_mac_without_its_tools_still_answers(mac: Path) -> None:
    for name in ("iostat", "vm_stat", "sw_vers", "ioreg", "xcode-select", "df"):
        (mac / "commands" / name).unlink()
    env = {"PATH": str(mac / "commands"), "HOME": str(mac / "home"), "RECORDED": str(CASES / "macos-arm64")}
    done = run(probing.script([], root=str(mac / "none")), ["/bin/sh", "-s"], env)
    told = probing.read(done.stdout)
    assert isinstance(told, Load)
    assert (told.os, told.cores, told.cpu_percent, told.disks) == ("macos", 8, None, ())


def test_python_3_of_a_bare_mac_is_not_started(mac: Path) -> None:
    # its /usr/bin/python3 would open a window
    usr = mac / "usr-bin"
    usr.mkdir()
    (mac / "commands/python3").unlink()
    executable(usr / "python3", f"#!/bin/sh\necho started >>{mac}/calls\n")
    script = probing.script([], root=str(mac / "none")).replace(b"/usr/bin; fi", str(usr).encode() + b"; fi")
    env = {
        "PATH": f"{mac / 'commands'}:{usr}",
        "HOME": str(mac / "home"),
        "RECORDED": str(CASES / "macos-x86_64"),
    }
    told = load(script, ["/bin/sh", "-s"], env)
    assert "started" not in (mac / "calls").read_text()
    assert told.python in (None, "3.11")


def test_the_script_is_executable_by_hand() -> None:
    mode = Path(probing.__file__).with_name("probe.sh").stat().st_mode
    assert not mode & stat.S_IXUSR, "it is sent, not run: what comes before it is missing"
