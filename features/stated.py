"""What does a function of the event get, and what does it give?

Invariant: plain frozen values; whatever a function may look at is in here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from features.event import Event
from features.fields import Value
from features.geo import GeoTable
from features.money import CurrencyTable


class Stated(NamedTuple):
    """One event with its fields (`features.fields.fields_of`) and the tables that it is read with.

    - `currencies`: behind its amounts; `geo`: behind its addresses, None without any.
    """

    event: Event
    fields: Mapping[str, Value]
    currencies: CurrencyTable
    geo: GeoTable | None = None


Function = Callable[[Stated], Value | None]


class EventFunction(NamedTuple):
    """A function of the event and the type of what it gives: int, double, bool or string.

    `is_of_trade`: it knows nothing of an event without a merchant, a listing and a settlement, and
    is not asked about those.
    """

    type: str
    function: Function
    is_of_trade: bool = False
