"""How do people read what the gates found? A page for each build, and one that lists them.

Great Expectations' own pages fetch scripts, styles and a picture from four other sites whenever
they are opened; these pages fetch nothing. Invariant: all that the gates found is on the page.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from features.profiles.schema import VIEWS
from training.profiles.gates import Finding
from training.profiles.layout import Build, Layout

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2rem; }
p.sub { margin-top: 0; opacity: .75; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; } th, td { padding: .3rem .6rem .3rem 0;
  border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); vertical-align: top; }
td.n { text-align: right; } .bad { color: #b3261e; font-weight: 600; } .good { color: #1b7f3b; }
@media (prefers-color-scheme: dark) { .bad { color: #ff8a80; } .good { color: #7ddc9a; } }
"""


def write_report(layout: Layout, build: Build, findings: Sequence[Finding], gates: Path) -> Path:
    """Write the page of a build and the list of all; return the page.

    The findings also go into `gates.json` of the build.
    """
    layout.docs.mkdir(parents=True, exist_ok=True)
    record = {
        "gates": gates.name,
        "failed": sum(not one.is_kept for one in findings),
        "findings": [asdict(one) for one in findings],
    }
    text = json.dumps(record, indent=1, ensure_ascii=False)
    (layout.directory(build.name) / "gates.json").write_text(text + "\n", encoding="utf-8")
    page = layout.docs / f"{build.name}.html"
    page.write_text(_page(build, findings, gates), encoding="utf-8")
    (layout.docs / "index.html").write_text(_index(layout), encoding="utf-8")
    return page


def _page(build: Build, findings: Sequence[Finding], gates: Path) -> str:
    failed = [one for one in findings if not one.is_kept]
    verdict = (
        f'<span class="bad">{len(failed)} of {len(findings)} gates failed: not to be used</span>'
        if failed
        else f'<span class="good">all {len(findings)} gates passed</span>'
    )
    parts = [
        f"<h1>Profiles as of {_time(build.as_of_ms)}</h1>",
        f'<p class="sub">build {escape(build.name)}, made {_time(build.created_ms)}</p>',
        f"<p>{verdict}</p>",
        "<table>",
        _row("events", f"{build.events:,}"),
        _row("newest event", _time(build.newest_ms)),
        _row("chargebacks known", "no labels" if build.labels is None else f"{build.labels:,}"),
        *(_row(view, _counted(build, view)) for view in VIEWS),
        _row("limits", gates.name),
        "</table>",
    ]
    if failed:
        parts += ["<h2>What failed</h2>", _table(failed)]
    for part in dict.fromkeys(one.part for one in findings):
        parts += [f"<h2>{escape(part)}</h2>", _table([f for f in findings if f.part == part])]
    parts.append('<p><a href="index.html">All builds</a></p>')
    return _html(f"Profiles {build.name}", parts)


def _index(layout: Layout) -> str:
    current = layout.current()
    rows = []
    for name in reversed(layout.names()):
        try:
            text = (layout.directory(name) / "gates.json").read_text(encoding="utf-8")
        except OSError:  # not validated yet: there is no page
            continue
        build, failed = layout.load(name), int(json.loads(text)["failed"])
        word, said = ("bad", f"{failed} failed") if failed else ("good", "passed")
        counts = (build.events, *(build.views[view].profiles for view in VIEWS))
        rows.append(
            f'<tr><td><a href="{escape(name)}.html">{_time(build.as_of_ms)}</a></td>'
            f'<td class="{word}">{said}</td>'
            + "".join(f'<td class="n">{count:,}</td>' for count in counts)
            + f"<td>{'in use' if current == build else ''}</td></tr>"
        )
    words = ("as of", "gates", "events", *VIEWS, "")
    head = "".join(f"<th>{word}</th>" for word in words)
    parts = ["<h1>Profiles</h1>", f"<table><tr>{head}</tr>", *rows, "</table>"]
    return _html("Profiles", parts)


def _counted(build: Build, view: str) -> str:
    counts = build.views[view]
    return f"{counts.profiles:,} profiles, {counts.rows:,} rows for training"


def _table(findings: Sequence[Finding]) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.gate)}</td><td>{escape(one.text)}</td>"
        f'<td class="{"good" if one.is_kept else "bad"}">{"kept" if one.is_kept else "failed"}</td>'
        f"<td>{escape(one.seen)}</td></tr>"
        for one in findings
    )
    head = "<tr><th>gate</th><th>what must hold</th><th></th><th>seen</th></tr>"
    return f"<table>{head}{rows}</table>"


def _row(name: str, value: str) -> str:
    return f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>"


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _html(title: str, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )
