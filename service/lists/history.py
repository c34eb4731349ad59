"""Which entities were on which lists at a past time?

For backtests: a rule that asks about a list is evaluated as it would have been. Invariant: for any
time the answer is what `membership.Lists` gave then, but for the moments that a change took to
reach a worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rules.listed import Listed
from service.lists.membership import FOREVER_US, PAGE, epoch_us

_ENTRIES = """
SELECT id, list, kind, tag, added_at, least(expires_at, removed_at) AS ended_at FROM list_entry
WHERE id > $1 AND (list, kind) IN (SELECT * FROM unnest($2::text[], $3::text[]))
ORDER BY id LIMIT $4
"""

Spans = tuple[tuple[int, int], ...]


class ListsAt:
    """Everything that ever was on some lists; memory grows with their entries."""

    def __init__(self, spans: Mapping[Listed, Mapping[str, Spans]]) -> None:
        self._spans = spans

    @classmethod
    async def load(cls, connection: Any, listed: Iterable[Listed]) -> ListsAt:
        """Read what there is about these lists. Raises what asyncpg raises."""
        wanted = sorted(set(listed))
        names, kinds = [one.list for one in wanted], [one.kind for one in wanted]
        spans: dict[Listed, dict[str, Spans]] = {one: {} for one in wanted}
        last = 0
        while wanted and (rows := await connection.fetch(_ENTRIES, last, names, kinds, PAGE)):
            for row in rows:
                ended_at = row["ended_at"]
                end_us = FOREVER_US if ended_at is None else epoch_us(ended_at)
                tags = spans[Listed(row["list"], row["kind"])]
                span = (epoch_us(row["added_at"]), end_us)
                tags[row["tag"]] = (*tags.get(row["tag"], ()), span)
            last = rows[-1]["id"]
        return cls(spans)

    def facts(
        self, listed: Iterable[Listed], tags: Mapping[str, str], at_ms: int
    ) -> dict[str, bool]:
        """Return the fact of each list at that time, as `membership.Lists.facts` does."""
        at_us = at_ms * 1000
        found = {}
        for one in listed:
            tag = tags.get(one.kind)
            spans = self._spans.get(one, {}).get(tag, ()) if tag is not None else ()
            found[one.fact] = any(start <= at_us < end for start, end in spans)
        return found
