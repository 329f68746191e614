"""Whether a compile was distributed, from what icecc 1.4 said (recorded) and from the scheduler's list."""

from __future__ import annotations

import pytest
from ansible_collections.toft.fleet.plugins.plugin_utils.icecream import Toolchain, parse
from toft.fleet.failures import Failure
from toft.fleet.farm_client import Client
from toft.fleet.farm_compile import Tried, jobs_in, judged, targets, why_not

LISTED = """\
200-ICECC 1.4.0: 40s uptime, 3 hosts, 2 jobs in queue (9 total).
200 Use 'help' for help.
 h1 (10.213.2.11:10245) [x86_64] speed=0.00 jobs=1/2 load=100
 h2 (10.213.2.12:10245) [x86_64] speed=0.00 jobs=1/2 load=100
 me (10.213.2.1:0) [x86_64] speed=0.00 jobs=0/1 load=69
 pi (10.213.2.14:10245) [aarch64] speed=0.00 jobs=0/4 load=69
200 done
 7 COMP sub:me on:h1 tmp/toft-compile-abc/0.c
 8 WAIT sub:me on:h2 tmp/toft-compile-abc/1.c
 9 COMP sub:me on:h2 tmp/other/2.c
 10 PEND sub:me on:<unknown> tmp/toft-compile-abc/3.c
200 done
"""
FARM = parse(LISTED)
H2 = next(node for node in FARM.nodes if node.name == "h2")

REMOTE = """\
ICECC[3685] 2026-11-22 03:01:24: env: x86_64 '/opt/icecc-envs/8b59.tar.gz'
ICECC[3685] 2026-11-22 03:01:24: asking for host to use
ICECC[3685] 2026-11-22 03:01:24: Have to use host 10.213.2.12:10245 - Job ID: 7 - env: x86_64 - has env: true - match j: 6
ICECC[3685] 2026-11-22 03:01:24: connected to 10.213.2.12
ICECC[3685] 2026-11-22 03:01:25: </wait for cs: 139ms>
ICECC[3685] 2026-11-22 03:01:25: got 344 bytes (31%)
"""  # noqa: E501
CLOSED = """\
ICECC[7118] 2026-11-22 03:02:32: Have to use host 10.213.2.12:10245 - Job ID: 17 - env: x86_64 - has env: true - match j: 6
ICECC[7118] 2026-11-22 03:02:32: no server found behind given hostname 10.213.2.12:10245
ICECC[7118] 2026-11-22 03:02:32: got exception Error 2 - no server found at 10.213.2.12 (10.213.2.12) 
ICECC[7118] 2026-11-22 03:02:32: <building_local>
ICECC[7118] 2026-11-22 03:02:32: invoking: /usr/bin/gcc -O2 -c c/a.c -o c/a.o
ICECC[7118] 2026-11-22 03:02:32: </building_local: 36ms>
"""  # noqa: E501
NO_TOOLCHAIN = """\
ICECC[30179] 2026-11-22 02:59:09: asking for native environment for /usr/bin/gcc
ICECC[30179] 2026-11-22 02:59:09: daemon can't determine native environment. Set $ICECC_VERSION to an icecc environment.
ICECC[30179] 2026-11-22 02:59:09: <building_local>
ICECC[30179] 2026-11-22 02:59:09: flush_writebuf() failed(Error: Broken pipe)
"""
NOBODY = """\
ICECC[3693] 2026-11-22 03:01:25: asking for host to use
ICECC[3693] 2026-11-22 03:01:25: building myself, but telling localhost
ICECC[3693] 2026-11-22 03:01:25: invoking: /usr/bin/gcc -O2 -c c/a.c -o c/a.o
"""
CASES = [
    ("seen in the scheduler's list", Tried(H2, True, REMOTE, 1.2, "me", "h2"), "ok", "by the scheduler's list"),
    ("too quick to be seen", Tried(H2, True, REMOTE, 0.2), "ok", "by icecc's word"),
    ("given to another", Tried(H2, True, REMOTE.replace(".12:", ".11:"), 1, "me", "h1"), "warn", "to h1 instead"),
    ("given to another, unseen", Tried(H2, True, REMOTE.replace(".12:", ".11:"), 1), "warn", "to 10.213.2.11 instead"),
    ("its port is closed", Tried(H2, True, CLOSED, 1), "fail", "itself: no server found behind given hostname"),
    ("closed, though listed", Tried(H2, True, CLOSED, 1, "me", "h2"), "fail", "this machine compiled it itself"),
    ("no toolchain", Tried(H2, True, NO_TOOLCHAIN, 1), "fail", "itself: daemon can't determine native environment"),
    ("nobody to be had", Tried(H2, True, NOBODY, 1), "fail", "this machine compiled it itself: invoking"),
    ("no object", Tried(H2, False, "a.c:1: error: no", 1), "fail", "nothing was compiled: a.c:1: error: no"),
    ("nothing said", Tried(H2, True, "", 1), "fail", "icecc was given no other host: it said nothing"),
]


@pytest.mark.parametrize(("name", "tried", "verdict", "found"), CASES, ids=[case[0] for case in CASES])
def test_judged(name: str, tried: Tried, verdict: str, found: str) -> None:
    check = judged(tried)
    assert check is not None
    assert (check.subject, check.verdict) == ("compile on h2", verdict)
    assert found in check.found
    assert check.fix == {"ok": "", "warn": "toft farm status", "fail": "toft provision icecream --limit h2"}[verdict]


def test_what_this_machine_took_for_itself_is_no_check_of_another() -> None:
    assert judged(Tried(H2, True, REMOTE, 1, "h2", "h2")) is None


def test_jobs_of_our_own_by_their_files() -> None:
    assert jobs_in(FARM, "toft-compile-abc") == {"0.c": ("me", "h1"), "1.c": ("me", "h2")}
    assert jobs_in(Failure("gone"), "toft-compile-abc") == {}


def client(icecc: str | None = "1.4.0", *own: Toolchain, everywhere: tuple[Toolchain, ...] = ()) -> Client:
    return Client("x86_64", icecc, own, everywhere)


def test_nodes_that_can_compile_for_us() -> None:
    gcc = Toolchain("x86_64", "x86_64-linux-gnu", "/a.tar.gz", "", "12.2.0")
    pi = Toolchain("aarch64", "x86_64-linux-gnu", "/b.tar.gz", "", "12.2.0")
    assert [node.name for node in targets(FARM, client())] == ["h1", "h2"]
    assert [node.name for node in targets(FARM, client("1.4.0", gcc, everywhere=(gcc, pi)))] == ["h1", "h2", "pi"]


def test_why_nothing_is_tried() -> None:
    assert why_not(FARM, client(), "/usr/bin/gcc") is None
    assert why_not(FARM, client(None), "/usr/bin/gcc") == "there is no icecc here"
    assert why_not(FARM, client(), None) == "there is no gcc here"
    assert why_not(Failure("refused"), client(), "/usr/bin/gcc") == "the scheduler does not answer"
