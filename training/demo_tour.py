"""What is tried first? The commands of analysts and of compliance, ready to be pasted."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

ANALYSTS, COMPLIANCE = ("ana", "bo"), ("cy", "di")


def tour(people: Mapping[str, str], var: Path) -> str:
    """Return the text: keys of the demo's people, and what those who are there may do."""
    if not people:
        return ""
    lines = [
        "",
        "What matters takes two people, so the demo has some:",
        "",
        *(f"{person.upper()}={key}" for person, key in people.items()),
        f"export TOUCHSTONE_VAR={shlex.quote(str(var))}",
        "",
    ]
    touchstone = f"{Path(sys.argv[0])}"
    if people.keys() >= set(ANALYSTS):
        lines += _rules(touchstone)
    if people.keys() >= set(COMPLIANCE):
        lines += _record(touchstone)
    return "\n".join(lines)


def _rules(touchstone: str) -> list[str]:
    return [
        "# what the rules did here, judged by what the events were",
        f"{touchstone} rules performance --key $ANA",
        "# ana changes a number and sees what it would have done",
        f"{touchstone} rules set coupon-many-in-a-day max_redemptions_24h 4 --key $ANA",
        f"{touchstone} rules backtest latest --key $ANA",
        f"{touchstone} rules submit latest --key $ANA",
        "# bo approves, ana puts it live, anybody of them takes it back in a second",
        f"{touchstone} rules approve latest --yes --key $BO",
        f"{touchstone} rules activate latest --key $ANA",
        f"{touchstone} rules rollback --key $ANA",
        "",
    ]


def _record(touchstone: str) -> list[str]:
    return [
        "# the record: every decision above, and everything these people did",
        f"{touchstone} ledger status",
        f"{touchstone} ledger checkpoint --out checkpoint.txt",
        "# cy asks for it, di approves; the file and the public key are enough to prove it offline",
        f'{touchstone} ledger export request --purpose "first look" --key $CY',
        f"{touchstone} ledger export approve latest --key $DI",
        f"{touchstone} ledger export fetch latest --out record.tar --key $CY",
        "tar xf record.tar verify.py",
        f'VKEY="$({touchstone} ledger checkpoint --key)"',
        f'{sys.executable} verify.py record.tar --key "$VKEY" --since checkpoint.txt',
        "",
    ]
