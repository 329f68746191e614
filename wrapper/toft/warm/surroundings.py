"""What a process was started with and cannot change later: who differs in it is served by another engine.

Everything here is imported by each start of `toft`, so it keeps to what Python has loaded anyway.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = ("HOME", "USER", "LOGNAME", "TZ", "TMPDIR", "LANG", "LANGUAGE", "VIRTUAL_ENV", "PAGER", "EDITOR")
PREFIXES = ("ANSIBLE_", "LC_", "PYTHON", "DYLD_", "LD_")
SPACES = ("net", "mnt", "user", "pid", "uts", "cgroup")
CONFIGURATIONS = ("~/.ansible.cfg", "/etc/ansible/ansible.cfg")


def surroundings(environ: Mapping[str, str]) -> tuple[object, ...]:
    """As values that can be compared: interpreter, kernel namespaces, priority, limits, and the part of the
    environment and of Ansible's configuration that is read once."""
    mine = sorted((k, v) for k, v in environ.items() if k in NAMES or k.startswith(PREFIXES))
    return (sys.executable, sys.version, mine, _spaces(), os.getpriority(os.PRIO_PROCESS, 0),
            _limits(), _configuration(environ))  # fmt: skip


def _spaces() -> list[int]:
    """An engine in another network namespace would reach other machines."""
    found = []
    for space in SPACES:
        try:
            found.append(os.stat("/proc/self/ns/" + space).st_ino)
        except OSError:
            found.append(0)
    return found


def _limits() -> object:
    try:
        with open("/proc/self/limits", encoding="ascii") as file:
            return file.read()
    except OSError:
        import resource

        return [resource.getrlimit(each) for each in range(9)]


def _configuration(environ: Mapping[str, str]) -> object:
    for path in (environ.get("ANSIBLE_CONFIG", ""), *map(os.path.expanduser, CONFIGURATIONS)):
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            continue
        return (path, found.st_mtime_ns, found.st_size, found.st_ino)
    return None
