"""What an author reads when rules are wrong, to the last character.

Regenerate with REGENERATE_GOLDEN=1, and read the difference before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rules.check import check_files
from rules.diagnostic import render
from rules.files import RuleSetFiles

HERE = Path(__file__).parent
FACT_TYPES = {
    "has_user": "bool",
    "event.type": "string",
    "event.business_line": "string",
    "event.region": "string",
    "order.channel": "string",
    "user_orders_7d": "int",
    "user_share_7d": "double",
}
AVAILABLE = {
    "checkout": set(FACT_TYPES),
    "signup": {"has_user", "event.type"},
}


@pytest.mark.parametrize("case", ["bad", "logic", "parameters", "tables"])
def test_every_problem_of_a_rule_set_at_once(case: str) -> None:
    """All problems of packs, tables, reasons and policy come in one answer, each in its place."""
    found = check_files(
        RuleSetFiles.load(HERE / case),
        FACT_TYPES,
        event_types=("signup", "login", "checkout", "payment"),
        available=AVAILABLE if case == "bad" else None,
        entity_kinds=("user", "device"),
        lists=("vip",),
    )
    golden = HERE / case / "expected.txt"
    text = render(found)
    if os.environ.get("REGENERATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
