from __future__ import annotations

import json
from typing import Any

import pytest

from features.event import Event, InvalidEvent, Problem, parse_event
from features.money import CurrencyTable
from features.problems import _PATTERNS
from features.refusal import MAX_LISTED

HEAD = {"event_id": "e", "type": "signup", "occurred_at": "2026-11-22T08:15:30Z"}


def refused(body: Any) -> list[Problem]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(InvalidEvent) as caught:
        parse_event(raw, CurrencyTable("CNY", {}, {}))
    return caught.value.problems


def places(body: Any) -> set[tuple[str, str]]:
    return {(problem.pointer, problem.code) for problem in refused(body)}


def test_every_problem_is_listed_in_one_answer() -> None:
    assert places(
        {
            "event_id": "",
            "type": "chekout",
            "occurred_at": "yesterday",
            "user": {"emial": "li@example.com"},
            "order": {
                "id": "o",
                "amount_minor": -1,
                "currency": "XXX",
                "items": [{"sku": "4111 1111 1111 1111", "unit_price_minor": "5"}],
            },
        }
    ) == {
        ("/event_id", "too_short"),
        ("/type", "invalid_value"),
        ("/occurred_at", "invalid_value"),
        ("/user/id", "missing"),
        ("/user/emial", "unknown_field"),
        ("/order/amount_minor", "out_of_range"),
        ("/order/currency", "unknown_currency"),
        ("/order/items/0/sku", "card_number"),
        ("/order/items/0/unit_price_minor", "wrong_type"),
    }


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b'{"a": NaN}', "invalid_json"),
        (b'{"a": -Infinity}', "invalid_json"),
        (b'{"a": "\\ud800"}', "invalid_json"),
        (b"\xef\xbb\xbf{}", "invalid_json"),
        (b'{"a": "\xff"}', "not_utf8"),
        (b"[]", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"a":' + b"[" * 50 + b"]" * 50 + b"}", "too_deep"),
        (b"[" * 60_000, "too_deep"),
    ],
)
def test_a_body_that_is_no_json_object_has_one_clean_answer(body: bytes, code: str) -> None:
    assert places(body) == {("", code)}


@pytest.mark.parametrize("digits", ["9" * 30, "9" * 5_000, "1" + "0" * 60_000])
def test_a_huge_number_is_refused_and_not_converted(digits: str) -> None:
    raw = json.dumps({**HEAD, "type": "checkout", "order": {"id": "o", "amount_minor": 7}})
    found = refused(raw.replace("7}", digits + "}").encode())
    assert {problem.code for problem in found} <= {"wrong_type", "out_of_range", "invalid_json"}


def test_a_number_is_never_a_time_and_a_float_never_an_amount() -> None:
    body = {**HEAD, "occurred_at": "1700000000", "user": {"id": 5}, "coupon": {"value_minor": 1.0}}
    assert places(body) >= {
        ("/occurred_at", "invalid_value"),
        ("/user/id", "wrong_type"),
        ("/coupon/value_minor", "wrong_type"),
    }


def test_a_repeated_key_is_refused_where_it_stands() -> None:
    raw = b'{"event_id":"e","type":"signup","occurred_at":"2026-11-22T08:15:30Z",'
    raw += b'"user":{"id":"a" , "id" : "b"}}'
    assert places(raw) == {("/user/id", "repeated_field")}


def test_a_type_says_which_part_it_needs() -> None:
    (problem,) = refused({**HEAD, "type": "return_request", "user": {"id": "u"}})
    assert problem.pointer == "/return"
    assert "return_request" in problem.detail


def test_an_unknown_field_says_what_was_probably_meant() -> None:
    body = {**HEAD, "user": {"id": "u"}, "network": {"ip": "8.8.8.8", "i_p": "x"}}
    assert refused(body) == [
        Problem("/network/i_p", "unknown_field", "Unknown field `i_p`. Did you mean `ip`?")
    ]


def test_a_pointer_escapes_what_rfc_6901_says() -> None:
    (problem,) = refused({**HEAD, "user": {"id": "u"}, "device": {"screen": "1x1", "is_x": True}})
    assert problem.pointer == "/device/is_x"


def test_a_name_that_may_be_personal_data_is_not_repeated() -> None:
    found = refused({**HEAD, "user": {"id": "u", "li@example.com": 1}, "13800138000": {"x": 1}})
    assert {problem.pointer for problem in found} == {"/user", ""}
    assert "li@" not in str(found)
    assert "138" not in str(found)


def test_an_unknown_currency_lists_the_known_ones() -> None:
    order = {"id": "o", "amount_minor": 1, "currency": "CNX"}
    (problem,) = refused({**HEAD, "type": "checkout", "order": order})
    assert problem.pointer == "/order/currency"
    assert problem.detail.endswith("It has CNY. Did you mean `CNY`?")


def test_thousands_of_problems_are_cut_off_and_counted() -> None:
    unknown = {
        "x" + "abcdefghij"[a] + "abcdefghij"[b] + "abc"[c]: 1
        for a in range(10)
        for b in range(10)
        for c in range(3)
    }
    found = refused({**HEAD, **unknown})
    assert len(found) == MAX_LISTED + 1
    assert found[-1].detail == "101 more problems are not listed."


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("user", "email", "li@@example.com"),
        ("user", "email", "li.example.net"),
        ("user", "phone", "call me"),
        ("user", "phone", "+1"),
        ("user", "created_at", "2026-02-30T00:00:00Z"),
        ("user", "created_at", "2025-11-22T08:15:31"),
        ("user", "created_at", "0001-01-01T00:00:00+14:00"),
        ("network", "ip", "300.1.1.1"),
        ("network", "ip", "fe80::1%eth0"),
        ("network", "ip", "10.0.0.0/8"),
        ("payment", "bin", "62258"),
        ("payment", "outcome", "maybe"),
        ("order", "channel", "secret"),
        ("order", "currency", "cny"),
        ("device", "screen", "big"),
        ("device", "timezone_offset_minutes", 91734),
        ("device", "languages", ["?"]),
    ],
)
def test_a_bad_value_is_named_by_its_place_and_never_repeated(
    part: str, field: str, value: Any
) -> None:
    found = refused({**HEAD, part: {field: value}})
    mine = [problem for problem in found if problem.pointer.startswith(f"/{part}/{field}")]
    assert len(mine) == 1
    assert mine[0].detail.endswith((".", "?"))
    assert json.dumps(value)[1:-1] not in mine[0].detail


def test_every_pattern_of_an_event_has_a_sentence() -> None:
    schema = json.dumps(Event.model_json_schema())
    used = {
        json.loads(f'"{piece.split(chr(34))[0]}"') for piece in schema.split('"pattern": "')[1:]
    }
    assert used == set(_PATTERNS)
