from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from features.catalog import Catalog
from features.entities import entities_of
from features.event import Event
from features.event_types import EVENT_TYPES
from features.fields import fields_of
from features.money import CurrencyTable
from features.observe import Asked, ask, observation_of
from features.tags import Tagger
from tests.unit.features.conftest import Build

Writes = Callable[[Event], dict[str, int | str | None]]


@pytest.fixture
def writes(catalog: Catalog, tagger: Tagger, currencies: CurrencyTable) -> Writes:
    def of(event: Event) -> dict[str, int | str | None]:
        seen = observation_of(event, catalog, tagger, currencies, 1_000)
        return {read.plan.name: read.value for entity in seen.entities for read in entity.series}

    return of


def test_an_observation_names_event_time_and_entities(
    build: Build, catalog: Catalog, tagger: Tagger, currencies: CurrencyTable
) -> None:
    event = build("checkout")
    seen = observation_of(event, catalog, tagger, currencies, 1_234)
    tags = entities_of(event, tagger)
    assert seen.event_tag == tagger.tag("event", event.event_id)
    assert seen.observed_ms == 1_234
    assert {entity.kind: entity.tag for entity in seen.entities}.items() <= tags.items()


def test_counts_write_one_sums_an_amount_distinct_a_tag(
    build: Build, writes: Writes, tagger: Tagger
) -> None:
    written = writes(build("checkout", order={"amount_minor": 100, "currency": "USD"}))
    assert written["user_orders"] == 1
    assert written["user_order_amount"] == 710
    assert written["user_distinct_devices"] == tagger.tag("device", "d-77")
    assert written["device_first_seen"] == 1
    assert written["device_signups"] is None, "a series that the type only reads"


def test_a_filter_decides_whether_a_failure_is_counted(build: Build, writes: Writes) -> None:
    failed, fine = writes(build("login")), writes(build("login", login={"succeeded": True}))
    assert (failed["ip_login_failures"], fine["ip_login_failures"]) == (1, None)
    assert failed["user_distinct_devices"] is None
    assert fine["user_distinct_devices"] is not None


def test_an_unknown_filter_counts_nothing(build: Build, writes: Writes) -> None:
    written = writes(build("payment", payment={"outcome": None}))
    assert written["device_payment_declines"] is None
    assert writes(build("payment", payment={"outcome": "declined"}))["device_payment_declines"] == 1


def test_a_distinct_of_something_the_event_lacks_is_only_read(build: Build, writes: Writes) -> None:
    assert writes(build("checkout", user=None))["device_distinct_users"] is None


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_nothing_in_an_observation_is_in_clear(
    build: Build, catalog: Catalog, tagger: Tagger, currencies: CurrencyTable, kind: str
) -> None:
    event = build(kind)
    shown = repr(observation_of(event, catalog, tagger, currencies, 1))
    for clear in ("li@example", "13800138000", "203.0.113", "u-9", "d-77", "tok_1", "NEW50"):
        assert clear not in shown
    assert isinstance(event.occurred_at, datetime)


@pytest.fixture
def asked(
    build: Build, catalog: Catalog, tagger: Tagger, currencies: CurrencyTable
) -> Callable[[Event], Asked]:
    def make(event: Event) -> Asked:
        tags, fields = entities_of(event, tagger), fields_of(event, currencies)
        return ask(catalog.plan(event.type), tags, fields, tagger, "e", 5)

    return make


def test_a_pair_of_entities_is_counted_when_the_event_names_both(
    build: Build, writes: Writes, asked: Callable[[Event], Asked], tagger: Tagger
) -> None:
    event = build("coupon_redemption", user={"id": "u-9"}, coupon={"campaign": "NEW50"})
    pairs = {kind: tag for kind, tag, _ in asked(event).observation.entities if "+" in kind}
    both = f"{tagger.tag('user', 'u-9')}.{tagger.tag('campaign', 'NEW50')}"
    assert pairs == {"user+coupon_campaign": both}
    assert writes(event)["user_campaign_redemptions"] == 1
    assert "user_campaign_redemptions" not in writes(build("coupon_redemption", user=None))


def test_what_depends_on_the_outcome_is_read_first_and_recorded_with_it(
    build: Build, writes: Writes, asked: Callable[[Event], Asked]
) -> None:
    event = build("coupon_redemption")
    assert writes(event)["user_granted_redemptions"] is None
    one = asked(event)
    for refused in ("review", "decline"):
        assert one.recorded_by(refused) is None
    for granted in ("approve", "challenge"):
        later = one.recorded_by(granted)
        assert later is not None
        assert later.observed_ms == 5
        assert later.event_tag != one.observation.event_tag, "else the store takes it for a repeat"
        [entity] = later.entities
        assert entity.kind == "user"
        assert [(read.plan.name, read.value) for read in entity.series] == [
            ("user_granted_redemptions", 1)
        ]
    assert asked(build("checkout")).recorded_by("approve") is None
