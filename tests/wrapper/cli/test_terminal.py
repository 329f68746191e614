import io
import json
import sys

import pytest
from toft.cli.terminal import Cell, Palette, as_json, clean, duration, fitted, size, table

PLAIN = Palette(on=False, live=False, width=100)
COLOUR = Palette(on=True, live=True, width=100)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain", "plain"),
        ("ü 日本", "ü 日本"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\rb", "a\\x0db"),
        ("a\x07\x00\x7f", "a\\x07\\x00\\x7f"),
        ("a\u202eb", "a\\x202eb"),
        ("a\u200bb", "a\\x200bb"),
        ("a\udcff", "a\\xdcff"),
        ("line\nline\ttab", "line\nline\ttab"),
        ("\x9b31m", "\\x9b31m"),
    ],
)
def test_no_strangers_bytes_reach_a_screen(raw: str, shown: str) -> None:
    assert clean(raw) == shown


def test_a_table_is_aligned_and_has_no_trailing_blanks() -> None:
    rows = [[Cell("pi1"), Cell("3", right=True), Cell("ok")], [Cell("日本-long"), Cell("12", right=True), Cell("")]]
    assert table(PLAIN, ("NODE", "N", "X"), rows) == "NODE        N  X\npi1         3  ok\n日本-long  12\n"


def test_a_cell_cannot_break_out_of_its_row() -> None:
    assert table(PLAIN, ("A",), [[Cell("x\ny\x1b[2J")]]) == "A\nx y\\x1b[2J\n"


def test_an_empty_table_is_its_head() -> None:
    assert table(PLAIN, ("A", "B"), []) == "A  B\n"


def test_a_narrow_terminal_does_without_some_columns() -> None:
    rows = [[Cell("pi1"), Cell("12345"), Cell("ok")]]
    heads = ("NODE", "MORE", "X")
    for columns, shown in ((20, "NODE  MORE   X"), (14, "NODE  X"), (3, "NODE")):
        palette = Palette(on=False, live=True, width=columns)
        assert fitted(palette, heads, rows, ("MORE", "X")).splitlines()[0] == shown
    piped = Palette(on=False, live=False, width=3)
    assert fitted(piped, heads, rows, ("MORE",)).splitlines()[0] == "NODE  MORE   X", "a pipe gets everything"


def test_colours_only_where_wanted() -> None:
    assert PLAIN.style("x", "red") == "x"
    assert COLOUR.style("x", "red") == "\x1b[31mx\x1b[0m"


@pytest.mark.parametrize(
    ("tty", "env", "refused", "on"),
    [
        (True, {"TERM": "xterm"}, False, True),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False, False),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, False, True),
        (True, {"TERM": "dumb"}, False, False),
        (True, {"TERM": "xterm"}, True, False),
        (False, {"TERM": "xterm"}, False, False),
        (False, {"FORCE_COLOR": "1"}, False, True),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_when_there_are_colours(tty, env, refused, on) -> None:
    class Stream:
        def isatty(self) -> bool:
            return tty

    assert Palette.for_stream(Stream(), env, refused).on is on


@pytest.mark.parametrize(
    ("count", "text"), [(None, "-"), (0, "0B"), (999, "999B"), (1024, "1.0K"), (67 << 30, "67G"), (1536 << 20, "1.5G")]
)
def test_size(count, text) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.04, "0.0s"), (9.94, "9.9s"), (41, "41s"), (192, "3m12s"), (7500, "2h05m"), (800000, "9d")],
)
def test_duration(seconds, text) -> None:
    assert duration(seconds) == text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_is_indented_for_people_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, lines in ((Terminal(), 3), (io.StringIO(), 1)):
        monkeypatch.setattr(sys, "stdout", stream)
        text = as_json({"name": "\udcff"})
        assert json.loads(text) == {"name": "\udcff"}
        assert text.count("\n") == lines
