"""Which tags does an entity have that somebody names by hand?

Normalised as in an event, so that what is typed in finds what was counted. Invariant: no error
repeats the identifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import orjson

from features.entities import (
    ENTITY_KINDS,
    normal_address,
    normal_email,
    normal_ip,
    normal_phone,
)
from features.event import Address
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
        _check_kind(kind)
        found[kind] = tagger.tag(ENTITY_KINDS[kind][0], _normal(kind, value))
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


def _check_kind(kind: str) -> None:
    if kind not in ENTITY_KINDS:
        raise BadEntity(f"no such kind of entity.{did_you_mean(kind, ENTITY_KINDS)}")


def _normal(kind: str, value: str) -> str:
    try:
        if kind == "email":
            return normal_email(value)
        if kind == "phone":
            return normal_phone(value)
        if kind == "ip":
            return normal_ip(str(ip_address(value)))
        if kind == "shipping_address":
            return _place(value)
    except ValueError:  # its text repeats the value
        raise BadEntity(f"this is no {kind.replace('_', ' ')}") from None
    return value


def _place(value: str) -> str:
    try:
        place = normal_address(Address.model_validate(orjson.loads(value)))
    except ValueError:  # not JSON, or no address; its text repeats the value
        place = None
    if place is None:
        raise BadEntity("give an address as the JSON object that events have, with `line1`")
    return place
