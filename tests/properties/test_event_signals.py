"""Whatever an event says, its own features answer or say that they do not know."""

from __future__ import annotations

from datetime import date, datetime
from math import isfinite

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.entities import normal_email
from features.event import parse_event
from features.event_features import EVENT_FUNCTIONS, Stated
from features.event_types import EVENT_TYPES
from features.fields import fields_of
from features.geo import GeoTable
from features.geo_record import asn_of, country_of, says_hosting, says_tor
from features.mailboxes import FREE_DOMAINS, mailbox_of
from features.money import CurrencyTable
from features.signals import basket, browser, mail, place, screen
from features.signals.phone import phone_number
from features.warm import warm
from tests.geo_tables import table

CURRENCIES = CurrencyTable("CNY", {}, {})
TYPES = {"int": int, "double": float, "bool": bool, "string": str}
texts = st.text(max_size=60)
lines = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.none() | texts, st.integers(1, 10**6), st.integers(0, 10**15)
    ),
    max_size=6,
)
words = st.sampled_from(
    ["Mozilla/5.0", "iPhone", "Android", "Windows NT 10.0", "Chrome/9999999999", "Version/", "TV"]
)
local_parts = st.text("ab+-._1", min_size=1, max_size=12)


@pytest.fixture(scope="module")
def geo(tmp_path_factory: pytest.TempPathFactory) -> GeoTable:
    """A table that knows half of all addresses."""
    path = tmp_path_factory.mktemp("geo") / "half.mmdb"
    half = {"128.0.0.0/1": {"country_code": "CN", "asn": "AS16509"}}
    return GeoTable.open(table(path, half))


@pytest.fixture(scope="module", autouse=True)
def warmed() -> None:
    """Load patterns and plans before the clock of an example runs."""
    warm(2026)


@given(st.lists(texts | words, max_size=5).map(" ".join), texts, st.dates())
def test_any_agent_and_screen_have_an_answer(agent: str, size: str, on: date) -> None:
    """No text raises, and a browser's age is a whole number or unknown."""
    assert isinstance(browser.age_days(agent, on), int | None)
    assert screen.device_type(agent) in {"phone", "tablet", "desktop", "tv", "console", None}
    assert screen.screen_contradicts(agent, size) in {True, False, None}


@given(st.from_regex(r"\A(\d{1,5})x(\d{1,5})\Z"), words)
def test_any_screen_that_an_event_may_hold_has_an_answer(size: str, agent: str) -> None:
    """Digits of every script, zeros and giants included."""
    assert screen.screen_contradicts(f"Mozilla/5.0 ({agent}) Mobile", size.strip()) in {
        True, False, None,
    }  # fmt: skip


@given(
    st.from_regex(r"\+?[0-9(][0-9 ().\-/]{3,30}", fullmatch=True) | texts,
    st.sampled_from([None, "CN", "US", "GB", "ZZ", "AQ"]),
)
def test_any_phone_has_an_answer(phone: str, country: str | None) -> None:
    """A number that is valid has a kind, and only international ones need no country."""
    read = phone_number(phone, country)
    if read is not None and read.is_valid:
        assert read.kind != "unknown"
    if country is None and not phone.startswith(("+", "00", "＋")):
        assert read is None or not read.is_valid


@given(local_parts, st.sampled_from([*sorted(FREE_DOMAINS), "li.fastmail.com", "example.com"]))
def test_the_mailbox_of_a_mailbox_is_itself(local: str, domain: str) -> None:
    """Normalising twice changes nothing at any provider, and a normal form is no alias."""
    once = normal_email(f"{local}@{domain}")
    assert normal_email(once) == once
    assert not mail.is_alias(once)
    assert mailbox_of(local, domain).local


@given(st.text(max_size=40), st.sampled_from(["@gmail.com", "", "@"]))
def test_any_text_as_an_address_has_an_answer(local: str, rest: str) -> None:
    """Shares are shares, entropy is not below 0, and nothing raises."""
    email = local + rest
    assert mail.is_disposable(email) in {True, False}
    assert 0 <= (mail.digit_share(email) or 0) <= 1
    assert (mail.entropy_bits(email) or 0) >= 0


@given(lines)
def test_any_basket_has_shares_that_are_shares(basket_lines: list[basket.Line]) -> None:
    """Shares lie in [0, 1], the spread is finite and not below 0."""
    for share in (basket.largest_share(basket_lines), basket.resale_share(basket_lines)):
        assert share is None or 0 <= share <= 1
    spread = basket.price_variation(basket_lines)
    assert spread is None or (isfinite(spread) and spread >= 0)


@given(texts | st.sampled_from(["CN", "US", "MA"]), st.integers(-840, 840), st.integers(1990, 2199))
def test_any_country_offset_and_year_have_an_answer(country: str, offset: int, year: int) -> None:
    """A country without zones is unknown; no year raises."""
    assert place.timezone_contradicts(country, offset, year) in {True, False, None}


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats()
keys = st.sampled_from(
    ["country", "country_code", "iso_code", "asn", "traits", "type", "is_tor", "is_hosting",
     "autonomous_system_number", "registered_country", "user_type"]
)  # fmt: skip


@given(
    st.recursive(scalars, lambda inner: st.dictionaries(keys, inner) | st.lists(inner, max_size=2))
)
def test_a_record_of_any_shape_says_something_or_nothing(record: object) -> None:
    """A country is two capital letters, a network a number; whatever else is there is unknown."""
    country, asn = country_of(record), asn_of(record)
    assert country is None or (len(country) == 2 and country.isupper())
    assert asn is None or asn > 0
    assert says_hosting(record) in {True, False, None}
    assert says_tor(record) in {True, False, None}


@given(
    st.sampled_from(sorted(EVENT_TYPES)),
    st.fixed_dictionaries(
        {},
        optional={
            "user_agent": st.text(max_size=60).filter(lambda text: not any(map(str.isdigit, text))),
            "screen": st.from_regex(r"[0-9]{1,5}x[0-9]{1,5}", fullmatch=True),
            "timezone_offset_minutes": st.integers(-840, 840),
            "platform": st.sampled_from(["ios", "android", "web"]),
        },
    ),
    st.ip_addresses().filter(lambda address: "%" not in str(address)),
    st.datetimes(datetime.fromisoformat("1990-01-02"), datetime.fromisoformat("2199-12-30")),
)
def test_every_function_answers_in_its_type(
    geo: GeoTable, kind: str, device: dict[str, object], ip: object, moment: datetime
) -> None:
    """On any event each function gives a value of its declared type, or None."""
    body = EVENT_TYPES[kind].example | {
        "device": device, "network": {"ip": str(ip)}, "occurred_at": f"{moment.isoformat()}Z",
    }  # fmt: skip
    event = parse_event(orjson.dumps(body))
    stated = Stated(event, fields_of(event, CURRENCIES), CURRENCIES, geo)
    for name, row in EVENT_FUNCTIONS.items():
        value = row.function(stated)
        assert value is None or type(value) is TYPES[row.type], name
