"""Phone, browser, screen, clock, place and basket, one by one."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from features.signals import basket, browser, clock, place, screen
from features.signals.phone import PhoneNumber, phone_number

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1"
)
ANDROID = (
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Mobile Safari/537.36"
)
WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36"
)
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/26.0 Safari"


@pytest.mark.parametrize(
    ("phone", "country", "read"),
    [
        ("+8613800138000", None, PhoneNumber("CN", "mobile", is_valid=True)),
        ("0086 138 0013 8000", None, PhoneNumber("CN", "mobile", is_valid=True)),
        ("138-0013-8000", "CN", PhoneNumber("CN", "mobile", is_valid=True)),
        ("138-0013-8000", None, None),
        ("+1 650-253-0000", "CN", PhoneNumber("US", "fixed_line_or_mobile", is_valid=True)),
        ("+8610000000000", None, PhoneNumber("CN", "unknown", is_valid=False)),
        ("+80012345678", None, PhoneNumber(None, "toll_free", is_valid=True)),
        ("+999123456", None, PhoneNumber(None, "unknown", is_valid=False)),
        ("+447911123456", "GB", PhoneNumber("GG", "mobile", is_valid=True)),
    ],
)
def test_a_phone_number_is_read_as_its_country_plans_it(
    phone: str, country: str | None, read: PhoneNumber | None
) -> None:
    """Country, kind and validity are libphonenumber's; a national number needs the country."""
    assert phone_number(phone, country) == read


@pytest.mark.parametrize(
    ("agent", "on", "age"),
    [
        (WINDOWS, date(2025, 9, 12), 10),
        (WINDOWS.replace("140", "153"), date(2026, 9, 8), 0),
        (WINDOWS.replace("140", "155"), date(2026, 10, 6), 0),
        (WINDOWS.replace("140", "160"), date(2026, 10, 6), -70),
        (WINDOWS.replace("140", "50"), date(2026, 4, 13), 3652),
        (IPHONE, date(2025, 9, 15), 0),
        (ANDROID, date(2025, 9, 2), 0),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
         date(2025, 10, 14), 0),
        (IPHONE.replace("Safari/604.1", "MicroMessenger/8.0.50"), date(2026, 1, 1), None),
        ("curl/8.9.1", date(2026, 1, 1), None),
        (WINDOWS.replace("140", "9" * 400), date(2026, 1, 1), None),
        ("Mozilla/5.0 (X11; Linux) Gecko/20100101 Firefox/3.6", date(2026, 1, 1), None),
        ("", date(2026, 1, 1), None),
    ],
)  # fmt: skip
def test_a_browser_is_as_old_as_its_version(agent: str, on: date, age: int | None) -> None:
    """Days since the version came out; a version of the future is below 0, others are unknown."""
    assert browser.age_days(agent, on) == age


def test_only_the_rust_engine_reads_agents() -> None:
    """The resolver is ua-parser's in Rust: the pure one takes milliseconds for an unknown agent."""
    assert type(browser._resolver()).__module__ == "ua_parser.regex"


@pytest.mark.parametrize(
    ("agent", "kind"),
    [
        (IPHONE, "phone"),
        (ANDROID, "phone"),
        (ANDROID.replace(" Mobile", ""), "tablet"),
        ("Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X)", "tablet"),
        ("Mozilla/5.0 (Phone; OpenHarmony 5.0) ArkWeb/4.1.6.1 Mobile", "phone"),
        (WINDOWS, "desktop"),
        (MAC, "desktop"),
        ("Mozilla/5.0 (SMART-TV; Linux; Tizen 8.0) Safari/537.36", "tv"),
        ("Mozilla/5.0 (PlayStation 5 3.11) AppleWebKit/605.1.15", "console"),
        ("okhttp/4.12.0", None),
        ("curl/8.9.1", None),
    ],
)
def test_an_agent_names_a_kind_of_device_or_none(agent: str, kind: str | None) -> None:
    """Apps and tools that do not tell are unknown, not desktops."""
    assert screen.device_type(agent) == kind


@pytest.mark.parametrize(
    ("agent", "size", "contradicts"),
    [
        (IPHONE, "1170x2532", False),
        (IPHONE, "393x852", False),
        (IPHONE, "852x393", False),
        (IPHONE, "375x667", False),
        (IPHONE, "320x480", False),
        (IPHONE, "1080x2400", True),
        (IPHONE, "1920x1080", True),
        (IPHONE, "1366x768", True),
        (IPHONE, "0x0", None),
        (ANDROID, "1080x2400", False),
        (ANDROID, "2400x1080", False),
        (ANDROID, "1920x1080", False),
        (ANDROID, "1812x2176", False),
        (ANDROID, "1536x864", True),
        (WINDOWS, "1920x1080", False),
        (WINDOWS, "1080x1920", False),
        (WINDOWS, "390x844", True),
        (MAC, "1024x1366", False),
        ("curl/8.9.1", "1920x1080", None),
    ],
)
def test_a_screen_contradicts_only_when_no_such_device_has_it(
    agent: str, size: str, contradicts: bool | None
) -> None:
    """Phones on their side, opened foldables, turned monitors and iPads as Macs are honest."""
    assert screen.screen_contradicts(agent, size) is contradicts


def test_summer_time_and_far_zones_belong_to_a_country() -> None:
    """Every offset that a country's clocks show in the year is its own, in that very year."""
    assert place.offsets_of("GB", 2026) == {0, 60}
    assert 345 in place.offsets_of("NP", 2026)
    assert place.offsets_of("MA", 2026) == {0, 60}
    assert -240 in place.offsets_of("US", 2026)
    assert place.offsets_of("RU", 2012) != place.offsets_of("RU", 2026)
    assert place.timezone_contradicts("GB", 120, 2026) is True
    assert place.timezone_contradicts("XX", 0, 2026) is None


def test_night_and_weekend_are_those_of_the_device() -> None:
    """A Sunday evening in London is a Monday morning in Auckland."""
    moment = datetime.fromisoformat("2026-11-22T20:30:00+00:00")
    assert clock.is_weekend(clock.local_time(moment, 0))
    assert not clock.is_weekend(clock.local_time(moment, 780))
    assert clock.is_night(clock.local_time(moment, 330))
    assert not clock.is_night(clock.local_time(moment, 0))


@pytest.mark.parametrize(
    ("category", "prone"),
    [
        ("phone", True),
        ("Mobile Phones & Tablets", True),
        ("gift-card", True),
        ("GIFT_CARDS", True),
        ("电子产品/手机", True),
        ("球鞋", True),
        ("headphones", True),
        ("xylophones", False),
        ("birthday gift", False),
        ("童装", False),
        ("", False),
    ],
)
def test_goods_that_are_easily_sold_on_are_told_by_their_category(
    category: str, prone: bool
) -> None:
    """Whole words count in English, words anywhere in Chinese."""
    assert basket.is_resale_prone(category) is prone


def test_a_basket_is_worth_what_its_lines_are() -> None:
    """Shares add up over lines of one sku, and a basket worth nothing has none."""
    lines = [("a", "phone", 1, 100), ("b", None, 1, 100), ("a", "phone", 2, 100)]
    assert basket.largest_share(lines) == basket.resale_share(lines) == 0.75
    assert basket.largest_quantity(lines) == 3
    assert basket.price_variation(lines) == 0.0
    free = [("a", "phone", 3, 0)]
    assert basket.largest_share(free) is basket.resale_share(free) is None
    assert basket.price_variation(free) is basket.price_variation([]) is None
    assert basket.resale_share([("a", None, 1, 5)]) is None
