"""Which features follow from others: is an entity new, and what share is one of another?

Invariant: the same conditions as in `features.vector.assemble`, which does it for one event.
"""

from __future__ import annotations

import numpy as np

from features.catalog import Catalog
from training.offline.chunk import Chunk
from training.offline.lookup import Bools

Column = tuple[np.ndarray, Bools]
"""Values of all events of a chunk, and which of them are known."""


def add_derived(catalog: Catalog, chunk: Chunk, found: dict[str, Column]) -> None:
    """Add novelty and ratios to the features of series."""
    nowhere = np.zeros(len(chunk), bool)
    knowledge = dict(found)
    for event_type, plan in catalog.plans.items():
        for seconds, is_new, witness in plan.novelty:
            _, is_seen = knowledge[seconds]
            answered = knowledge[witness][1] & chunk.is_type((event_type,))
            _, is_known = found.get(is_new, (nowhere, nowhere))
            found[is_new] = ~is_seen, is_known | answered
    for name, numerator, denominator in catalog.ratios:
        if numerator in knowledge and denominator in knowledge:
            (above, has_above), (below, has_below) = knowledge[numerator], knowledge[denominator]
            is_known = has_above & has_below & (below != 0)
            ratio = above / np.where(is_known, below, 1)
            found[name] = ratio, is_known & np.isfinite(ratio)
        else:  # a bool, or a series that no event type reads
            found[name] = np.zeros(len(chunk)), nowhere
