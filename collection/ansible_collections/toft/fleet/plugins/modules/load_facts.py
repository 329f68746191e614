#!/usr/bin/python
# Copyright (c) The toft authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: load_facts
short_description: What a host is and how busy it is
description:
  - Measures CPU, memory, disks and load of a host, finds out what it can do, and returns that as facts.
  - The host needs nothing but a POSIX shell.
  - It costs a few milliseconds of CPU and lasts about as long as O(interval).
  - It works through any connection and become method that Ansible has for the host.
  - M(toft.fleet.probe) asks all hosts at once and is much faster for many of them.
version_added: 0.1.0
options:
  paths:
    description:
      - Directories whose disks are looked at.
      - A directory that does not exist yet stands for its nearest parent.
      - C(~) and relative paths are below the home directory.
      - By default those in the host's variables C(toft_workdir), C(toft_storage_hot) and
        C(toft_storage_cold), or the home directory if there are none.
    type: list
    elements: str
  interval:
    description:
      - Seconds over which the CPU is watched, between 0.05 and 10.
      - A Mac counts in whole seconds, at least one.
    type: float
    default: 0.2
  commands:
    description: Names of commands to look for, besides those that are always looked for.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Nothing is changed, so there is no difference to show.
    support: none
  async:
    description: Supports being used with the C(async) keyword.
    support: none
  platform:
    description: Target OS/families that can be operated against.
    support: full
    platforms: posix
author:
  - The toft authors (@toft)
"""

EXAMPLES = r"""
- name: Measure this host
  toft.fleet.load_facts:

- name: Go on only with hosts that have room
  ansible.builtin.meta: end_host
  when: toft_load.disk_percent > 95 or toft_load.memory_percent > 90

- name: Watch for a second, look at the build disk, and find out whether ffmpeg is there
  toft.fleet.load_facts:
    interval: 1
    paths: [/srv/build]
    commands: [ffmpeg]

- name: Say how it is
  ansible.builtin.debug:
    msg: "{{ toft_load.hostname }}: {{ toft_load.cpu_percent }}% of {{ toft_load.cores }} cores"
"""

RETURN = r"""
ansible_facts:
  description: The facts.
  returned: success
  type: complex
  contains:
    toft_load:
      description: What could not be read is null and named in C(missing).
      returned: success
      type: complex
      contains:
        os: {description: "C(linux) or C(macos).", type: str, returned: success, sample: linux}
        distro: {description: The distribution's short name., type: str, returned: success, sample: debian}
        distro_version: {description: Its version., type: str, returned: success, sample: "12"}
        kernel: {description: The kernel's release., type: str, returned: success, sample: 6.1.0-21-amd64}
        arch:
          description:
            - The architecture of programs, as C(uname -m) calls it.
            - C(armv7l) for a 32-bit system on a 64-bit ARM kernel.
          type: str
          returned: success
          sample: x86_64
        wsl: {description: Whether it runs under WSL., type: bool, returned: success, sample: false}
        wsl_version: {description: Which WSL., type: int, returned: success, sample: 2}
        container:
          description: What kind of container it is, as systemd calls it; null if none.
          type: str
          returned: success
          sample: podman
        hostname: {description: Its own name for itself., type: str, returned: success, sample: pi4}
        machine_id:
          description: Stays the same over restarts and addresses.
          type: str
          returned: success
          sample: 5e1b7c0a4f2d4d0f9a6b3c8e7d210f4a
        boot_id:
          description: Another one after every restart.
          type: str
          returned: success
          sample: 03a2b83d-e7dc-413a-9d81-73f93a80c608
        cores:
          description: Processors that may be used, by affinity and by the limits of control groups.
          type: int
          returned: success
          sample: 8
        cpu_percent:
          description: How busy all processors were in the interval, without the measurement itself.
          type: float
          returned: success
          sample: 12.5
        memory_percent:
          description: Memory that cannot be had without swapping. A file cache counts as free.
          type: float
          returned: success
          sample: 41.3
        memory_bytes:
          description: All memory, or the limit of its control group.
          type: int
          returned: success
          sample: 16777216000
        load:
          description: Load averages of 1, 5 and 15 minutes.
          type: list
          elements: float
          returned: success
          sample: [0.4, 0.3, 0.1]
        disk_percent: {description: The fullest of the disks., type: float, returned: success, sample: 63.0}
        disks:
          description:
            - One entry a path, with C(path), C(total_bytes), C(free_bytes), C(percent) and
              C(inodes_percent).
          type: list
          elements: dict
          returned: success
        disks_stuck:
          description: Whether a file system did not answer (a dead network mount, say).
          type: bool
          returned: success
          sample: false
        uptime_s: {description: Seconds since the start., type: int, returned: success, sample: 86400}
        user: {description: Who was asked., type: str, returned: success, sample: ada}
        home: {description: Their home directory., type: str, returned: success, sample: /home/ada}
        shell: {description: Their login shell., type: str, returned: success, sample: /bin/bash}
        python:
          description: The version of C(python3), to as many places as can be had without starting it.
          type: str
          returned: success
          sample: "3.11"
        docker_ready:
          description: Whether a Docker daemon's socket may be used.
          type: bool
          returned: success
          sample: true
        capabilities:
          description:
            - Commands that are there.
            - Also C(gpu), C(nvidia), C(amd), C(metal), C(systemd), C(launchd) and C(xcode).
          type: list
          elements: str
          returned: success
          sample: [docker, gcc, git, make]
        jobs: {description: Running jobs of toft., type: int, returned: success, sample: 0}
        interval_s: {description: How long the CPU was watched., type: float, returned: success, sample: 0.2}
        missing:
          description: What could not be read.
          type: list
          elements: str
          returned: success
          sample: []
"""

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Ansible runs the action of the same name on the controller instead of this."""
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "str"},
            "interval": {"type": "float", "default": 0.2},
            "commands": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    module.fail_json(msg="toft.fleet.load_facts is an action: it cannot be run as a module")


if __name__ == "__main__":
    main()
