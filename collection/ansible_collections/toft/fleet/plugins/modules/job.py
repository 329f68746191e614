#!/usr/bin/python
# Copyright (c) The toft authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: job
short_description: Run a command under a supervisor on the host
description:
  - Starts a command as a job, which goes on whatever happens to the connection, and by default waits for its end.
  - A job with an O(id) is started at most once on a host; asking again gives its record.
  - Its output is kept on the host byte by byte until the job is removed with C(toft rm).
version_added: 0.1.0
options:
  argv:
    description: The command and its arguments, run as they are, without a shell.
    type: list
    elements: str
  cmd:
    description: A shell command line, for bash where there is one, else sh.
    type: str
  id:
    description: The job's id, of a-z, 0-9 and dashes; one is made up when there is none.
    type: str
  chdir:
    description: The directory to run in; by default the home directory.
    type: str
  env:
    description: Variables besides those of the user's login shell.
    type: dict
    default: {}
  timeout:
    description: Seconds after which the command is stopped.
    type: float
  wait:
    description: Whether to wait for its end.
    type: bool
    default: true
  max_output:
    description: Bytes of each stream that are returned; all of it stays on the host.
    type: int
    default: 1048576
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: partial
    details: The job is skipped.
author:
  - The toft authors (@toft)
"""

EXAMPLES = r"""
- name: Build, whatever happens to the connection
  toft.fleet.job:
    argv: [make, -j8]
    chdir: /srv/app
  register: build

- name: Start a long test and go on
  toft.fleet.job:
    cmd: pytest -q | tee report.txt
    id: nightly-2026-01-01
    wait: false
"""

RETURN = r"""
job:
  description: The job's record, with C(id), C(state), C(exit_code), C(duration_s), C(cpu_s) and C(max_rss_bytes).
  returned: success
  type: dict
rc:
  description: The command's exit code, 128+n for a signal, 124 for a time-out; null while it runs.
  returned: success
  type: int
stdout:
  description: The beginning of what it wrote to stdout.
  returned: when it was waited for
  type: str
stderr:
  description: The beginning of what it wrote to stderr.
  returned: when it was waited for
  type: str
"""

import os
import tempfile
import time
from typing import Any, Dict, List, Tuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.toft.fleet.plugins.module_utils import frames, node

OPTIONS = dict(
    argv=dict(type="list", elements="str"),
    cmd=dict(type="str"),
    id=dict(type="str"),
    chdir=dict(type="str"),
    env=dict(type="dict", default={}),
    timeout=dict(type="float"),
    wait=dict(type="bool", default=True),
    max_output=dict(type="int", default=1 << 20),
)


def asked(request: Dict[str, Any]) -> List[Tuple[bytes, bytes]]:
    """What the node program answers to one request: its frames."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as sink:
        source.write(frames.message(frames.REQUEST, request))
        source.seek(0)
        node.main(source.fileno(), sink.fileno())
        sink.seek(0)
        said = sink.read()
    return frames.Decoder().feed(said[said.index(frames.MARKER) + len(frames.MARKER) :])


def answer(request: Dict[str, Any]) -> Dict[str, Any]:
    told: Dict[str, Any] = frames.loads(asked(request)[0][1])
    return told


def wait_for(record: Dict[str, Any]) -> Dict[str, Any]:
    """The record once the job has ended."""
    pause = 0.05
    while record["state"] == "running":
        time.sleep(pause)
        pause = min(2 * pause, 1.0)
        record = answer({"verb": "state", "ids": [record["id"]]})["records"][0]
    return record


def output(job_id: str, most: int) -> Dict[str, str]:
    told = asked({"verb": "follow", "id": job_id, "stdout": 0, "stderr": 0, "wait": False})
    streams = {}
    for name, kind in (("stdout", frames.STDOUT), ("stderr", frames.STDERR)):
        data = b"".join(payload for its_kind, payload in told if its_kind == kind)
        streams[name] = data[:most].decode("utf-8", "surrogateescape")
    return streams


def request(params: Dict[str, Any]) -> Dict[str, Any]:
    return {
        "id": params["id"] or "p%s" % os.urandom(5).hex(),
        "argv": params["argv"],
        "shell": params["cmd"],
        "cwd": params["chdir"],
        "workdir": None,
        "env": dict((str(name), str(value)) for name, value in params["env"].items()),
        "timeout_s": params["timeout"],
        "stdin": "none",
        "tty": None,
    }


def main() -> None:
    module = AnsibleModule(
        OPTIONS,
        required_one_of=[("argv", "cmd")],
        mutually_exclusive=[("argv", "cmd")],
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True, skipped=True)
    told = answer({"verb": "start", "job": request(module.params)})
    if not told["ok"]:
        module.fail_json(msg=told["error"]["message"], code=told["error"]["code"])
    record = wait_for(told["record"]) if module.params["wait"] else told["record"]
    result = dict(changed=not told["already"], job=record, rc=record["exit_code"])
    if module.params["wait"]:
        result.update(output(record["id"], module.params["max_output"]))
        if record["exit_code"] != 0:
            module.fail_json(msg="the job ended with %s" % (record["exit_code"] or record["state"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
