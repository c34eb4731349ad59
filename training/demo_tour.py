"""What does an analyst try first? The commands from an idea to a live rule, ready to be pasted."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path


def rules_tour(people: Mapping[str, str], var: Path) -> str:
    """Return the text: keys of the two people, and what each of them does."""
    touchstone = f"{Path(sys.argv[0])}"
    lines = [
        "",
        "Change a rule. Two people are needed, so the demo has two:",
        "",
        *(f"{person.upper()}={key}" for person, key in people.items()),
        f"export TOUCHSTONE_VAR={var}",
        "",
        "# what the rules did here, judged by what the events were",
        f"{touchstone} rules performance --key $ANA",
        "# ana changes a number and sees what it would have done",
        f"{touchstone} rules set coupon-many-in-a-day max_redemptions_24h 4 --key $ANA",
        f"{touchstone} rules backtest latest --key $ANA",
        f"{touchstone} rules submit latest --key $ANA",
        "# bo approves, ana puts it live, anybody of them takes it back in a second",
        f"{touchstone} rules approve latest --key $BO",
        f"{touchstone} rules activate latest --key $ANA",
        f"{touchstone} rules rollback --key $ANA",
        "",
    ]
    return "\n".join(lines)
