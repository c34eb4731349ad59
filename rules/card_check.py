"""Can a score card reach its outcomes?

Invariant: an error is certain: no event has more points than all weights above 0 together.
"""

from __future__ import annotations

from collections.abc import Iterator

from rules.cel import Language
from rules.cel_names import position
from rules.conditions import TooMany
from rules.diagnostic import Diagnostic
from rules.logic import impossible
from rules.score_card import Card


def check_card(card: Card, language: Language) -> Iterator[Diagnostic]:
    """Yield outcomes that nothing or everything reaches, and items that never hold."""
    most = sum(item.weight for item in card.items if item.weight > 0)
    least = sum(item.weight for item in card.items if item.weight < 0)
    for reached in card.outcomes if card.is_whole else ():
        if reached.at > most:
            message = f"'{reached.outcome}' is never reached: there are {most} points at most"
            yield reached.node.diagnose("never-hits", message)
        elif reached.at <= least:
            message = f"'{reached.outcome}' is always reached: there are {least} points at least"
            yield reached.node.diagnose("always-hits", message)
    for item in card.items:
        text = item.condition.text
        if language.compile(text)[1]:
            continue  # told where the card's rules are compiled
        tree = language.tree(text)
        try:
            wrong = impossible(tree, text, language.fact_types) if tree is not None else None
        except TooMany:
            continue
        if wrong is not None:
            at, why = wrong
            message = f"the item never counts: {why}"
            yield item.condition.diagnose(position(text, at), "never-hits", message)
