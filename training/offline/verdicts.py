"""Which events pass a filter of the catalog?

The filter is the service's own, compiled CEL; it is asked once for each combination of the fields
that it may name. Invariant: the verdict of an event depends on no field that is left out here.
"""

from __future__ import annotations

import polars as pl

from features.catalog_filters import Filter
from features.fields import FIELD_TYPES
from training.offline.lookup import Bools


def fields_named(source: str) -> tuple[str, ...]:
    """Give the fields that a filter's text may name; some more at the worst.

    >>> fields_named('event.type != "login" || login.succeeded')
    ('event.type', 'login.succeeded')
    """
    return tuple(name for name in FIELD_TYPES if all(part in source for part in name.split(".")))


def passed(condition: Filter, events: pl.DataFrame) -> Bools:
    """Say for each event whether the filter is true; unknown counts as no."""
    names = list(fields_named(condition.source))
    if not names:
        return _all(events.height, value=condition.verdict({}) is True)
    if "event.type" not in names:  # one field is enough, and none may be absent everywhere
        names.append("event.type")
    keys = events.select(names)
    each = keys.unique(maintain_order=True)
    verdicts = [
        condition.verdict({name: value for name, value in row.items() if value is not None}) is True
        for row in each.iter_rows(named=True)
    ]
    asked = each.with_columns(pl.Series("passed", verdicts, dtype=pl.Boolean))
    joined = keys.join(asked, on=names, how="left", nulls_equal=True, maintain_order="left")
    return joined["passed"].to_numpy()


def _all(size: int, *, value: bool) -> Bools:
    return pl.repeat(value, size, dtype=pl.Boolean, eager=True).to_numpy()
