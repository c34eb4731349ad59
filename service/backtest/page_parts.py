"""Of which parts is the page of a backtest made? Sections, tables, cards; the style of them all.

Invariant: every text is escaped here, so no caller has to remember it; sections take HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple

from service.backtest.words import Language, word

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Noto Sans CJK SC", "PingFang SC", sans-serif; color: #1c2330;
  background: #f6f7f9; margin: 0; }
main { max-width: 1120px; margin: 0 auto; padding: 24px; }
h1 { font-size: 24px; margin: 0 0 12px; } h2 { font-size: 18px; margin: 0 0 4px; }
h3 { font-size: 15px; margin: 18px 0 4px; }
code { font: 13px ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
td code { white-space: nowrap; }
.side { margin: 2px 0; } .side b { display: inline-block; min-width: 84px; }
.side.candidate b { color: #c2570c; } .side.baseline b { color: #5c687c; }
.facts, .help, .beside { color: #5c687c; } .help { margin: 0 0 10px; font-size: 13px; }
.beside { display: block; font-size: 12px; white-space: nowrap; }
aside { background: #fff4d6; border-left: 4px solid #d9a300; padding: 10px 16px; margin: 16px 0; }
aside ul { margin: 4px 0 0; padding-left: 18px; }
section { background: #fff; border: 1px solid #e2e6ec; border-radius: 8px; padding: 16px 20px;
  margin: 16px 0; overflow-x: auto; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(172px, 1fr)); gap: 12px;
  margin: 16px 0; }
.card { background: #fff; border: 1px solid #e2e6ec; border-radius: 8px; padding: 12px 14px; }
.card b { display: block; font-size: 18px; white-space: nowrap; }
.card span { display: block; font-size: 12px; color: #5c687c; }
table { border-collapse: collapse; width: 100%; margin-top: 8px; }
th, td { text-align: right; padding: 5px 8px; border-bottom: 1px solid #edf0f4;
  vertical-align: top; font-variant-numeric: tabular-nums; }
th { font-weight: 600; font-size: 13px; color: #3d485a; }
thead th { border-bottom: 2px solid #d5dbe4; vertical-align: bottom; }
th:first-child, td:first-child, .small { text-align: left; } .small { font-size: 13px; }
.mark { display: inline-block; width: 11px; height: 11px; margin-right: 7px; }
.legend { font-size: 13px; margin: 4px 0; } .legend span { margin-right: 18px; }
svg { max-width: 100%; height: auto; display: block; } svg text { font-size: 12px; fill: #3d485a; }
svg .axis { stroke: #e2e6ec; }
@media print { body { background: #fff; } section, .card { break-inside: avoid; } }
"""
_TONES = {"stricter": "194, 87, 12", "milder": "47, 111, 168"}


class Reading:
    """A result, as it is read in a language."""

    def __init__(self, result: Mapping[str, Any], language: Language) -> None:
        self.result = result
        self.language: Language = language
        self.currency: Mapping[str, Any] = result["currency"]

    def w(self, name: str) -> str:
        """Return a word in the language of the page."""
        return word(name, self.language)


class Cell(NamedTuple):
    """A cell; `beside` stands below its text, `strength` (0 to 1) is how much of its tone shows."""

    text: str
    beside: str = ""
    tone: str = ""
    strength: float = 0.0
    mark: str = ""
    is_head: bool = False
    is_code: bool = False
    is_small: bool = False

    def html(self) -> str:
        text = escape(self.text)
        if self.is_code:
            text = f"<code>{text}</code>"
        if self.mark:
            text = f'<span class="mark" style="background:{self.mark}"></span>{text}'
        if self.beside:
            text += f'<span class="beside">{escape(self.beside)}</span>'
        shade = ""
        if self.strength > 0:
            alpha = 0.08 + 0.42 * min(1.0, self.strength)
            shade = f' style="background:rgba({_TONES[self.tone]},{alpha:.2f})"'
        tag = "th" if self.is_head else "td"
        kind = ' class="small"' if self.is_small else ""
        return f"<{tag}{shade}{kind}>{text}</{tag}>"


def document(title: str, language: str, body: str) -> str:
    """Return a whole page; `body` is HTML."""
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{body}</main></body></html>\n"
    )


def section(title: str, body: str, *, help_text: str = "") -> str:
    """Return a section; `body` is HTML."""
    shown = f'<p class="help">{escape(help_text)}</p>' if help_text else ""
    return f"<section><h2>{escape(title)}</h2>{shown}{body}</section>"


def table(heads: Sequence[str], rows: Iterable[Iterable[Cell | str]]) -> str:
    """Return a table; texts are cells without anything special."""
    body = "".join(
        "<tr>"
        + "".join((cell if isinstance(cell, Cell) else Cell(cell)).html() for cell in row)
        + "</tr>"
        for row in rows
    )
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def cards(found: Iterable[tuple[str, str, str]]) -> str:
    """Return the figures to see first: name, figure, and what it is of."""
    return (
        '<div class="cards">'
        + "".join(
            f'<div class="card"><span>{escape(name)}</span><b>{escape(figure)}</b>'
            f"<span>{escape(beside)}</span></div>"
            for name, figure, beside in found
        )
        + "</div>"
    )


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """Return which colour means what."""
    shown = "".join(
        f'<span><i class="mark" style="background:{colour}"></i>{escape(name)}</span>'
        for colour, name in entries
    )
    return f'<p class="legend">{shown}</p>'
