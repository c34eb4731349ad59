from __future__ import annotations

import pytest

from features.entities import (
    ENTITY_KINDS,
    entities_of,
    network_prefix,
    normal_address,
    normal_email,
    normal_ip,
    normal_phone,
)
from features.event import Address
from features.tags import Tagger
from tests.unit.features.conftest import Build


def test_a_full_event_has_every_kind_of_entity(build: Build, tagger: Tagger) -> None:
    tags = entities_of(build("checkout", merchant={"id": "m-3"}), tagger)
    assert list(tags) == list(ENTITY_KINDS)
    assert all(len(tag) == 22 for tag in tags.values())


def test_what_an_event_does_not_say_has_no_tag(build: Build, tagger: Tagger) -> None:
    event = build("login", user={"email": None, "phone": None}, device=None, network=None)
    assert list(entities_of(event, tagger)) == ["user"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Li@Example.COM", "li@example.com"),
        ("li+1@example.com", "li+2@example.com"),
        ("l.i@gmail.com", "li+x@googlemail.com"),
        ("ｌｉ@example.com", "li@example.com"),
    ],
)
def test_one_mailbox_is_one_entity(one: str, other: str) -> None:
    assert normal_email(one) == normal_email(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("l.i@example.com", "li@example.com"), ("a@gmail.com", "b@gmail.com"), ("+1@x.io", "+2@x.io")],
)
def test_two_mailboxes_are_two_entities(one: str, other: str) -> None:
    assert normal_email(one) != normal_email(other)


def test_a_phone_is_its_digits() -> None:
    written = ("+86 138 0013 8000", "0086-138-0013-8000", "(86) 13800138000")
    assert {normal_phone(phone) for phone in written} == {"8613800138000"}
    assert normal_phone("000") == "0"


def test_an_ipv6_customer_is_a_64_network() -> None:
    assert normal_ip("2001:db8::1") == normal_ip("2001:db8::ffff:1") == "2001:db8::/64"
    assert normal_ip("2001:db8:0:1::1") != normal_ip("2001:db8::1")
    assert network_prefix("2001:db8:1:2::3") == "2001:db8:1::/48"
    assert network_prefix("203.0.113.9") == "203.0.113.0/24"


def test_an_address_without_a_door_is_no_entity() -> None:
    assert normal_address(Address(country="CN", city="Hangzhou")) is None


def test_an_address_is_one_however_it_is_spaced_and_cased() -> None:
    one = Address(country="DE", city="KÖLN", postal_code="50667", line1="Große  Straße 1 ")
    other = Address(country="DE", city="köln", postal_code="50667", line1="GROSSE STRASSE 1")
    assert normal_address(one) == normal_address(other)


def test_parts_of_an_address_do_not_run_into_each_other() -> None:
    one = Address(country="CN", region="a", city="b", line1="c")
    other = Address(country="CN", city="a b", line1="c")
    assert normal_address(one) != normal_address(other)
