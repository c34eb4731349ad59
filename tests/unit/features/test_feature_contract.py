"""Sentences of the feature contract (features/README.md) that no other test states on its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isnan

from features.catalog import Catalog
from features.event import Event
from features.money import CurrencyTable
from features.observe import observation_of
from features.tags import Tagger
from features.vector import assemble
from features.velocity.memory_store import MemoryVelocityStore
from features.velocity.observation import EntityObservation, Observation, SeriesRead
from tests.oracles.velocity_oracle import plan
from tests.unit.features.conftest import Build

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000


class Past:
    """A shop's past: each event sees what was seen before it."""

    def __init__(self, catalog: Catalog, tagger: Tagger, currencies: CurrencyTable) -> None:
        self._catalog, self._tagger, self.currencies = catalog, tagger, currencies
        self._store = MemoryVelocityStore()

    def seen(self, event: Event, at_ms: int) -> dict[str, object]:
        catalog, currencies = self._catalog, self.currencies
        asked = observation_of(event, catalog, self._tagger, currencies, at_ms)
        return dict(assemble(event, self._store.observe_now(asked), catalog, currencies).values)


def test_a_late_event_counts_when_it_is_seen_not_when_it_says_it_happened(
    build: Build, catalog: Catalog, tagger: Tagger, currencies: CurrencyTable
) -> None:
    past = Past(catalog, tagger, currencies)
    long_ago = datetime.now(UTC) - timedelta(days=200)
    past.seen(build("checkout", event_id="late", occurred_at=long_ago.isoformat()), NOW_MS)
    after = past.seen(build("checkout", event_id="now"), NOW_MS + HOUR_MS)
    assert after["user_orders_30d"] == 1


def test_a_new_window_needs_no_other_data() -> None:
    """What was recorded under one list of windows answers another, within the time it is kept."""
    store = MemoryVelocityStore()
    before, after = plan("count", 90 * HOUR_MS, name="s"), plan("count", 7 * HOUR_MS, name="s")
    for index, series in enumerate((before, before, before, after)):
        entity = EntityObservation("user", "t", (SeriesRead(series, 1),))
        at_ms = NOW_MS + index * 5 * HOUR_MS
        answer = store.observe_now(Observation(f"e{index}", at_ms, (entity,)))
    assert answer == {f"s_{7 * HOUR_MS}": 1}


def test_a_correction_is_an_event_of_its_own_and_takes_nothing_back(
    build: Build, catalog: Catalog, tagger: Tagger, currencies: CurrencyTable
) -> None:
    """A payment reported declined and then authorized has been declined once."""
    past = Past(catalog, tagger, currencies)
    for number, outcome in enumerate(("declined", "authorized")):
        payment = {"outcome": outcome}
        past.seen(build("payment", event_id=f"p{number}", payment=payment), NOW_MS + number)
    after = past.seen(build("payment", event_id="p2"), NOW_MS + 2)
    assert after["device_payment_declines_24h"] == 1


def test_amounts_are_counted_in_the_base_currency_of_the_day_they_were_seen(
    build: Build, catalog: Catalog, tagger: Tagger, currencies: CurrencyTable
) -> None:
    """Another rate tomorrow changes no amount that was recorded today."""
    past = Past(catalog, tagger, currencies)
    order = {"amount_minor": 1000, "currency": "USD"}
    past.seen(build("checkout", event_id="a", order=order), NOW_MS)
    past.currencies = CurrencyTable("CNY", {}, {"USD": Decimal(9)})
    past.seen(build("checkout", event_id="b", order=order), NOW_MS + 1)
    after = past.seen(build("return_request"), NOW_MS + 2)
    assert after["user_order_amount_90d"] == 7100 + 9000


def test_a_store_that_could_not_answer_leaves_gaps_and_no_zeros(
    build: Build, catalog: Catalog, currencies: CurrencyTable
) -> None:
    facts = assemble(build("checkout"), {}, catalog, currencies)
    assert "user_orders_30d" not in facts.values
    assert isnan(facts.row()[catalog.model_features.index("user_orders_30d")])
