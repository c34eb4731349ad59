from __future__ import annotations

import json

import pytest

from features.card_numbers import has_card_number, is_card_number, may_hold_card_number
from features.event import InvalidEvent, parse_event

# Test numbers that the schemes and payment providers publish.
NUMBERS = {
    "visa": "4111111111111111",
    "visa-13": "4222222222222",
    "mastercard": "5555555555554444",
    "mastercard-2": "2223003122003222",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "jcb": "3566002020360505",
    "unionpay-62": "6200000000000005",
    "unionpay-81": "8171999927660000",
    "maestro": "6759649826438453",
    "diners": "30569309025904",
    "mir": "2201382000000013",
}


@pytest.mark.parametrize("scheme", NUMBERS)
def test_a_number_of_each_scheme_is_found_however_it_is_written(scheme: str) -> None:
    number = NUMBERS[scheme]
    grouped = " ".join(number[start : start + 4] for start in range(0, len(number), 4))
    wide = number.translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)})
    spellings = [number, grouped, grouped.replace(" ", "-"), grouped.replace(" ", "\u00a0"), wide]
    spellings += [grouped.replace(" ", "\n"), grouped.replace(" ", " - "[:2]), f"No.{number}/12"]
    assert is_card_number(number)
    assert [text for text in spellings if not has_card_number(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "+8613800138000",
        "2026-11-22 08:15:30",
        "4111111111111112",
        "12345678901234567890123456789012",
        "550e8400-e29b-41d4-a716-446655440000",
        "Mozilla/5.0 (Windows NT 10.0) Chrome/120.0.6099.110 Safari/537.36",
        "",
    ],
)
def test_other_numbers_are_not_card_numbers(text: str) -> None:
    assert not has_card_number(text)


def test_an_escaped_number_is_found_in_the_body() -> None:
    escaped = "".join(f"\\u00{ord(digit):02x}" for digit in NUMBERS["visa"])
    for written in (escaped, "4111\\n1111\\t1111 1111", "4111\\u00a01111\\u30001111 1111"):
        body = '{"event_id":"' + written + '","type":"signup",'
        body += '"occurred_at":"2026-11-22T08:15:30Z",'
        with pytest.raises(InvalidEvent) as caught:
            parse_event((body + '"user":{"id":"u"}}').encode())
        assert [(p.pointer, p.code) for p in caught.value.problems] == [
            ("/event_id", "card_number")
        ]


def test_an_amount_is_not_a_text() -> None:
    order = {"id": "o", "amount_minor": 4222222222222}
    assert parse_event(_body(type="checkout", order=order)).order is not None


@pytest.mark.parametrize("phone", ["+4222222222222", "+49 1512 3456783"])
def test_a_phone_in_e164_that_looks_like_a_short_card_number_is_a_phone(phone: str) -> None:
    assert parse_event(_body(user={"id": "u", "phone": phone})).user is not None


def test_a_card_number_in_place_of_a_phone_is_refused() -> None:
    for phone in ("+378282246310005", NUMBERS["visa"], NUMBERS["visa-13"]):
        with pytest.raises(InvalidEvent) as caught:
            parse_event(_body(user={"id": "u", "phone": phone}))
        assert ("/user/phone", "card_number") in [
            (p.pointer, p.code) for p in caught.value.problems
        ]


def test_the_quick_look_lets_ordinary_bodies_pass() -> None:
    assert not may_hold_card_number(_body(user={"id": "u", "phone": "+8613800138000"}))


def _body(**parts: object) -> bytes:
    head = {"event_id": "e", "type": "signup", "occurred_at": "2026-11-22T08:15:30Z"}
    return json.dumps({**head, "user": {"id": "u"}, **parts}).encode()
