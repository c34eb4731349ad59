"""Reading a fingerprint: any text gives a reading, and only our own signature is believed."""

from __future__ import annotations

import json
import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.collector.components import components_of
from features.collector.fingerprint import (
    derived_id,
    fingerprint_fields,
    read_fingerprint,
    with_derived_id,
)
from features.collector.tokens import SKEW_SECONDS, TOKEN_SECONDS, TokenKey, text_of
from features.event import Device, InvalidEvent, parse_event
from features.fields import FIELD_TYPES
from tests.fingerprints import HONEST, signed

KEY = TokenKey(b"t" * 32)
NOW_MS = int(datetime(2026, 11, 22, 8, 15, tzinfo=UTC).timestamp() * 1000)
DESKTOP = HONEST["chrome on windows"]
GOOD = signed(DESKTOP, KEY.issue(NOW_MS, b"nonce-of-12b"))


def _verdict(text: str, now_ms: int = NOW_MS) -> str:
    return read_fingerprint(text, KEY, now_ms).verdict


def test_a_signed_fingerprint_in_time_is_verified() -> None:
    """What the script signed with our token is read whole."""
    reading = read_fingerprint(GOOD, KEY, NOW_MS + 1000)
    assert (reading.verdict, reading.issued_ms) == ("verified", NOW_MS)
    assert reading.components == components_of(json.dumps(DESKTOP).encode())
    assert reading.nonce == text_of(b"nonce-of-12b")


@pytest.mark.parametrize(
    ("later_seconds", "verdict"),
    [
        (TOKEN_SECONDS, "verified"),
        (TOKEN_SECONDS + 0.001, "expired"),
        (-SKEW_SECONDS, "verified"),
        (-SKEW_SECONDS - 0.001, "expired"),
    ],
)
def test_a_token_has_its_time(later_seconds: float, verdict: str) -> None:
    """A token is good for 15 minutes, and for a minute before by another machine's clock."""
    assert _verdict(GOOD, NOW_MS + round(later_seconds * 1000)) == verdict


def test_another_shops_key_is_forged() -> None:
    """A token of another service proves nothing here."""
    assert read_fingerprint(GOOD, TokenKey(b"u" * 32), NOW_MS).verdict == "forged"


def test_the_token_key_is_not_the_tag_key() -> None:
    """The key is derived for its purpose, so a token tells nothing of the tags' keys."""
    plain = TokenKey.__new__(TokenKey)
    plain._key = b"t" * 32
    assert plain.issue(NOW_MS, bytes(12)) != KEY.issue(NOW_MS, bytes(12))
    assert repr(KEY) == "TokenKey(...)"


def test_a_browser_without_a_token_is_unsigned() -> None:
    """Its signals are read, and not believed."""
    _, _, body, _ = GOOD.split(".")
    reading = read_fingerprint(f"1..{body}.", KEY, NOW_MS)
    assert reading.verdict == "unsigned"
    assert fingerprint_fields(reading, Device())["fingerprint.is_verified"] is False
    assert "fingerprint.confidence" in fingerprint_fields(reading, Device())


@pytest.mark.parametrize("text", ["", ".", "...", "1..e30.", "2" + GOOD[1:], "x" * 8192, "1.ä.ö.ü"])
def test_what_is_no_fingerprint_is_unreadable(text: str) -> None:
    """It says so, and nothing else is known."""
    fields = fingerprint_fields(read_fingerprint(text, KEY, NOW_MS), Device())
    assert fields == {
        "fingerprint.verdict": "unreadable",
        "fingerprint.is_verified": False,
        "fingerprint.is_device_id": False,
    }


@given(st.text(max_size=300) | st.text(string.ascii_letters + ".-_1", max_size=300))
def test_any_text_gives_a_reading(text: str) -> None:
    """Nothing that a browser sends raises or is believed without our signature."""
    for each in (text, "1." + text, GOOD + text[:1], GOOD[: len(text)]):
        verdict = _verdict(each)
        assert verdict in ("unreadable", "unsigned", "forged") or each == GOOD


@given(st.integers(0, len(GOOD) - 1), st.sampled_from(string.ascii_letters + string.digits + "-_."))
def test_a_change_of_any_character_is_seen(at: int, character: str) -> None:
    """One changed character, wherever it is, and the fingerprint is not verified."""
    changed = GOOD[:at] + character + GOOD[at + 1 :]
    assert (_verdict(changed) == "verified") == (changed == GOOD)


def test_fields_are_those_of_the_catalog() -> None:
    """Every field has a row, with its type, and every row can come."""
    fields = fingerprint_fields(read_fingerprint(GOOD, KEY, NOW_MS), Device())
    kinds = {"string": str, "double": float, "int": int, "bool": bool}
    assert {n for n in FIELD_TYPES if n.startswith("fingerprint.")} == set(fields)
    for name, value in fields.items():
        assert type(value) is kinds[FIELD_TYPES[name]], name


def test_a_missing_device_id_is_derived_and_a_stated_one_stays() -> None:
    """The shop's own id wins; without one the fingerprint stands in when it is worth it."""
    raw = {
        "event_id": "e-1",
        "type": "login",
        "occurred_at": "2026-11-22T08:15:00Z",
        "user": {"id": "u-1"},
        "login": {"succeeded": True, "method": "password"},
    }
    bare = parse_event(json.dumps(raw | {"device": {"fingerprint": GOOD}}).encode())
    own = parse_event(json.dumps(raw | {"device": {"fingerprint": GOOD, "id": "d-1"}}).encode())
    reading = read_fingerprint(GOOD, KEY, NOW_MS)
    derived = with_derived_id(bare, reading).device
    assert derived is not None
    assert derived.id is not None
    assert derived.id.startswith("fp1:")
    assert with_derived_id(own, reading) is own
    for verdict in ("replayed", "expired", "forged", "unsigned"):
        assert with_derived_id(bare, reading._replace(verdict=verdict)) is bare
    assert derived_id(reading._replace(verdict="unchecked"), Device()) == derived.id
    phone = signed(HONEST["safari on an iphone"], KEY.issue(NOW_MS, bytes(12)))
    assert derived_id(read_fingerprint(phone, KEY, NOW_MS), Device()) is None


def test_an_event_with_a_fingerprint_is_read_as_strictly_as_any() -> None:
    """A card number in its text, a repeated key beside it and a longer text are refused."""
    good = {"event_id": "e", "type": "signup", "occurred_at": "2026-11-22T08:15:00Z"}
    body = json.dumps(good | {"user": {"id": "u"}, "device": {"fingerprint": GOOD}})
    assert parse_event(body.encode()).device is not None
    for text, code in (("4111 1111 1111 1111", "card_number"), ("x" * 8193, "too_long")):
        with pytest.raises(InvalidEvent) as caught:
            parse_event(body.replace(GOOD, text).encode())
        assert [(p.pointer, p.code) for p in caught.value.problems] == [
            ("/device/fingerprint", code)
        ]
    with pytest.raises(InvalidEvent) as caught:
        parse_event(body.replace('{"fingerprint"', '{"fingerprint": "", "fingerprint"').encode())
    assert [p.code for p in caught.value.problems] == ["repeated_field"]
