"""What a person sees of a provisioning run."""

from __future__ import annotations

from toft.cli.provision_view import Row, lines, text
from toft.cli.terminal import Palette
from toft.fleet.provision_report import At, Broken, Count, Report

PLAIN = Palette(on=False, live=False, width=100)


def report(**more: object) -> Report:
    counts = {
        "n1": {"base": Count(ok=4, seconds=1.25), "storage": Count(ok=9, changed=3, seconds=12)},
        "n2": {"base": Count(ok=2, failed=1, seconds=3)},
        "n3": {"base": Count(skipped=2, seconds=0.2), "storage": Count(unreachable=1, seconds=5)},
    }
    bad = (Broken(At("n2", "base", "Look \x1b[2J"), "no\x1b[31m\nroom", "make\rsome"),)
    values = {"failures": bad, "running": (), "diffs": (), "check": False, "wall_s": 65.0} | more
    return Report(("base", "storage"), counts, **values)  # type: ignore[arg-type]


def test_the_table_and_what_to_type() -> None:
    assert text(PLAIN, report()).splitlines() == [
        "NODE  BASE           STORAGE",
        "n1    ✓ ok 1.2s      ✓ changed 3 12s",
        "n2    ✗ failed 3.0s  -",
        "n3    skipped 0.2s   ✗ unreachable 5.0s",
        "",
        "n2 base: Look \\x1b[2J",
        "  no\\x1b[31m",
        "  room",
        "  try: make\\x0dsome",
        "",
        "3 nodes, 3 changed, 1 failed, in 1m05s",
    ]


def test_check_mode_says_that_nothing_has_changed() -> None:
    assert text(PLAIN, report(check=True)).endswith("3 nodes, 3 would change, 1 failed, in 1m05s\n")


def test_differences_are_safe_for_a_screen() -> None:
    shown = text(PLAIN, report(diffs=((At("n1", "base", "Write it"), "--- before\n+++ after\n+\x1b]0;x\x07"),)))
    assert shown.startswith("n1 base: Write it\n--- before\n+++ after\n+\\x1b]0;x\\x07\n\nNODE")


def row(node: str, task: str, since: float = 0.0, running: bool = True, worst: str = "ok") -> Row:
    return Row(At(node, "base", task), since, running, worst)


def test_a_line_for_each_node() -> None:
    rows = [row("n1", "Install\x1b[2J"), row("pi10", "Look", running=False), row("n3", "Look", worst="failed")]
    assert lines(rows, 12.0, 20, 60) == [
        "▸ n1    base    12s  Install\\x1b[2J",
        "  pi10  base         Look",
        "✗ n3    base    12s  Look",
    ]


def test_where_there_is_no_room_those_at_work_are_shown() -> None:
    rows = [row(f"n{i}", "Look", running=i > 7) for i in range(10)]
    shown = lines(rows, 1.0, 4, 60)
    assert [line.split()[1] for line in shown[:2]] == ["n8", "n9"]
    assert shown[-1] == "and 7 more"
    assert len(shown) == 4


def test_no_line_is_wider_than_the_screen() -> None:
    assert max(map(len, lines([row("n1", "x" * 200)], 1.0, 4, 40))) == 40
