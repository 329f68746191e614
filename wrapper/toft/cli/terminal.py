"""A terminal's manners: colours only where wanted, and no raw bytes of a stranger on the screen."""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


@dataclass(frozen=True)
class Palette:
    """Colours of one stream; without `on` every style is the text itself."""

    on: bool
    live: bool
    width: int

    @staticmethod
    def for_stream(stream: TextIO, env: Mapping[str, str], refused: bool) -> Palette:
        """On only on a terminal that wants them (NO_COLOR, TERM=dumb); FORCE_COLOR overrules that."""
        live = stream.isatty()
        wanted = (live and env.get("TERM") != "dumb") or bool(env.get("FORCE_COLOR"))
        on = wanted and not refused and not env.get("NO_COLOR")
        return Palette(on, live, shutil.get_terminal_size((100, 24)).columns)

    def style(self, text: str, *styles: str) -> str:
        codes = ";".join(_CODES[s] for s in styles)
        return f"\x1b[{codes}m{text}\x1b[0m" if self.on and codes else text


def clean(text: str) -> str:
    """Text from elsewhere, made safe for a screen: control and format characters become visible escapes."""
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or not _hostile(c) else f"\\x{ord(c):02x}" for c in text)


def _hostile(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co")


def width(text: str) -> int:
    """Columns on a screen: wide East Asian characters take two, marks none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, columns: int) -> str:
    """At most so many columns of it."""
    if width(text) <= columns:
        return text
    while width(text) > columns - 1:
        text = text[:-1]
    return text + "…"


@dataclass(frozen=True)
class Cell:
    text: str
    styles: tuple[str, ...] = ()
    right: bool = False


def table(palette: Palette, heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Columns aligned by what is in them; two spaces between, none at the end of a line."""
    lines = [[Cell(h, ("dim",), row_right(rows, i)) for i, h in enumerate(heads)], *rows]
    cleaned = [[Cell(clean(c.text).replace("\n", " "), c.styles, c.right) for c in line] for line in lines]
    widths = [max(width(line[i].text) for line in cleaned) for i in range(len(heads))]
    return "".join(_line(palette, line, widths) + "\n" for line in cleaned)


def fitted(palette: Palette, heads: Sequence[str], rows: Sequence[Sequence[Cell]], dispensable: Sequence[str]) -> str:
    """The same, on a terminal without as many of the dispensable columns as it is too narrow for."""
    kept = list(range(len(heads)))
    for head in dispensable if palette.live else ():
        if _width_of(heads, rows, kept) <= palette.width:
            break
        kept.remove(heads.index(head))
    return table(palette, [heads[i] for i in kept], [[row[i] for i in kept] for row in rows])


def _width_of(heads: Sequence[str], rows: Sequence[Sequence[Cell]], columns: Sequence[int]) -> int:
    return sum(max(width(t) for t in (heads[i], *(row[i].text for row in rows))) + 2 for i in columns) - 2


def row_right(rows: Sequence[Sequence[Cell]], column: int) -> bool:
    return bool(rows) and rows[0][column].right


def _line(palette: Palette, cells: Sequence[Cell], widths: Sequence[int]) -> str:
    parts = []
    for i, (cell, columns) in enumerate(zip(cells, widths, strict=True)):
        padding = " " * (columns - width(cell.text))
        last = i == len(cells) - 1 and not cell.right
        shown = palette.style(cell.text, *cell.styles)
        parts.append(padding + shown if cell.right else shown + ("" if last else padding))
    return "  ".join(parts).rstrip()


def size(count: float | None) -> str:
    """Bytes for people: 640K, 3.9G."""
    if count is None:
        return "-"
    for unit in "BKMGTP":
        if count < 1000 or unit == "P":
            break
        count /= 1024
    return f"{count:.0f}{unit}" if count >= 10 or unit == "B" else f"{count:.1f}{unit}"


def duration(seconds: float | None) -> str:
    """0.2s, 41s, 3m12s, 2h05m, 9d."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours < 48 else f"{hours // 24}d"


def as_json(value: Any) -> str:
    """One document, indented on a terminal (which costs ten times as much); surrogates survive as escapes."""
    import json

    return json.dumps(value, indent=2 if sys.stdout.isatty() else None, ensure_ascii=True) + "\n"
