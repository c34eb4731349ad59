"""How are limits given to a command, and how does one show them?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

LIMITS = ("event_types", "business_lines", "regions")

EventTypes = Annotated[
    str | None,
    typer.Option(help="Only these event types: checkout,payment", show_default=False),
]
BusinessLines = Annotated[
    str | None, typer.Option(help="Only these business lines: grocery,books", show_default=False)
]
Regions = Annotated[
    str | None, typer.Option(help="Only these regions: cn_east,cn_south", show_default=False)
]


def names_of(given: str | None) -> list[str] | None:
    """Return the names of a list with commas, None where nothing was given.

    >>> names_of("checkout, payment"), names_of(None)
    (['checkout', 'payment'], None)
    """
    if given is None:
        return None
    return [name.strip() for name in given.split(",") if name.strip()]


def limits_text(limits: Mapping[str, list[str] | None]) -> str:
    """Return limits, as an answer of the API has them, in words.

    >>> limits_text({"event_types": ["login"], "business_lines": None, "regions": ["x", "y"]})
    'event types login; regions x, y'
    """
    parts = [
        f"{name.replace('_', ' ')} {', '.join(names)}"
        for name, names in limits.items()
        if names is not None
    ]
    return "; ".join(parts) or "-"
