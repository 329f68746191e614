"""The compile farm: what the inventory says, what its scheduler says, and what is wrong between them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.icecream import Farm, Toolchain, parse
from toft.engine.inventory import Listed
from toft.fleet.failures import Failure
from toft.fleet.farm import Place, Plan, plan
from toft.fleet.farm_client import Client, here, toolchains, usable
from toft.fleet.farm_client import client as looked_at
from toft.fleet.farm_doctor import checks

BANNER = "200-ICECC 1.4.0: 423s uptime, 3 hosts, 0 jobs in queue (20 total).\n200 Use 'help' for help.\n"
IDLE = (
    f"{BANNER} n1 (10.213.4.11:0) [x86_64] speed=0.00 jobs=0/2 load=107\n"
    " n2 (10.213.4.12:10245) [x86_64] speed=0.00 jobs=1/2 load=109\n"
    " pi (10.213.4.13:10245) [aarch64] speed=0.00 jobs=0/4 load=1000\n200 done\n200 done\n"
)
INVENTORY: dict[str, Any] = {
    "_meta": {
        "hostvars": {
            "n1": {"ansible_host": "10.213.4.11", "icecream_remote": False},
            "n2": {"ansible_host": "10.213.4.12", "toft_farm_port": 9000},
        }
    },
    "icecream": {"hosts": ["n2"], "children": ["farm_scheduler"]},
    "farm_scheduler": {"hosts": ["n1"]},
}
GCC = Toolchain("x86_64", "x86_64-linux-gnu", "/opt/icecc-envs/a.tar.gz", "", "12.2.0")
PI = Toolchain("aarch64", "x86_64-linux-gnu", "/opt/icecc-envs/b.tar.gz", "", "12.2.0")


def inventory(**changes: Any) -> Listed:
    return Listed(INVENTORY | changes)


def test_the_farm_of_an_inventory() -> None:
    made = plan(inventory())
    place = Place("n1", "10.213.4.11", 8765, ("n1",))
    assert made == Plan(place, ("n2", "n1"), frozenset({"n1"}), Path("/opt/icecc-envs"))


def test_without_a_group_of_schedulers_it_is_the_first_of_the_farm() -> None:
    made = plan(inventory(icecream={"hosts": ["n2", "n1"]}, farm_scheduler={}))
    assert made.place == Place("n2", "10.213.4.12", 9000, ("n2",))


def test_a_scheduler_that_is_named_by_a_variable() -> None:
    hostvars = {"n2": {"toft_farm_scheduler": "arch", "toft_farm_envs": "/x"}, "arch": {"ansible_connection": "local"}}
    made = plan(inventory(_meta={"hostvars": hostvars}, icecream={"hosts": ["n2"]}, farm_scheduler={}))
    assert (made.place, made.envs) == (Place("arch", "arch", 8765, ("127.0.0.1",)), Path("/x"))


NAMED = {"ansible_host": "192.168.1.7", "icecream_scheduler": "n1.tail1234.ts.net"}
PLACES: list[tuple[str, dict[str, Any], str | None, tuple[str, ...]]] = [
    ("by the inventory", NAMED, None, ("n1.tail1234.ts.net", "192.168.1.7", "n1")),
    ("by the role's note", NAMED, "n1", ("100.64.0.7", "n1.tail1234.ts.net", "192.168.1.7", "n1")),
    ("the note is of another farm", NAMED, "n9", ("n1.tail1234.ts.net", "192.168.1.7", "n1")),
    ("this machine schedules", {"ansible_connection": "local"}, "n1", ("100.64.0.7", "n1", "127.0.0.1")),
    ("a template is no name", {"icecream_scheduler": "{{ x }}.lab"}, None, ("n1",)),
]


@pytest.mark.parametrize(("case", "variables", "noted", "hosts"), PLACES, ids=[place[0] for place in PLACES])
def test_where_the_scheduler_may_listen(
    case: str, variables: dict[str, Any], noted: str | None, hosts: tuple[str, ...], tmp_path: Path
) -> None:
    if noted:
        note = {"host": "n2", "scheduler": {"node": noted, "host": "100.64.0.7"}}
        (tmp_path / "here.json").write_text(json.dumps(note))
    hostvars = {"n1": variables | {"toft_farm_envs": str(tmp_path)}, "n2": {}}
    place = plan(inventory(_meta={"hostvars": hostvars})).place
    assert place == Place("n1", hosts[0], 8765, hosts[1:])


def test_a_scheduler_that_is_named_for_the_others_alone() -> None:
    hostvars = {"n1": {}, "n2": {"icecream_scheduler": "n1.lab.test", "toft_farm_scheduler": "n1"}}
    made = plan(inventory(_meta={"hostvars": hostvars}, icecream={"hosts": ["n2", "n1"]}, farm_scheduler={}))
    assert made.place == Place("n1", "n1.lab.test", 8765, ("n1",))


def test_an_inventory_without_a_farm() -> None:
    assert plan(Listed({"_meta": {"hostvars": {}}})).place is None


@pytest.mark.parametrize(
    ("given", "place"),
    [("build", Place("", "build", 8765)), ("10.0.0.1:99", Place("", "10.0.0.1", 99))],
)
def test_a_scheduler_that_is_given(given: str, place: Place) -> None:
    assert plan(inventory(), given).place == place


@pytest.mark.parametrize("given", ["-oProxyCommand=x", "a b", "build:0", "{{ x }}"])
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(Failure):
        plan(inventory(), given)


def client(*own: Toolchain, icecc: str | None = "1.4", everywhere: tuple[Toolchain, ...] = (GCC, PI)) -> Client:
    return Client("x86_64", icecc, own, everywhere)


def found(made: Plan, farm: Farm | Failure, here: Client) -> dict[str, list[tuple[str, str]]]:
    told: dict[str, list[tuple[str, str]]] = {}
    for check in checks(made, farm, here):
        told.setdefault(check.subject, []).append((check.verdict, check.fix))
    return told


def test_a_farm_that_is_well() -> None:
    told = found(plan(inventory()), parse(IDLE.replace("load=1000", "load=10")), client(GCC))
    pi = told.pop("pi")
    assert {verdict for checked in told.values() for verdict, _ in checked} == {"ok"}
    assert pi == [("warn", "add it there, or keep it off the farm's network")]
    assert told.keys() == {"scheduler", "n1", "n2", "icecc", "toolchain"}


def test_nodes_that_are_not_as_they_should_be() -> None:
    hostvars: dict[str, Any] = {"n1": {}, "n2": {"icecream_remote": False}, "gone": {}, "pi": {}}
    made = plan(inventory(_meta={"hostvars": hostvars}, icecream={"hosts": list(hostvars)}))
    told = found(made, parse(IDLE), client(GCC))
    assert told["n1"] == [("fail", "toft exec --become n1 systemctl restart iceccd")], "port 0"
    assert told["n2"] == [("warn", "toft provision icecream --limit n2")], "takes work though it should not"
    assert told["gone"] == [("fail", "toft provision icecream --limit gone")]
    assert told["pi"] == [("warn", "toft status pi")], "full"


CLIENTS = [
    (client(icecc=None), "icecc", "warn"),
    (client(GCC, icecc="1.3.1"), "icecc", "warn"),
    (client(), "toolchain", "warn"),
    (client(GCC, everywhere=(GCC,)), "pi", "warn"),
]


@pytest.mark.parametrize(("here", "subject", "verdict"), CLIENTS)
def test_a_client_that_lacks_something(here: Client, subject: str, verdict: str) -> None:
    made = plan(inventory(icecream={"hosts": ["n1", "n2", "pi"]}))
    told = found(made, parse(IDLE.replace("load=1000", "load=10")), here)
    assert (verdict, "toft provision icecream") in told[subject]


def test_a_scheduler_that_does_not_answer_is_the_first_thing_said() -> None:
    told = found(plan(inventory()), Failure("refused", "do this"), client(GCC))
    assert told["scheduler"] == [("fail", "do this")]
    assert told.keys() == {"scheduler", "icecc", "toolchain"}


def test_a_clients_version() -> None:
    assert client(GCC).version == "/opt/icecc-envs/a.tar.gz,aarch64:/opt/icecc-envs/b.tar.gz"


def test_toolchains_of_compilers_that_are_here_today() -> None:
    versions = {"gcc": "12.2.0", "aarch64-linux-gnu-gcc": "11.0"}
    cross = Toolchain("x86_64", "aarch64-linux-gnu", "/c.tar.gz", "aarch64-linux-gnu", "12.2.0")
    assert [usable(one, "x86_64", versions.get) for one in (GCC, PI, cross)] == [True, False, False]


def test_the_list_of_toolchains(tmp_path: Path) -> None:
    index = tmp_path / "toolchains.json"
    assert toolchains(index) == ()
    index.write_text(json.dumps([vars(GCC)]))
    assert toolchains(index) == (GCC,)
    index.write_text("[{}]")
    with pytest.raises(Failure, match=r"toolchains\.json"):
        toolchains(index)


def test_of_two_hosts_with_the_same_gcc_each_takes_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their libraries differ, and icecc takes the first that it is given."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "gcc").write_text("#!/bin/sh\necho 12.2.0\n")
    (programs / "gcc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    told = [replace(GCC, platform=os.uname().machine, file=f"/{host}.tar.gz", host=host) for host in ("a", "b")]
    (tmp_path / "toolchains.json").write_text(json.dumps([vars(one) for one in told]))
    for host in ("b", "a"):
        note = {"host": host, "scheduler": {"node": "a", "host": "100.64.0.7"}}
        (tmp_path / "here.json").write_text(json.dumps(note))
        assert looked_at(tmp_path).version == f"/{host}.tar.gz"
    (tmp_path / "here.json").write_text("{}")
    assert looked_at(tmp_path).version == "", "it is not known which is this machine's"


@pytest.mark.parametrize("text", ["[1]", '{"host": "a"}', "{"])
def test_a_note_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "here.json").write_text(text)
    with pytest.raises(Failure, match=r"here\.json cannot be used"):
        here(tmp_path)
