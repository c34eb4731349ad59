"""What of a series' past can a later chunk still ask for?

Invariant: dropping the rest changes no answer, whatever order the clocks of later events go in, as
long as none of them was observed before the time that is given.
"""

from __future__ import annotations

import numpy as np

from features.catalog import SeriesPlan
from training.offline.lookup import Past
from training.offline.measures.distinct import neighbours
from training.offline.measures.seen import remembered


def kept_of(plan: SeriesPlan, past: Past, later_ms: int) -> Past:
    """Give the records that an event observed at `later_ms` or after can still see."""
    if not len(past):
        return past
    if plan.measure in ("first_seen", "last_seen"):
        seen = remembered(past, plan.retention_ms)
        return seen.taken(seen.times > later_ms - plan.retention_ms)
    # An entity's own time never runs back behind its last record, whenever that was.
    ends = np.searchsorted(past.entities, past.entities, side="right") - 1
    reads_at = np.maximum(past.times[ends], later_ms)
    is_kept = past.times > reads_at - plan.retention_ms
    if plan.measure == "distinct":
        is_kept &= neighbours(past)[1] == len(past)
    return past.taken(is_kept)
