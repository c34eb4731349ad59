"""How does a backtest look? Plots as inline SVG: no scripts, nothing loaded from anywhere.

Invariant: pure; every text that comes from a rule set or an event is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

BASELINE, CANDIDATE = "#7a869a", "#c2570c"
# From mild to severe; told apart by lightness, too.
OUTCOME_COLOURS = ("#bcd9c6", "#f1d58a", "#e39a5b", "#a8323e")
LABEL_WIDTH, WIDTH = 230, 900


class Bar(NamedTuple):
    """A bar of parts; `texts[i]` is shown on hovering over part i."""

    name: str
    parts: Sequence[float]
    texts: Sequence[str]
    end: str = ""


class Estimate(NamedTuple):
    """A share with its interval."""

    value: float
    low: float
    high: float
    text: str


def stacked(bars: Sequence[Bar], colours: Sequence[str], *, is_share: bool) -> str:
    """Draw horizontal bars; with `is_share` each fills the whole width."""
    height, room = 26, WIDTH - LABEL_WIDTH - 110
    longest = max((sum(bar.parts) for bar in bars), default=0) or 1
    drawn = []
    for row, bar in enumerate(bars):
        y, x = 6 + row * height, float(LABEL_WIDTH)
        drawn.append(_text(LABEL_WIDTH - 8, y + 14, bar.name, "end"))
        whole = (sum(bar.parts) or 1) if is_share else longest
        for part, colour, text in zip(bar.parts, colours, bar.texts, strict=False):
            width = part / whole * room
            if width > 0:
                drawn.append(
                    f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="18" fill="{colour}">'
                    f"<title>{escape(text)}</title></rect>"
                )
            x += width
        drawn.append(_text(x + 8, y + 14, bar.end))
    return _svg(12 + height * len(bars), drawn)


def lines(
    series: Sequence[tuple[str, str, Sequence[float]]], first: str, last: str, top_text: str
) -> str:
    """Draw curves over time, each with a name and a colour; `top_text` labels the highest value."""
    height, bottom, left = 210, 170, 56
    longest = max((len(values) for _, _, values in series), default=0)
    top = max((value for _, _, values in series for value in values), default=0) or 1
    step = (WIDTH - left - 20) / max(1, longest - 1)
    drawn = [
        f'<line x1="{left}" y1="{y}" x2="{WIDTH - 20}" y2="{y}" class="axis"/>'
        for y in (20, 95, bottom)
    ]
    drawn += [
        _text(left - 8, 24, top_text, "end"),
        _text(left - 8, bottom + 4, "0", "end"),
        _text(left, bottom + 18, first),
        _text(WIDTH - 20, bottom + 18, last, "end"),
    ]
    for place, (name, colour, values) in enumerate(series):
        points = [
            (left + at * step, bottom - value / top * (bottom - 20))
            for at, value in enumerate(values)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if len(points) == 1:
            x, y = points[0]
            drawn.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
        x = left + 150 * place
        drawn.append(f'<rect x="{x}" y="{height - 16}" width="12" height="12" fill="{colour}"/>')
        drawn.append(_text(x + 18, height - 6, name))
    return _svg(height, drawn)


def estimates(rows: Sequence[tuple[str, Sequence[tuple[str, Estimate | None]]]]) -> str:
    """Draw shares with their intervals between 0 and 1: a row a name, a colour a side."""
    height, room = 40, WIDTH - LABEL_WIDTH - 40
    bottom = 8 + height * len(rows)
    drawn = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = LABEL_WIDTH + share * room
        drawn.append(f'<line x1="{x}" y1="4" x2="{x}" y2="{bottom}" class="axis"/>')
        drawn.append(_text(x, bottom + 16, f"{share:.0%}", "middle"))
    for row, (name, sides) in enumerate(rows):
        y = 8 + row * height
        drawn.append(_text(LABEL_WIDTH - 8, y + 20, name, "end"))
        for place, (colour, found) in enumerate(sides):
            if found is None:
                continue
            at = y + 11 + 13 * place
            low, high = (LABEL_WIDTH + edge * room for edge in (found.low, found.high))
            drawn.append(
                f'<g><title>{escape(found.text)}</title><line x1="{low:.1f}" y1="{at}" '
                f'x2="{max(high, low + 1):.1f}" y2="{at}" stroke="{colour}" stroke-width="4" '
                f'stroke-opacity="0.45"/><circle cx="{LABEL_WIDTH + found.value * room:.1f}" '
                f'cy="{at}" r="5" fill="{colour}"/></g>'
            )
    return _svg(bottom + 24, drawn)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    shown = text if len(text) <= 46 else text[:45] + "…"
    full = f"<title>{escape(text)}</title>" if shown != text else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(shown)}{full}</text>'


def _svg(height: int, drawn: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">'
        + "".join(drawn)
        + "</svg>"
    )
