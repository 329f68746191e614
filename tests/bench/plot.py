"""The figure: wall time over the number of hosts, warm and cold, both axes logarithmic; SVG in a few lines.

A line for each way, toft's strong; a bar at each point from the least to the most of its runs. The names stand at the
right end, moved apart where lines end close together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from tests.bench.figures import Spread
from tests.bench.peers import WAYS
from tests.bench.results import FAN, Results

Points = Mapping[int, Spread]

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, NAMES, GAP = 480, 380, 46, 34, 40, 110, 13
SIZES = (1, 10, 50, 100)
COLOURS = {
    "toft status": "#c2410c",
    "toft exec": "#b91c1c",
    "bare mux": "#a8a29e",
    "ssh+xargs": "#1d4ed8",
    "clush": "#0f766e",
    "pdsh": "#7c3aed",
    "pssh": "#0369a1",
    "GNU parallel": "#4d7c0f",
    "pyinfra": "#a16207",
    "ansible": "#334155",
    "ansible-runner": "#9f1239",
}


def svg(results: Results) -> str:
    panels = {title: _lines(results, warm) for title, warm in (("warm", True), ("cold", False))}
    every = [s for lines in panels.values() for points in lines.values() for s in points.values()]
    low = 10 ** math.floor(math.log10(min(s.least for s in every)))
    high = 10 ** math.ceil(math.log10(max(s.most for s in every)))
    body = [_panel(i, title, lines, low, high) for i, (title, lines) in enumerate(panels.items())]
    size = f'width="{2 * WIDTH}" height="{HEIGHT}" viewBox="0 0 {2 * WIDTH} {HEIGHT}"'
    style = 'font-family="sans-serif" font-size="12"'
    title = "<title>Seconds to run uptime on 1 to 100 hosts: toft and its peers, warm and cold</title>"
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{title}{ground}{"".join(body)}</svg>\n'


def _lines(results: Results, warm: bool) -> dict[str, Points]:
    found: dict[str, Points] = {}
    for name in [*(way.name for way in WAYS), "bare mux"]:
        points = {n: results.spread("wall", FAN, name, count=n, warm=warm) for n in SIZES}
        known = {n: spread for n, spread in points.items() if spread}
        if known:
            found[name] = known
    return found


class _Scale:
    """Hosts and seconds to a place in one panel."""

    def __init__(self, panel: int, low: float, high: float) -> None:
        self.left, self.right = panel * WIDTH + LEFT, (panel + 1) * WIDTH - NAMES
        self.low, self.high = low, high

    def x(self, hosts: int) -> float:
        return self.left + (self.right - self.left) * math.log10(hosts) / math.log10(SIZES[-1])

    def y(self, seconds: float) -> float:
        share = math.log10(seconds / self.low) / math.log10(self.high / self.low)
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share


def _panel(number: int, title: str, lines: Mapping[str, Points], low: float, high: float) -> str:
    scale = _Scale(number, low, high)
    ends = _apart({name: scale.y(points[max(points)].median) for name, points in lines.items()})
    drawn = [_way(scale, name, points, ends[name]) for name, points in lines.items()]
    head = f'<text x="{scale.left}" y="20" font-weight="bold">{title}: seconds over hosts</text>'
    return head + _grid(scale) + "".join(drawn)


def _grid(scale: _Scale) -> str:
    parts = []
    for power in range(round(math.log10(scale.low)), round(math.log10(scale.high)) + 1):
        y = scale.y(10.0**power)
        parts.append(f'<path d="M{scale.left} {y:.1f}H{scale.right}" stroke="#e7e5e4"/>')
        parts.append(f'<text x="{scale.left - 6}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for hosts in SIZES:
        x = scale.x(hosts)
        parts.append(f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#e7e5e4"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{hosts}</text>')
    return "".join(parts)


def _way(scale: _Scale, name: str, points: Points, end: float) -> str:
    colour, width = COLOURS[name], 3 if name.startswith("toft") else 1.4
    dashes = ' stroke-dasharray="4 3"' if name == "bare mux" else ""
    places = " ".join(f"{scale.x(n):.1f},{scale.y(s.median):.1f}" for n, s in points.items())
    bars = "".join(f"M{scale.x(n):.1f} {scale.y(s.least):.1f}V{scale.y(s.most):.1f}" for n, s in points.items())
    weight = ' font-weight="bold"' if name.startswith("toft") else ""
    return (
        f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="{width}"{dashes}/>'
        f'<path d="{bars}" stroke="{colour}" stroke-opacity=".5"/>'
        f'<text x="{scale.right + 8}" y="{end + 4:.1f}" fill="{colour}"{weight}>{escape(name)}</text>'
    )


def _apart(ends: Mapping[str, float]) -> dict[str, float]:
    """At least GAP between any two names, each as near to its line as that allows."""
    order = sorted(ends, key=lambda name: ends[name])
    placed = [ends[name] for name in order]
    for _pass in range(200):
        for i in range(len(placed) - 1):
            lacking = GAP - (placed[i + 1] - placed[i])
            if lacking > 0.01:
                placed[i] -= lacking / 2
                placed[i + 1] += lacking / 2
        placed = _within(placed)
    return dict(zip(order, placed, strict=True))


def _within(placed: Sequence[float]) -> list[float]:
    low = max(0.0, TOP - placed[0]) if placed else 0.0
    high = max(0.0, placed[-1] - (HEIGHT - BOTTOM)) if placed else 0.0
    return [y + low - high for y in placed]
