"""What came of computing decisions again?

Invariant: every decision is counted once, as equal, different, or as not computed with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from service.audit.replay import concluded, decided_again, differences, recorded_of
from service.audit.replay_archive import PartMissing, ReadRules, ReplayArchive
from service.code_version import code_version

MOST_SHOWN = 20


@dataclass(slots=True)
class ReplayTally:
    """What came of the decisions.

    `different`: entry id and what differs, the first of them; `missing`: why some could not be
    computed, by reason: `erased`, `restricted`, `gone` (past its retention), `damaged`, and the
    names of parts that are not here. `other_code`: computed by other code than decided.
    """

    equal: int = 0
    differing: int = 0
    different: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    unread: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    other_code: Counter[str] = field(default_factory=Counter)
    model_failed: int = 0

    @property
    def total(self) -> int:
        """How many decisions were looked at."""
        return self.equal + self.differing + self.unread.total() + self.missing.total()

    def add(self, other: ReplayTally) -> None:
        """Take in what another part found."""
        self.equal += other.equal
        self.differing += other.differing
        self.different = (self.different + other.different)[:MOST_SHOWN]
        self.unread.update(other.unread)
        self.missing.update(other.missing)
        self.other_code.update(other.other_code)
        self.model_failed += other.model_failed


async def compare(
    archive: ReplayArchive,
    read: ReadRules,
    entry_id: str,
    versions: Mapping[str, str],
    core: Mapping[str, Any],
    subject: Mapping[str, Any],
    tally: ReplayTally,
) -> None:
    """Compute one decision again, hold it against its record, and count it.

    `read` gives rule sets. Raises what it raises besides `UnknownRuleSet` and `RuleSetRejected`.
    """
    try:
        recorded = recorded_of(core, subject)
    except KeyError:
        tally.unread["early"] += 1
        return
    try:
        ruling, catalog = await archive.ruling(read, versions.get("rule_set", ""))
        scorer = archive.scorer(versions.get("bundle"))
    except PartMissing as missing:
        tally.missing[str(missing)] += 1
        return
    just_seen = recorded.just_seen
    if just_seen is None:
        just_seen = concluded(recorded, catalog.plan(recorded.answer["type"]).novelty)
    different = differences(recorded.answer, decided_again(recorded, ruling, scorer, just_seen))
    if different:
        tally.differing += 1
        tally.different = [*tally.different, (entry_id, different)][:MOST_SHOWN]
    else:
        tally.equal += 1
    if versions.get("code") != _code():
        tally.other_code[versions.get("code", "")] += 1
    if scorer is not None and recorded.answer["score"] is None:
        tally.model_failed += 1


@cache
def _code() -> str:
    return code_version()
