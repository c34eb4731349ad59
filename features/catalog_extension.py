"""What do rule sets declare beyond the catalog?

A rule may need a count that nobody declared yet: its set declares the series, and it is counted
while the set runs. Invariant: an extension changes no row of the catalog and no input of the model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from features.catalog_rows import Report, Row, parse_rows

SECTIONS = ("series", "derived")


def extension_of(rows: Sequence[Row], texts: Iterable[str], report: Report) -> list[Row]:
    """Return the rows that the texts add to `rows`; problems go to the report."""
    known = {row.name: row for row in rows}
    added: list[Row] = []
    for text in texts:
        for row in parse_rows(text, report):
            if row.section not in SECTIONS:
                report.add_row(row, f"a rule set declares {' and '.join(SECTIONS)} only")
                continue
            if row.values.get("model"):
                report.add_row(row, "the model sees no series of a rule set: leave `model` out")
                continue
            extra = row._replace(values={**row.values, "model": False})
            there = known.get(row.name)
            if there is None:
                known[row.name] = extra
                added.append(extra)
            elif (there.section, dict(there.values)) != (extra.section, dict(extra.values)):
                report.add_row(row, "this name is taken by a series that counts something else")
    return added
