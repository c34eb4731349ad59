"""Entities that are named by hand have the tags that they have in events."""

from __future__ import annotations

import orjson
import pytest

from features.entities import ENTITY_KINDS, entities_of
from features.event import parse_event
from features.tags import Tagger, derive_tag_keys
from service.entity_names import BadEntity, entity_tag, named_tags

TAGGER = Tagger(derive_tag_keys(bytes(32)))


@pytest.mark.parametrize(
    ("named", "kind", "field", "counted"),
    [
        ("device=dev-1", "device", "device", "dev-1"),
        ("email=Li+shop@Example.COM", "email", "email", "li@example.com"),
        ("phone=+86 138-0013-8000", "phone", "phone", "8613800138000"),
        ("ip=2001:DB8:0:0::7", "ip", "ip", "2001:db8::/64"),
        ("payment_instrument=tok_1", "payment_instrument", "instrument", "tok_1"),
        ("user=a=b", "user", "user", "a=b"),
        (
            'shipping_address={"country":"CN","city":"Hangzhou","line1":"1  Lakeside Road"}',
            "shipping_address",
            "address",
            "cn\x1f\x1fhangzhou\x1f\x1f1 lakeside road",
        ),
    ],
    ids=lambda value: value if value.isalpha() else "",
)
def test_what_is_named_by_hand_is_normalised_as_in_events(
    named: str, kind: str, field: str, counted: str
) -> None:
    """One mailbox, phone, line or door is one entity, however it is typed."""
    assert named_tags([named], [], TAGGER) == {kind: TAGGER.tag(field, counted)}


def test_two_entities_have_a_pair_in_either_order() -> None:
    """A pair is looked up under both orders of its kinds; a series has one of them."""
    tags = named_tags(["user=u-1"], ["coupon_campaign:" + "c" * 22], TAGGER)
    assert tags["user+coupon_campaign"] == f"{tags['user']}.{'c' * 22}"
    assert tags["coupon_campaign+user"] == f"{'c' * 22}.{tags['user']}"


def test_every_kind_has_the_tag_that_it_has_in_an_event() -> None:
    """What is put on a list by hand is found in events, whatever kind of entity it is."""
    address = {"country": "CN", "city": "Hangzhou", "line1": "1  Lakeside  Road"}
    event = parse_event(
        orjson.dumps(
            {
                "event_id": "e",
                "type": "checkout",
                "occurred_at": "2026-11-22T08:15:30Z",
                "user": {"id": " u 1", "email": "L.i+x@GMail.com", "phone": "0086 138 0013 8000"},
                "device": {"id": "dev-1"},
                "network": {"ip": "::ffff:203.0.113.9"},
                "order": {"id": "o", "amount_minor": 1, "shipping_address": address},
                "payment": {"method": "card", "instrument": "tok-1"},
                "coupon": {"campaign": "NEW50", "value_minor": 1},
                "merchant": {"id": "m-1"},
            }
        )
    )
    named = {
        "user": " u 1",
        "device": "dev-1",
        "ip": "203.0.113.9",
        "email": "li@gmail.com",
        "phone": "+8613800138000",
        "payment_instrument": "tok-1",
        "shipping_address": orjson.dumps(address).decode(),
        "coupon_campaign": "NEW50",
        "merchant": "m-1",
    }
    assert named.keys() == ENTITY_KINDS.keys()
    tags = {kind: entity_tag(kind, value, TAGGER) for kind, value in named.items()}
    assert tags == entities_of(event, TAGGER)
    assert entity_tag("ip", "::ffff:203.0.113.9", TAGGER) == tags["ip"]


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("email", "no mailbox", "no email"),
        ("phone", "12", "no phone"),
        ("user", "", "no user"),
        ("device", "x" * 129, "no device"),
        ("payment_instrument", "4111 1111 1111 1111", "card number"),
    ],
)
def test_what_no_event_could_hold_is_refused(kind: str, value: str, said: str) -> None:
    """A typing error is told at once, and does not stand on a list for ever."""
    with pytest.raises(BadEntity, match=said):
        entity_tag(kind, value, TAGGER)


@pytest.mark.parametrize(
    ("entities", "tags", "said"),
    [
        (["divice=secret-4711"], [], "Did you mean `device`"),
        (["secret-4711"], [], "KIND=ID"),
        (["ip=secret-4711"], [], "no ip"),
        (["shipping_address=secret-4711"], [], "JSON object"),
        (['shipping_address={"line1":"secret-4711"}'], [], "JSON object"),
        ([], ["device:secret-4711"], "22 characters"),
        ([], [], "name an entity"),
    ],
)
def test_what_cannot_be_looked_up_is_said_without_repeating_it(
    entities: list[str], tags: list[str], said: str
) -> None:
    """No error has the identifier in it."""
    with pytest.raises(BadEntity, match=said) as refused:
        named_tags(entities, tags, TAGGER)
    assert "4711" not in str(refused.value)
