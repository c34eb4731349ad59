"""Which tags does an entity have that somebody names by hand?

Normalised as in an event, so that what is typed in finds what was counted. Invariant: no error
repeats the identifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from features.card_numbers import has_card_number
from features.entities import (
    ENTITY_KINDS,
    normal_address,
    normal_email,
    normal_ip,
    normal_phone,
)
from features.event import Address
from features.event_fields import Email, Id, Ip, Phone
from features.observe import pair_tag
from features.problems import did_you_mean
from features.tags import Tagger

TAG_CHARACTERS = 22


class BadEntity(Exception):
    """An entity that cannot be looked up; the text says why."""

    code = "bad_entity"


def named_tags(entities: Sequence[str], tags: Sequence[str], tagger: Tagger) -> dict[str, str]:
    """Return kind -> tag of what is named (`kind=id`, `kind:tag`), and of the pairs of them."""
    found: dict[str, str] = {}
    for text in entities:
        kind, equals, value = text.partition("=")
        if not equals or not value:
            raise BadEntity("name an entity as KIND=ID, such as device=dev-1")
        found[kind] = entity_tag(kind, value, tagger)
    for text in tags:
        kind, _, tag = text.partition(":")
        _check_kind(kind)
        if len(tag) != TAG_CHARACTERS:
            raise BadEntity(f"name a tag as KIND:TAG; a tag has {TAG_CHARACTERS} characters")
        found[kind] = tag
    if not found:
        raise BadEntity("name an entity: --entity KIND=ID or --tag KIND:TAG")
    pairs = {
        f"{one}+{other}": pair_tag((one, other), found) or ""
        for one in found
        for other in found
        if one != other
    }
    return {**found, **pairs}


def entity_tag(kind: str, value: str, tagger: Tagger) -> str:
    """Return the tag that the entity has in events; an address is JSON. Raises `BadEntity`."""
    _check_kind(kind)
    return tagger.tag(ENTITY_KINDS[kind][0], _normal(kind, value))


def _check_kind(kind: str) -> None:
    if kind not in ENTITY_KINDS:
        raise BadEntity(f"no such kind of entity.{did_you_mean(kind, ENTITY_KINDS)}")


def _normal(kind: str, value: str) -> str:
    if kind == "shipping_address":
        return _place(value)
    try:
        checked = _type_of(kind).validate_python(value)
    except ValidationError:  # its text repeats the value
        raise BadEntity(f"this is no {kind.replace('_', ' ')}") from None
    if has_card_number(checked):
        raise BadEntity("this is a card number; the shop's token of it belongs here")
    normal = {"email": normal_email, "phone": normal_phone, "ip": normal_ip}.get(kind)
    return checked if normal is None else normal(checked)


@cache
def _type_of(kind: str) -> TypeAdapter[str]:
    """Return what an event takes for such an entity."""
    types: dict[str, Any] = {"email": Email, "phone": Phone, "ip": Ip}
    return TypeAdapter(types.get(kind, Id))


def _place(value: str) -> str:
    try:
        place = normal_address(Address.model_validate(orjson.loads(value)))
    except ValueError:  # not JSON, or no address; its text repeats the value
        place = None
    if place is None:
        raise BadEntity("give an address as the JSON object that events have, with `line1`")
    return place
