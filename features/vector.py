"""What is known about an event, as rules and model see it?

Event and past in, facts out; the same call in the service and in training.
Invariant: pure; what is unknown is absent from the facts and NaN in the row, never 0 or False.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from math import isfinite, nan

from features.catalog import Catalog
from features.event import Event
from features.fields import Value, fields_of, presence_of
from features.geo import GeoTable
from features.money import CurrencyTable
from features.stated import Stated


class Facts:
    """The known facts by name (`values`), and how the model reads them (`row`).

    `just_seen`: times since the first event of what was never seen before.
    """

    __slots__ = ("_catalog", "just_seen", "values")

    def __init__(
        self, values: dict[str, Value], catalog: Catalog, just_seen: Sequence[str] = ()
    ) -> None:
        self.values = values
        self._catalog = catalog
        self.just_seen = just_seen

    def row(self) -> list[float]:
        """Give the model's inputs in the order of `Catalog.model_features`; NaN where unknown.

        What was never seen before has been known for 0 seconds: NaN would say "unknown" of what is
        known.
        """
        row = list(map(float, map(self.values.get, self._catalog.model_features, repeat(nan))))
        for name in self.just_seen:
            place = self._catalog.model_places.get(name)
            if place is not None:
                row[place] = 0.0
        return row


def assemble(
    event: Event,
    knowledge: Mapping[str, Value],
    catalog: Catalog,
    currencies: CurrencyTable,
    *,
    fields: Mapping[str, Value] | None = None,
    geo: GeoTable | None = None,
    withheld: frozenset[str] = frozenset(),
) -> Facts:
    """Join what the event says with what the stores answered.

    `knowledge` maps names of velocity features and profiles to values, and lacks those of a store
    that could not answer. Facts in `withheld` are not concluded from what it lacks. `fields` are
    those of `fields_of`, when the caller has them already. Raises `UnknownCurrency` for an event
    that `parse_event` did not check against this table.
    """
    if fields is None:
        fields = fields_of(event, currencies)
    offered = catalog.fields
    values: dict[str, Value] = {name: fields[name] for name in fields if name in offered}
    values.update(presence_of(event))
    values.update(knowledge)
    stated = Stated(event, fields, currencies, geo)
    of_trade = event.merchant or event.listing or event.settlement
    functions = catalog.event_functions if of_trade else catalog.customer_functions
    for name, function in functions:
        value = function(stated)
        if value is not None:
            values[name] = value
    just_seen = []
    for seconds, is_new, witness in catalog.plan(event.type).novelty:
        if witness in knowledge and is_new not in withheld:
            values[is_new] = seconds not in knowledge
            if seconds not in knowledge:
                just_seen.append(seconds)
    for name, numerator, denominator in catalog.ratios:
        below = knowledge.get(denominator)
        if below and numerator in knowledge:
            ratio = knowledge[numerator] / below  # type: ignore[operator]  # numbers, says the catalog
            if isfinite(ratio):
                values[name] = ratio
    return Facts(values, catalog, just_seen)
