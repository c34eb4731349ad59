"""Which lists does a rule ask about?

`in_list("stolen_devices", "device")` in CEL is the fact `list.stolen_devices.device`: the service
looks the entity up before the rules run, and the record keeps what it found.
"""

from __future__ import annotations

from typing import NamedTuple


class Listed(NamedTuple):
    """A list and the kind of entity that is looked up in it."""

    list: str
    kind: str

    @property
    def fact(self) -> str:
        """The bool fact that says whether the event's entity is on the list.

        >>> Listed("stolen_devices", "device").fact
        'list.stolen_devices.device'
        """
        return f"list.{self.list}.{self.kind}"
