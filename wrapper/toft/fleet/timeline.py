"""What ran when and where, drawn: in characters for a terminal, and as one HTML page that needs nothing else.

Commands and node names are other people's text: on the page all of it is escaped, and the page loads nothing.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ansible_collections.toft.fleet.plugins.plugin_utils.plan import Span

from toft.fleet.allotment import Allotment
from toft.fleet.rows import Outcome, Row

FULL, LEFT, PARTS = "█", "▐", " ▏▎▍▌▋▊▉"


@dataclass(frozen=True)
class Bar:
    """One command; `begin` and `end` in seconds. `fate`: ok, failed, unknown or planned."""

    number: int
    node: str
    command: str
    begin: float
    end: float
    fate: str

    @property
    def seconds(self) -> float:
        return self.end - self.begin


def of_outcome(outcome: Outcome) -> list[Bar]:
    """Commands that were started, in the order in which they were."""
    rows = [row for row in outcome.rows if row.begun is not None and row.ended is not None]
    return sorted((_bar(row) for row in rows), key=lambda bar: (bar.begin, bar.number))


def of_plan(allotment: Allotment) -> list[Bar]:
    def bar(span: Span) -> Bar:
        return Bar(span.number, span.node, allotment.command(span.number), span.begin, span.end, "planned")

    return [bar(span) for span in allotment.spans]


def _bar(row: Row) -> Bar:
    fate = "unknown" if row.job.state in ("unknown", "running") else "failed" if row.code else "ok"
    return Bar(row.number, row.job.node or "?", row.command, row.begun or 0.0, row.ended or 0.0, fate)


# ---- a terminal --------------------------------------------------------------


def text(bars: Sequence[Bar], width: int) -> list[str]:
    """A line a command: number, node, its time as a bar, seconds. The command itself is left to the caller."""
    if not bars:
        return []
    whole = max(bar.end for bar in bars) or 1.0
    names = max(len(bar.node) for bar in bars)
    numbers = max(len(str(bar.number)) for bar in bars)
    room = max(10, width - names - numbers - 14)
    return [
        f"{bar.number:>{numbers}} {bar.node:<{names}} |{drawn(bar, whole, room):<{room}}| {bar.seconds:6.1f} s"
        for bar in bars
    ]


def drawn(bar: Bar, whole: float, room: int) -> str:
    """At least one mark; blocks for most of it and an eighth of one for its end."""
    begin = min(room - 1, int(bar.begin / whole * room))
    eighths = max(1, round((bar.end / whole * room - begin) * 8))
    eighths = min(eighths, (room - begin) * 8)
    return (" " * begin + FULL * (eighths // 8) + PARTS[eighths % 8].strip()).ljust(begin + 1, LEFT)


# ---- a page ------------------------------------------------------------------

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; color: #222; background: #fff; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; padding: .2em .6em; }
td { padding: .15em .6em; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; max-width: 24em; }
td.time { width: 55%; max-width: none; background: linear-gradient(#ddd, #ddd) left/1px 100% no-repeat; }
.bar { height: 1.1em; border-radius: 2px; min-width: 2px; }
.ok { background: #2a9d5c; } .failed { background: #d1453b; }
.unknown { background: #e0a526; } .planned { background: #6b8fd6; }
code { font-family: ui-monospace, monospace; }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #1b1b1b; } }
""".strip()


def page(bars: Sequence[Bar], summary: str, because: Iterable[str] = ()) -> str:
    """The whole page; no script, nothing from elsewhere."""
    whole = max((bar.end for bar in bars), default=0.0) or 1.0
    rows = "\n".join(_row(bar, whole) for bar in bars)
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in because)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>toft parallel</title><style>\n{_STYLE}\n</style></head><body>\n"
        f"<h1>toft parallel</h1>\n<p>{html.escape(summary)}</p>\n"
        "<table><tr><th>#</th><th>node</th><th>command</th><th>time</th><th>s</th></tr>\n"
        f"{rows}\n</table>\n{f'<h2>Order</h2><ul>{reasons}</ul>' if reasons else ''}\n</body></html>\n"
    )


def _row(bar: Bar, whole: float) -> str:
    left, width = bar.begin / whole * 100, bar.seconds / whole * 100
    command = html.escape(_visible(bar.command), quote=True)
    return (
        f"<tr><td>{bar.number}</td><td>{html.escape(_visible(bar.node))}</td>"
        f'<td title="{command}"><code>{command}</code></td>'
        f'<td class="time"><div class="bar {bar.fate}" style="margin-left:{left:.2f}%;width:{width:.2f}%"></div></td>'
        f"<td>{bar.seconds:.1f}</td></tr>"
    )


def _visible(value: str) -> str:
    """Bytes that are no text, and control characters, as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in value)
