from __future__ import annotations

from typing import Any

import pytest

from features.event_features import EVENT_FUNCTIONS, Stated
from features.event_types import EVENT_TYPES
from features.fields import fields_of
from features.money import CurrencyTable
from features.signals import agent, mail, network, place
from tests.unit.features.conftest import Build

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15"
ORDER = {"amount_minor": 300, "currency": "USD"}
US = {"shipping_address": {"country": "US"}}


@pytest.mark.parametrize(
    ("function", "kind", "parts", "value"),
    [
        ("email_is_alias", "signup", {"user": {"email": "li+1@example.com"}}, True),
        ("email_is_alias", "signup", {"user": {"email": None}}, None),
        ("email_is_disposable", "signup", {"user": {"email": "x@yopmail.com"}}, True),
        ("email_digit_share", "signup", {"user": {"email": "a1@example.com"}}, 0.5),
        ("account_age_seconds", "signup", {}, 330.0),
        ("account_age_seconds", "signup", {"user": {"created_at": "2027-01-01T00:00:00Z"}}, None),
        ("local_hour", "signup", {}, 16),
        ("local_hour", "signup", {"device": {"timezone_offset_minutes": None}}, None),
        ("timezone_contradicts_country", "checkout", {}, False),
        ("timezone_contradicts_country", "checkout", {"order": US}, True),
        ("timezone_contradicts_country", "signup", {}, None),
        ("language_contradicts_country", "checkout", {"device": {"languages": ["ru"]}}, True),
        ("language_contradicts_country", "checkout", {"device": {"languages": []}}, None),
        ("platform_contradicts_agent", "signup", {"device": {"platform": "Windows"}}, True),
        ("platform_contradicts_agent", "signup", {}, False),
        ("agent_is_automated", "signup", {"device": {"user_agent": "curl/8.9"}}, True),
        ("agent_is_automated", "signup", {"device": None}, None),
        ("ip_class", "signup", {"network": {"ip": "240.1.1.1"}}, "reserved"),
        ("ip_is_public", "signup", {"network": {"ip": "8.8.4.4"}}, True),
        ("basket_quantity", "checkout", {}, 1),
        ("basket_quantity", "checkout", {"order": {"items": []}}, None),
        ("basket_max_unit_price", "checkout", {"order": {"currency": "USD"}}, 85555),
        ("amount_bucket", "checkout", {"order": {"amount_minor": 1024}}, 11),
        ("amount_bucket", "return_request", {"return": {"amount_minor": 0}}, 0),
        ("amount_bucket", "login", {}, None),
        ("coupon_share", "checkout", {"order": {"amount_minor": 5000}}, 0.5),
        ("coupon_share", "login", {}, None),
        ("return_value_share", "return_request", {}, None),
        ("return_value_share", "return_request", {"return": {"item_value_minor": 3300}}, 3.0),
        ("return_value_share", "return_request", {"return": {"item_value_minor": 0}}, None),
        ("return_exceeds_order", "return_request", {}, None),
        ("return_exceeds_order", "return_request", {"return": {"item_value_minor": 1}}, True),
        (
            "return_exceeds_order",
            "return_request",
            {"return": {"quantity": 2, "ordered_quantity": 2, "item_value_minor": 9900}},
            False,
        ),
    ],
)
def test_a_feature_of_an_event_says_this(
    build: Build,
    currencies: CurrencyTable,
    function: str,
    kind: str,
    parts: dict[str, Any],
    value: Any,
) -> None:
    event = build(kind, **parts)
    stated = Stated(event, fields_of(event, currencies), currencies)
    assert EVENT_FUNCTIONS[function].function(stated) == value


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_an_event_with_no_more_than_it_needs_raises_nowhere(
    build: Build, currencies: CurrencyTable, kind: str
) -> None:
    spare = {"user", "device", "network", "order", "payment", "coupon"} - {
        *EVENT_TYPES[kind].required
    }
    event = build(kind, **dict.fromkeys(spare))
    stated = Stated(event, fields_of(event, currencies), currencies)
    for feature in EVENT_FUNCTIONS.values():
        feature.function(stated)


@pytest.mark.parametrize(
    ("user_agent", "platform", "contradicts"),
    [
        (IPHONE, "ios", False),
        (IPHONE, "android", True),
        ("Mozilla/5.0 (Linux; Android 15)", "harmonyos", False),
        ("Mozilla/5.0 (Linux; Android 15)", "windows", True),
        ("Mozilla/5.0 (X11; Linux x86_64)", "android", False),
        ("Mozilla/5.0 (X11; Linux x86_64)", "ios", True),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", "ipados", False),
        ("Mozilla/5.0 (Windows NT 10.0)", "macos", True),
        ("Shop/1.0", "ios", None),
        (IPHONE, "fridge", None),
    ],
)
def test_platform_and_agent_contradict_only_when_both_are_known(
    user_agent: str, platform: str, contradicts: bool | None
) -> None:
    assert agent.contradicts(user_agent, platform) is contradicts


@pytest.mark.parametrize(
    ("ip", "kind"),
    [
        ("1.1.1.1", "public"),
        ("192.168.0.1", "private"),
        ("172.16.9.9", "private"),
        ("100.127.255.255", "shared"),
        ("127.0.0.1", "loopback"),
        ("169.254.1.1", "link_local"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("0.0.0.0", "reserved"),  # noqa: S104 - an address to classify, not to bind
        ("198.51.100.7", "documentation"),
        ("2606:4700::1111", "public"),
        ("fd00::1", "private"),
        ("ff02::1", "multicast"),
        ("::1", "loopback"),
        ("2001:db8::1", "documentation"),
    ],
)
def test_an_ip_address_is_of_one_class(ip: str, kind: str) -> None:
    assert network.ip_class(ip) == kind


def test_countries_with_languages_have_time_zones() -> None:
    """Every country of the languages table has sane offsets in the time zone database."""
    for country in place.LANGUAGES:
        offsets = place.offsets_of(country, 2026)
        assert offsets, country
        assert all(-720 <= offset <= 840 for offset in offsets), country


def test_a_subdomain_of_a_disposable_domain_is_one_and_a_namesake_is_not() -> None:
    assert mail.is_disposable("x@a.b.yopmail.com")
    assert not mail.is_disposable("x@notyopmail.com")
