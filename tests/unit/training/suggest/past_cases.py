"""Labelled checkouts in which abuse follows a rule that is known, and a file of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.fields import Value
from rules.files import SHIPPED, RuleSetFiles
from service.backtest.case import Case

START_MS = 1_780_000_000_000
HOUR_MS = 3_600_000
# What ties a case to a person; none of it may come out.
SECRET_TAG = "t4gOfAPerson"


def cases(count: int = 3_000, seed: int = 1, *, flip_later: bool = False) -> list[Case]:
    """Return checkouts, an hour apart. Abuse: three sign-ups on the device within a day and an
    order above 500.00; 2 % of all labels are wrong. With `flip_later`, it is the other way round
    in the last third.
    """
    chosen = random.Random(seed)
    found = []
    for number in range(count):
        signups, amount = chosen.choice((0, 0, 0, 1, 2, 3, 4, 6)), chosen.randrange(1_000, 120_000)
        facts: dict[str, Value] = {
            "event.type": "checkout",
            "has_device": True,
            "has_order": True,
            "has_user": True,
            "device_signups_24h": signups,
            "order.amount_base_minor": amount,
            "user_orders_30d": chosen.randrange(6),
            "device.is_emulator": chosen.random() < 0.1,
            "order.channel": chosen.choice(("normal", "flash_sale", "live")),
        }
        if chosen.random() < 0.2:
            del facts["device_signups_24h"], facts["device.is_emulator"]
            facts["has_device"] = False
            signups = 0
        is_abusive = signups >= 3 and amount > 50_000
        if flip_later and number >= count * 2 // 3:
            is_abusive = not is_abusive and chosen.random() < 0.3
        label = int(is_abusive) if chosen.random() < 0.98 else int(not is_abusive)
        at_ms = START_MS + number * HOUR_MS
        found.append(Case(f"{SECRET_TAG}{number}", "checkout", at_ms, facts, label=label))
    return found


def some_shipped(*packs: str, **more: str) -> RuleSetFiles:
    """Return the shipped rule set with only these packs, and with `more` packs."""
    texts = RuleSetFiles.load(SHIPPED).texts
    kept = {
        name: text
        for name, text in texts.items()
        if not name.startswith("packs/") or name in {f"packs/{pack}.yaml" for pack in packs}
    }
    return RuleSetFiles.of({**kept, **{f"packs/{name}.yaml": text for name, text in more.items()}})


def write_parquet(path: Path, found: Sequence[Case]) -> Path:
    """Write cases as a table of facts and labels."""
    rows = [
        {
            **one.facts,
            "observed_ms": one.observed_ms,
            "event_tag": one.name,
            "label": one.label,
        }
        for one in found
    ]
    names = sorted({name for row in rows for name in row})
    columns = {name: [row.get(name) for row in rows] for name in names}
    pq.write_table(pa.table(columns), path)
    return path
