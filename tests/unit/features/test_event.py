from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from features.event import Event, InvalidEvent, Problem, parse_event
from features.event_types import EVENT_TYPES
from features.money import CurrencyTable


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_the_example_of_each_type_is_an_event_with_all_that_the_type_requires(kind: str) -> None:
    row = EVENT_TYPES[kind]
    event = parse_event(json.dumps(row.example).encode(), CurrencyTable("CNY", {}, {}))
    assert event.type == kind == row.name
    assert all(part in row.example for part in row.required)


def test_the_event_of_the_documentation_is_read_as_it_stands() -> None:
    event = parse_event(DOCUMENTED.encode())
    assert event.occurred_at == datetime(2026, 11, 22, 8, 15, 30, tzinfo=UTC)
    assert event.return_ is not None
    assert event.return_.reason == "not_received"
    assert event.order is not None
    assert event.order.items[0].unit_price_minor == 12050


def test_times_come_out_in_utc() -> None:
    event = parse_event(_body(occurred_at="2026-11-22T16:15:30.250+08:00"))
    assert event.occurred_at == datetime(2026, 11, 22, 8, 15, 30, 250_000, tzinfo=UTC)
    assert event.occurred_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
    ],
)
def test_an_ip_address_has_one_spelling(written: str, read: str) -> None:
    event = parse_event(_body(network={"ip": written}))
    assert event.network is not None
    assert event.network.ip == read


def test_an_event_shows_nobody_when_it_is_printed() -> None:
    event = parse_event(DOCUMENTED.encode())
    printed = repr(event) + str(event) + repr(event.user) + f"{event.network}"
    assert "li@example.com" not in printed
    assert "203.0.113.9" not in printed


def test_an_event_cannot_be_changed() -> None:
    event = parse_event(_body())
    with pytest.raises(ValueError, match="frozen"):
        event.type = "login"  # type: ignore[misc]  # the point of the test


def test_an_event_written_out_is_the_same_event_again() -> None:
    event = parse_event(DOCUMENTED.encode())
    assert parse_event(event.model_dump_json(exclude_unset=True).encode()) == event


def test_the_schema_names_every_event_type() -> None:
    assert Event.model_json_schema()["properties"]["type"]["enum"] == list(EVENT_TYPES)


def test_a_text_that_looks_like_keys_is_not_a_repeated_key() -> None:
    body = _body(device={"user_agent": 'odd "agent": "x": {"type":1}'})
    assert parse_event(body).device is not None


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_a_good_event_is_read_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast path counts every key that a type's example has; none looks repeated."""

    def looked_at_again(*_: object) -> list[Problem]:
        raise AssertionError("a good body took the slow path")

    monkeypatch.setattr("features.event.problems_of", looked_at_again)
    parse_event(json.dumps(EVENT_TYPES[kind].example).encode(), CurrencyTable("CNY", {}, {}))


def test_a_key_that_comes_twice_in_a_licence_is_refused() -> None:
    """Nested parts of merchants are looked at as those of customers are."""
    body = json.dumps(EVENT_TYPES["listing_submitted"].example)
    twice = body.replace('"is_own": true', '"is_own": true, "is_own": false')
    with pytest.raises(InvalidEvent) as refused:
        parse_event(twice.encode())
    assert [(each.pointer, each.code) for each in refused.value.problems] == [
        ("/merchant/licences/0/is_own", "repeated_field")
    ]


def _body(**parts: Any) -> bytes:
    head = {"event_id": "e", "type": "signup", "occurred_at": "2026-11-22T08:15:30Z"}
    return json.dumps({**head, "user": {"id": "u"}, **parts}).encode()


DOCUMENTED = """
{"event_id": "ord-7f3a", "type": "checkout", "occurred_at": "2026-11-22T08:15:30Z",
 "user": {"id": "u-9", "email": "li@example.com", "phone": "+8613800138000",
          "created_at": "2026-11-22T08:10:00Z"},
 "device": {"id": "d-77", "user_agent": "…", "platform": "ios", "screen": "1170x2532",
            "languages": ["zh-CN"], "timezone_offset_minutes": 480, "is_automated": false,
            "is_emulator": false},
 "network": {"ip": "203.0.113.9"},
 "order": {"id": "o-1", "amount_minor": 12050, "currency": "CNY", "channel": "flash_sale",
           "items": [{"sku": "s-1", "category": "phone", "quantity": 1,
                      "unit_price_minor": 12050}],
           "shipping_address": {"country": "CN", "region": "Zhejiang", "city": "Hangzhou",
                                "postal_code": "310000", "line1": "…"}},
 "payment": {"method": "card", "instrument": "tok_1", "bin": "622588", "outcome": "authorized"},
 "coupon": {"campaign": "NEW50", "code": "…", "value_minor": 5000},
 "return": {"order_id": "o-0", "reason": "not_received", "amount_minor": 9900},
 "login": {"succeeded": false, "method": "password"}}
"""
