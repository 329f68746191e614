"""A claim on names and addresses of this machine, written down before anything is made.

Everything that a lab makes carries its names: control groups, network namespaces, links, firewall tables,
mounts below its directory. So the claim is all that is needed to take a lab down again, whoever made it and
however it ended. Claims live in `CACHE/labs/ID/claim.json`.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.lab.commands import call
from tests.lab.machine import cache_directory
from tests.lab.rootfs import locked

NET = "10.213"


@dataclass(frozen=True)
class Owner:
    """The process that takes the lab down when it ends. `started` tells it from a later one with its pid."""

    pid: int
    started: str

    @classmethod
    def current(cls) -> Owner:
        return cls.process(os.getpid())

    @classmethod
    def process(cls, pid: int) -> Owner:
        return cls(pid, _start_time(pid) or "")

    def alive(self) -> bool:
        return _start_time(self.pid) == self.started


@dataclass(frozen=True)
class Claim:
    id: str
    number: int
    owner: Owner | None
    hosts: tuple[tuple[str, str], ...]
    """(name, form) of each host; its place in this order gives its address."""
    nat: bool = False
    sshd_defaults: bool = False

    @property
    def directory(self) -> Path:
        return labs_directory() / self.id

    @property
    def cgroup(self) -> str:
        return f"toft-lab-{self.id}"

    @property
    def bridge(self) -> str:
        return f"toft{self.number}"

    @property
    def subnet(self) -> str:
        return f"{NET}.{self.number}.0/24"

    @property
    def gateway(self) -> str:
        return f"{NET}.{self.number}.1"

    @property
    def firewall_table(self) -> str:
        return f"toft_lab_{self.number}"

    def address(self, index: int) -> str:
        return f"{NET}.{self.number}.{index + 11}"

    def link(self, index: int) -> str:
        """The outer end of a host's cable. Interface names end at 15 characters, so it carries a number."""
        return f"toft{self.number}-{index + 11}"

    def netns(self, host: str) -> str:
        return f"toft-{self.id}-{host}"

    def abandoned(self) -> bool:
        return self.owner is not None and not self.owner.alive()

    def write(self) -> None:
        self.directory.mkdir(parents=True)
        draft = self.directory / "claim.draft"
        draft.write_text(json.dumps(asdict(self), indent=1))
        draft.rename(self.directory / "claim.json")


def labs_directory() -> Path:
    return cache_directory() / "labs"


def read_claims() -> list[Claim]:
    return [_read(text) for text in map(_text, sorted(labs_directory().glob("*/claim.json"))) if text]


def _text(file: Path) -> str:
    """Nothing if the lab was taken down since it was found."""
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


def _read(text: str) -> Claim:
    raw = json.loads(text)
    owner = Owner(**raw.pop("owner")) if raw["owner"] else raw.pop("owner")
    hosts = tuple((name, form) for name, form in raw.pop("hosts"))
    return Claim(owner=owner, hosts=hosts, **raw)


def stake(
    lab_id: str | None,
    hosts: Iterable[tuple[str, str]],
    owner: Owner | None,
    *,
    nat: bool = False,
    sshd_defaults: bool = False,
) -> Claim:
    """Choose an id and a subnet that nothing on this machine uses, and write the claim down."""
    named = tuple(hosts)
    if lab_id is not None and not re.fullmatch(r"[a-z0-9]{1,8}", lab_id):
        raise ValueError(f"a lab's id is 1 to 8 of a-z and 0-9, not {lab_id!r}")
    if len(named) > 240:
        raise ValueError(f"a lab holds 240 hosts, not {len(named)}")
    cache_directory().mkdir(parents=True, exist_ok=True)
    with locked(cache_directory() / "claims.lock"):
        taken = {claim.id for claim in read_claims()}
        if lab_id in taken:
            raise FileExistsError(f"lab {lab_id} is there already; take it down first: lab.py down {lab_id}")
        claim = Claim(lab_id or _fresh_id(taken), _free_number(), owner, named, nat, sshd_defaults)
        claim.write()
    return claim


def _fresh_id(taken: set[str]) -> str:
    return next(word for word in iter(lambda: secrets.token_hex(2), "") if word not in taken)


def _free_number() -> int:
    """The third byte of a /24 that no claim names and no route of this machine touches."""
    used = {claim.number for claim in read_claims()}
    routes = call("ip", "-4", "route", "show", "table", "all")
    used |= {int(number) for number in re.findall(rf"\b{re.escape(NET)}\.(\d+)\.", routes)}
    return next(number for number in range(1, 255) if number not in used)


def _start_time(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot (field 22 of proc(5) stat); None if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] == "Z" else fields[19]
