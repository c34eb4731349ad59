from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

import orjson
import pytest

from features.catalog import Catalog
from features.event import Event, parse_event
from features.event_types import EVENT_TYPES
from features.money import CurrencyTable
from features.tags import Tagger, derive_tag_keys

Build = Callable[..., Event]


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return Catalog.load()


@pytest.fixture(scope="session")
def tagger() -> Tagger:
    return Tagger(derive_tag_keys(bytes(range(32))))


@pytest.fixture(scope="session")
def currencies() -> CurrencyTable:
    return CurrencyTable("CNY", {}, {"USD": Decimal("7.1"), "JPY": Decimal("0.048")})


@pytest.fixture(scope="session")
def build() -> Build:
    """Make an event from a type's example; a keyword changes a part, None drops it."""

    def make(kind: str, **parts: Any) -> Event:
        body: dict[str, Any] = deepcopy(EVENT_TYPES[kind].example)
        for name, part in parts.items():
            name = name.rstrip("_")
            if part is None:
                body.pop(name, None)
            elif isinstance(part, dict):
                body[name] = {**body.get(name, {}), **part}
            else:
                body[name] = part
        return parse_event(orjson.dumps(body))

    return make
