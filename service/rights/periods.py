"""How long is each block of an entry kept?

Invariant: the answer depends on the entry's header alone, so who verifies or exports can tell what
was deleted in time from what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.settings import Settings

# Types of entries whose staff block is kept longer: permissions, exports, changes of what decides,
# rights of persons, and what was done to the record itself. All others: looking, logging in.
LONG_TYPES = (
    "action.", "backtests.", "backup.", "export.", "keys.", "labels.", "ledger.", "lists.",
    "people.", "retention.", "roles.", "rules.", "signer.", "subject.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Periods:
    """Days that blocks are kept."""

    subject_days: int
    core_days: int
    staff_days: int
    staff_long_days: int

    @classmethod
    def of(cls, settings: Settings) -> Periods:
        kept = settings.retention
        return cls(kept.subject_days, kept.core_days, kept.staff_days, kept.staff_long_days)

    def days(self, block: str, entry_type: str) -> int:
        """Return how many days a block (core, subject, staff) of an entry of this type is kept.

        >>> [Periods(180, 1095, 365, 900).days("staff", kind) for kind in ("login", "rules.push")]
        [365, 900]
        """
        if block == "staff":
            is_long = entry_type.startswith(LONG_TYPES)
            return self.staff_long_days if is_long else self.staff_days
        return self.subject_days if block == "subject" else self.core_days

    def is_past(self, block: str, entry_type: str, at: datetime, now: datetime) -> bool:
        """Say whether a block of an entry of the (aware) time `at` may be gone at `now`."""
        return at < now - timedelta(days=self.days(block, entry_type))

    def cutoffs(self, now: datetime) -> Mapping[str, datetime]:
        """Return before which time each of subject, core, staff and staff_long is deleted."""
        return {
            name: now - timedelta(days=getattr(self, f"{name}_days"))
            for name in ("subject", "core", "staff", "staff_long")
        }

    def longest(self, block: str) -> int:
        """Return the days after which no entry has this block any more."""
        if block == "staff":
            return max(self.staff_days, self.staff_long_days)
        return self.subject_days if block == "subject" else self.core_days
