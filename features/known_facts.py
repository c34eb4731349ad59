"""Which facts can an event of one type have at all?

What a rule asks beyond these would be unknown for ever. Invariant: whatever `assemble` may know of
an event of the type is among them.
"""

from __future__ import annotations

from features.catalog import Catalog
from features.fields import PRESENCE


def known_facts(catalog: Catalog, event_type: str) -> frozenset[str]:
    """Return the names of all facts that an event of a type in `EVENT_TYPES` can have.

    >>> checkout = known_facts(Catalog.load(), "checkout")
    >>> "user_returns_30d" in checkout, "user_login_failures_1h" in checkout
    (True, False)
    """
    plan = catalog.plan(event_type)
    names = {*PRESENCE, *catalog.fields, *(name for name, _ in catalog.event_functions)}
    for series in plan.entities.values():
        names.update(feature for each in series for feature in each.features)
    names.update(is_new for _, is_new, _ in plan.novelty)
    names.update(name for name, over, under in catalog.ratios if {over, under} <= names)
    return frozenset(names)
