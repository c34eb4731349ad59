"""How did a candidate do for its share? A process beside the service, see `report_child.py`.

Invariant: both groups are of one time, in which the share stayed the same.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg

from service.clock import epoch_ms
from service.evidence.groups import Decided, differences, is_share_expected, total
from service.evidence.report_child import Progress, answer
from service.evidence.rollout_report import RolloutQuestion, RolloutReport, TypeGroups
from service.evidence.shares import Share
from service.history.decisions import DecisionReader, RecordedDecision
from service.history.money import amount_of
from service.history.ordered import Span
from service.keys import open_wrapper
from service.labels.store import known_labels
from service.ledger.keys import Keyring
from service.rule_sets.errors import WrongState
from service.settings import Settings
from service.subject import SUBJECT_KINDS

# Workers follow a change of the share within a second.
SETTLE = timedelta(seconds=1)
# About two minutes of reading; 200 bytes for each subject.
MOST_DECISIONS = 500_000

_ROWS = """
SELECT revision, live, candidate, candidate_share_bp, salt, deployed_at FROM deployment
ORDER BY revision
"""
_CUT = """
SELECT observed FROM ledger_entry WHERE type = 'decision' AND observed BETWEEN $1 AND $2
ORDER BY observed DESC OFFSET $3 LIMIT 1
"""


class Period(NamedTuple):
    """A time in which a candidate decided for one share; `until` None: it still does."""

    baseline: str
    share_bp: int
    since: datetime
    until: datetime | None


async def last_period(connection: Any, version: str) -> Period:
    """Return the last time in which this version was a candidate; raise `WrongState`."""
    found: Period | None = None
    for row in await connection.fetch(_ROWS):
        is_it = row["candidate"] == version
        if found is not None and found.until is None:
            if is_it and row["candidate_share_bp"] == found.share_bp:
                continue  # only shadows changed
            found = found._replace(until=row["deployed_at"])
        if is_it:
            found = Period(row["live"], row["candidate_share_bp"], row["deployed_at"], None)
    if found is None:
        raise WrongState("This version never decided for a share: there is nothing to compare.")
    return found


class Groups:
    """Both groups by event type, and what belongs to neither."""

    def __init__(self, version: str, baseline: str) -> None:
        self._versions = {version: 0, baseline: 1}
        self.sides: tuple[dict[str, Decided], dict[str, Decided]] = ({}, {})
        self.without_subject = 0
        self.others = 0

    def add(self, decision: RecordedDecision, label: int | None) -> None:
        """Count a decision on the side of the version that made it."""
        side = self._versions.get(decision.rule_set)
        event = decision.event
        subject = next((event.tags[kind] for kind in SUBJECT_KINDS if kind in event.tags), None)
        if side is None:
            self.others += 1
        elif subject is None:
            self.without_subject += 1
        else:
            kind = str(event.fields["event.type"])
            decided = self.sides[side].setdefault(kind, Decided())
            hits = [hit.rule_id for hit in decision.hits if hit.status == "hit"]
            decided.add(subject, str(event.outcome), amount_of(event), label, hits)


async def report(
    settings: Settings, question: RolloutQuestion, progress: Progress
) -> RolloutReport:
    """Read the decisions and compare; raises `WrongState`."""
    version, now = question.version, datetime.now(UTC)
    dsn = settings.postgres.url
    asking, reading = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    try:
        period = await last_period(asking, version)
        since, until = period.since + SETTLE, min(now, period.until or now)
        cut = await asking.fetchval(_CUT, since, until, MOST_DECISIONS)
        if cut is not None:
            since = max(since, cut + SETTLE)
        ring = Keyring(open_wrapper(settings))
        reader = DecisionReader(reading, ring, settings.ledger.log_name)
        span = Span(epoch_ms(since), epoch_ms(until))
        expected = await reader.count(span)
        groups, done = Groups(version, period.baseline), 0
        async for page in reader.pages(span):
            labels = await known_labels(asking, [one.event.event_tag for one in page], now)
            for one in page:
                label = labels.get(one.event.event_tag)
                groups.add(one, None if label is None else label.label)
            done += len(page)
            progress(done, max(done, expected))
    finally:
        await asking.close()
        await reading.close()
    candidate, live = (total(side) for side in groups.sides)
    skipped = reader.skipped
    in_candidate, in_live = len(candidate.subjects), len(live.subjects)
    return RolloutReport(
        version=version,
        baseline=period.baseline,
        share_percent=period.share_bp / 100,
        since=since,
        until=until,
        is_under_way=period.until is None,
        is_cut=cut is not None,
        decisions=done,
        unreadable=skipped.erased + skipped.unreadable + skipped.expired + skipped.restricted,
        without_subject=groups.without_subject,
        others=groups.others,
        currency=settings.shop.base_currency,
        subjects=Share.counted(in_candidate, in_candidate + in_live),
        is_share_expected=is_share_expected(in_candidate, in_live, period.share_bp / 10_000),
        event_types=[
            _groups(None, candidate, live),
            *(
                _groups(kind, *(side.get(kind) or Decided() for side in groups.sides))
                for kind in sorted(groups.sides[0].keys() | groups.sides[1].keys())
            ),
        ],
    )


def _groups(kind: str | None, candidate: Decided, live: Decided) -> TypeGroups:
    return TypeGroups(
        event_type=kind,
        candidate=candidate.group(),
        live=live.group(),
        differences=differences(candidate, live),
    )


if __name__ == "__main__":
    sys.exit(answer(RolloutQuestion, report))
