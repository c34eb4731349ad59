"""Whose profiles does Feast keep? Entities are known by their keyed tag only, never by an id."""

from __future__ import annotations

from feast import Entity
from feast.value_type import ValueType

user = Entity(
    name="user",
    join_keys=["user"],
    value_type=ValueType.STRING,
    description="A customer of the shop, as a keyed tag",
)
device = Entity(
    name="device",
    join_keys=["device"],
    value_type=ValueType.STRING,
    description="A device, as a keyed tag",
)
ENTITIES = {entity.name: entity for entity in (user, device)}
