"""Names of an expression, and only names."""

from __future__ import annotations

import pytest

from rules.cel import Language

LANGUAGE = Language({"a": "int", "b.c": "string", "event_d": "bool", "r": "bool"})


@pytest.mark.parametrize(
    ("source", "used"),
    [
        ("a > 1 && b.c == 'event_d'", {"a", "b.c"}),
        ('b . c == "a \\" event_d" // r', {"b.c"}),
        ("b.c.startsWith('''a\n''') || r", {"b.c", "r"}),
        ("r'\\' == b.c", {"b.c"}),
        ('b.c.matches(r"a\\d") && a == 0x1a', {"a", "b.c"}),
        ("known.event_d && event_d", {"known.event_d", "event_d"}),
        ("b.c.size() > 1e3 ? r : !r", {"b.c", "r"}),
        ("[1].exists(x, x == a)", {"a"}),
        ("{'a': 1}.a > 0", set()),
    ],
)
def test_facts_used(source: str, used: set[str]) -> None:
    """Texts of every kind, comments, numbers and members are no facts."""
    assert LANGUAGE.facts_used(source) == used
