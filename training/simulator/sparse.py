"""What do callers leave out? Not every shop, channel or till knows device, network and address.

Invariant: who says less is as often honest as abusive, so that a model cannot take a missing part
for a sign of either; without this it did (6 % of the real returns of `online-retail`, which name no
device and no network, were stopped by the model alone).
"""

from __future__ import annotations

from random import Random

from training.labelled import Json

# Of the sessions, honest and abusive alike.
SHARE = 0.25
_LEFT_OUT = {
    "user": ("email", "phone", "created_at"),
    "order": ("items", "shipping_address"),
    "return": ("item_value_minor", "items", "quantity", "ordered_quantity"),
}
_PARTS = ("device", "network")


class Caller:
    """What the caller of one session says of its events: everything, or less."""

    def __init__(self, seed: str) -> None:
        rng = Random(seed)
        self._silent: set[tuple[str, str | None]] = set()
        if rng.random() < SHARE:
            places = [(part, None) for part in _PARTS]
            fields = [(part, name) for part, names in _LEFT_OUT.items() for name in names]
            self._silent = {place for place in (*places, *fields) if rng.random() < 0.6}

    def says(self, parts: Json) -> Json:
        """Return the parts of an event without what this caller never says; shares the rest."""
        if not self._silent:
            return parts
        said: Json = {}
        for part, value in parts.items():
            if (part, None) in self._silent:
                continue
            names = {name for silent, name in self._silent if silent == part}
            said[part] = (
                {name: one for name, one in value.items() if name not in names} if names else value
            )
        return said
