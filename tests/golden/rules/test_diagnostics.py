"""What an author reads when rules are wrong, to the last character.

Regenerate with REGENERATE_GOLDEN=1, and read the difference before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path

from rules.check import check_rules, render

HERE = Path(__file__).parent
FACT_TYPES = {
    "has_user": "bool",
    "event.type": "string",
    "order.channel": "string",
    "user_orders_7d": "int",
    "user_share_7d": "double",
}
AVAILABLE = {
    "checkout": set(FACT_TYPES),
    "signup": {"has_user", "event.type"},
}


def test_every_problem_of_a_bad_directory_at_once() -> None:
    """All problems of packs, reasons and policy come in one answer, each with place and caret."""
    found = check_rules(
        HERE / "bad" / "packs",
        FACT_TYPES,
        event_types=("signup", "login", "checkout", "payment"),
        reasons=HERE / "bad" / "reasons.yaml",
        policy=HERE / "bad" / "policy.yaml",
        available=AVAILABLE,
    )
    golden = HERE / "bad" / "expected.txt"
    text = render(found)
    if os.environ.get("REGENERATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
