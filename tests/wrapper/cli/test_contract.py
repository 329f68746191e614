"""The contract of the command line, on this machine as a fleet of one: names, JSON fields, exit codes."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest

from tests.command import Toft

NODE = {
    "name", "groups", "state", "reason", "os", "distro", "arch", "cores", "cpu_percent", "memory_percent",
    "memory_bytes", "load", "disk_percent", "uptime_s", "score", "jobs", "slots", "auto", "local", "latency_ms", "wsl",
}  # fmt: skip
ROUTE = {"command", "node", "reason", "matched", "why", "candidates"}
JOB = {
    "id", "command", "node", "reason", "state", "exit_code", "signal", "origin", "cwd", "started_at", "ended_at",
    "duration_s", "stdout_bytes", "stderr_bytes", "cpu_s", "max_rss_bytes",
}  # fmt: skip
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\Z")


def test_status(toft: Toft) -> None:
    told = toft.json("status")
    assert RFC3339.match(told["taken_at"])
    (node,) = told["nodes"]
    assert set(node) >= NODE
    assert (node["state"], node["os"], node["local"], node["groups"]) == ("online", "linux", True, ["local"])
    assert node["name"] == re.sub(r"[^A-Za-z0-9_-]+", "-", socket.gethostname().split(".")[0])


def test_route(toft: Toft) -> None:
    told = toft.json("route", "ls")
    assert set(told) >= ROUTE
    assert told["reason"] in ("local", "local_overloaded")
    assert all(set(c) >= {"node", "score", "eligible", "rejected"} for c in told["candidates"])


def test_a_job_for_a_named_node_asks_no_other(toft: Toft, tmp_path: Path) -> None:
    """`gone` takes connections and says nothing: who asks it waits for it in vain."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = {"ansible_host": "127.0.0.1", "ansible_port": listener.getsockname()[1]}
        toft.inventory = tmp_path / "hosts.yml"
        hosts = {"here": {"ansible_connection": "local"}, "gone": gone}
        toft.inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        listener.settimeout(0.2)
        assert toft("offload", "here", "echo", "hi").stdout == b"hi\n"
        with pytest.raises(TimeoutError):
            listener.accept()
        assert toft.json("route", "true")["node"] == "here"
        listener.accept()[0].close()


def test_offload_and_its_record(toft: Toft, tmp_path: Path) -> None:
    done = toft("offload", "--cwd", str(tmp_path), "sh", "-c", "pwd; echo err >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, f"{tmp_path}\n".encode(), b"err\n")
    (job,) = toft.jobs()
    assert set(job) >= JOB
    assert (job["state"], job["exit_code"], job["origin"], job["cwd"]) == ("exited", 3, "remote", str(tmp_path))
    assert (job["stdout_bytes"], job["stderr_bytes"]) == (len(f"{tmp_path}\n"), 4)
    assert RFC3339.match(job["started_at"])
    assert RFC3339.match(job["ended_at"])
    assert toft("logs", job["id"][:6]).stdout == f"{tmp_path}\n".encode()
    assert toft("wait", job["id"]).returncode == 3
    assert toft("rm", job["id"]).returncode == 0
    assert toft.jobs() == []


def test_with_json_stdout_is_one_document(toft: Toft) -> None:
    done = toft("--json", "offload", "echo", "hi")
    assert json.loads(done.stdout)["exit_code"] == 0
    assert done.stderr == b"hi\n"


def test_detach_logs_attach_kill(toft: Toft) -> None:
    started = toft("offload", "--detach", "sh", "-c", "echo one; sleep 30; echo two")
    assert started.returncode == 0
    job_id = started.stdout.decode().strip()
    assert toft.jobs()[0]["state"] == "running"
    assert toft("rm", job_id).returncode == 1
    assert toft("kill", "--signal", "INT", job_id).returncode == 0
    attached = toft("attach", job_id)
    assert (attached.returncode, attached.stdout) == (130, b"one\n")
    assert toft("kill", job_id).returncode == 1, "it has ended"


def test_time_out(toft: Toft) -> None:
    done = toft("offload", "--timeout", "0.5", "sleep", "30")
    assert done.returncode == 124
    assert toft.jobs()[0]["state"] == "timed_out"


def test_programs_that_are_none(toft: Toft, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("x")
    assert toft("offload", "/no/such/program").returncode == 127
    assert toft("offload", str(plain)).returncode == 126
    assert toft("offload", "--cwd", "/no/such", "true").returncode == 125


def test_env(toft: Toft, tmp_path: Path) -> None:
    toft.env["FROM_HERE"] = "today {{ x }}"
    file = tmp_path / "env"
    file.write_text("FROM_FILE=a b\n")
    script = 'printf \'%s|\' "$FROM_HERE" "$FROM_FILE" "$GIVEN"'
    done = toft("offload", "--env", "FROM_HERE", "--env-file", str(file), "--env", "GIVEN=$(id)", "sh", "-c", script)
    assert done.stdout == b"today {{ x }}|a b|$(id)|"


def test_dry_run_runs_nothing(toft: Toft, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    assert toft("offload", "--dry-run", "touch", str(mark)).returncode == 0
    assert not mark.exists()
    assert toft.jobs() == []


def test_exec_on_one_node_is_the_commands_code(toft: Toft) -> None:
    done = toft("exec", "all", "sh", "-c", "echo hi; exit 5")
    assert (done.returncode, done.stdout) == (5, b"hi\n")


USAGE = [
    (["nonsense"], "No such command"),
    (["status", "--nonsense"], "No such option"),
    (["status", "--sort", "beauty"], "no column"),
    (["status", "no-such-node"], "no node matches"),
    (["status", ""], "pattern is empty"),
    (["status", "{{ x }}"], "template"),
    (["exec", "no-such-node", "ls"], "no node matches"),
    (["offload"], "Missing argument"),
    (["offload", "--env", "1=2", "ls"], "no name for a variable"),
    (["offload", "--shell", "--exec", "ls"], "exclude each other"),
    (["logs", "no-such-job"], "there is no job"),
    (["kill", "--signal", "NONSENSE", "j"], "no signal"),
    (["-i", "/no/such/inventory", "status"], "no such inventory"),
]


@pytest.mark.parametrize(("words", "says"), USAGE, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_bad_usage_ends_with_2_and_says_what(toft: Toft, words: list[str], says: str) -> None:
    done = toft(*words)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr.decode()
    assert done.stdout == b""


def test_no_node_that_can_ends_with_125(toft: Toft) -> None:
    done = toft("offload", "xcodebuild")
    assert done.returncode == 125
    assert "macos" in done.stderr.decode()
    told = toft.json("offload", "xcodebuild")
    assert (told["origin"], told["exit_code"]) == ("toft", 125)


def test_a_bad_configuration_is_named_with_its_line(toft: Toft) -> None:
    config = toft.home / "config/toft/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("load_weights:\n  cpu: lots\n")
    done = toft("offload", "ls")
    assert done.returncode == 2
    assert "config.yaml:2" in done.stderr.decode()


def test_help_begins_with_examples(toft: Toft) -> None:
    top = toft("--help").stdout.decode()
    for name in re.findall(r"^  ([a-z]+)  ", top[top.index("Commands:") :], re.MULTILINE):
        told = toft(name, "--help").stdout.decode()
        assert told.index(f"toft {name}") < told.index("Options:"), name
        assert f"    toft {name}" in told, f"{name} has no example"


def test_two_terminals_see_the_same_jobs(toft: Toft) -> None:
    job_id = toft("offload", "--detach", "true").stdout.decode().strip()
    assert [job["id"] for job in toft.jobs()] == [job_id]
