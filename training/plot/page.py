"""How do distributions become one page that opens anywhere?

Pictures are inside the page as SVG, so it needs no network and no other file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from training.plot.distribution import QUANTILES, Distribution

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;
padding:0 1rem;color:#1a1a1a}
h2{margin:2.5rem 0 .2rem;font-family:ui-monospace,monospace;font-size:1.15rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
td,th{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #ddd}
td:first-child,th:first-child{text-align:left}
svg{max-width:100%;height:auto}.about{color:#555}
@media(prefers-color-scheme:dark){body{background:#161616;color:#e6e6e6}td,th{border-color:#444}
.about{color:#aaa}svg{background:#fff;border-radius:6px}}
"""
_ABOUT = """<p class="about">Quantiles and shares are over events that have a value.
分位数与占比仅计有值的事件。</p>"""
_HEADS = ("Group 分组", "Events 事件", "Unknown 未知", "Mean 均值")


def page_of(
    title: str,
    pictures: Sequence[tuple[Distribution, bytes]],
    texts: Mapping[str, Mapping[str, str]],
) -> str:
    """Return the HTML page; `pictures` are SVG, `texts` maps a feature to its sentences."""
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1>",
        _ABOUT,
    ]
    for distribution, picture in pictures:
        said = texts.get(distribution.feature, {})
        parts.append(f'<h2 id="{escape(distribution.feature)}">{escape(distribution.feature)}</h2>')
        parts += [
            f'<div class="about" lang="{lang}">{escape(text)}</div>' for lang, text in said.items()
        ]
        parts.append(picture[picture.index(b"<svg") :].decode())
        parts.append(_table(distribution))
    return "\n".join(parts)


def _table(distribution: Distribution) -> str:
    heads = [*_HEADS, *(_quantile_head(q) for q in QUANTILES)]
    rows = ["".join(f"<th>{head}</th>" for head in heads)]
    for group in distribution.groups:
        share = group.unknown / group.rows if group.rows else 0.0
        numbers = (
            [group.mean, *group.quantiles] if group.quantiles else [None] * (len(QUANTILES) + 1)
        )
        cells = [escape(group.name), f"{group.rows:,}", f"{share:.1%}"]
        cells += ["–" if number is None else _shown(number) for number in numbers]
        rows.append("".join(f"<td>{cell}</td>" for cell in cells))
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def _quantile_head(quantile: float) -> str:
    return {0.0: "min", 0.5: "median", 1.0: "max"}.get(quantile, f"{quantile:.0%}")


def _shown(number: float) -> str:
    """Write a number for a table.

    >>> _shown(2917430.0), _shown(0.25), _shown(3.684921)
    ('2,917,430', '0.25', '3.685')
    """
    if number == int(number):
        return f"{number:,.0f}"
    return f"{number:,.0f}" if abs(number) >= 10_000 else f"{number:.4g}"
