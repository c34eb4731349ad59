"""How does a backtest read in a browser? One HTML page with everything in it.

Invariant: no scripts and nothing from elsewhere; whatever comes from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.backtest.page_details import Details
from service.backtest.page_overview import Overview
from service.backtest.page_parts import document
from service.backtest.words import Language, word


def page(result: Mapping[str, Any], language: Language = "en") -> str:
    """Return the report of a result as one HTML document."""
    first, then = Overview(result, language), Details(result, language)
    versions = [result[side]["version"][:12] for side in ("candidate", "baseline")]
    title = f"{word('title', language)} {versions[0]} {word('against', language)} {versions[1]}"
    parts = [
        first.head(title),
        first.notes(),
        first.summary(),
        first.outcomes(),
        first.transitions(),
        first.quality(),
        first.over_time(),
        then.rules(),
        then.segments(),
        then.examples(),
    ]
    return document(title, language, "".join(parts))
