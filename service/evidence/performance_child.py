"""How did the rules do? A process beside the service, see `report_child.py`.

Invariant: what it counted of an hour is kept even when it is ended early, so the next one goes on
from there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from rules.errors import ContentError
from rules.files import SHIPPED, RuleSetFiles
from service.errors import Refused
from service.evidence.labelled import MOST, Labelled, labelled_decisions, labels_since
from service.evidence.performance_report import PerformanceQuestion, PerformanceReport
from service.evidence.report_child import Progress, answer
from service.evidence.rule_figures import figures_of
from service.evidence.rule_hours import (
    HOUR,
    count_hours,
    hour_of,
    keep_marks,
    read_hours,
    uncounted_hours,
)
from service.history.decisions import DecisionReader
from service.keys import open_wrapper
from service.ledger.keys import Keyring
from service.rule_sets.parts import read_rules
from service.rule_sets.store import read_files
from service.settings import Settings

# One process counts, others wait and find it counted. Any number will do, if it is always this.
LOCK = 7308604899


async def report(
    settings: Settings, question: PerformanceQuestion, progress: Progress
) -> PerformanceReport:
    """Count what is not counted yet, and compute the report."""
    now = datetime.now(UTC)
    until = hour_of(now) + HOUR
    since = hour_of(now - timedelta(days=question.days))
    recent_since = hour_of(now - timedelta(hours=question.recent_hours))
    dsn = settings.postgres.url
    counting, reading = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    try:
        ring = Keyring(open_wrapper(settings))
        reader = DecisionReader(reading, ring, settings.ledger.log_name)
        await counting.execute("SELECT pg_advisory_lock($1)", LOCK)
        uncounted = await uncounted_hours(counting, since, until, now)
        labels = await labels_since(counting, since, until, now)
        total, done = sum(uncounted.hours.values()) + len(labels), 0
        async for count in count_hours(reader, counting, uncounted):
            done += count
            progress(done, max(total, done))
        await keep_marks(counting, uncounted)
        await counting.execute("SELECT pg_advisory_unlock($1)", LOCK)
        labelled: list[Labelled] = []
        async for part in labelled_decisions(reader, labels):
            labelled += part
            progress(done + len(labelled), max(total, done + len(labelled)))
        hours = await read_hours(counting, since, until)
        sets = {version for _, tally in hours for version in tally.decisions}
        asked = await _asked(counting, {*sets, question.live}, settings)
    finally:
        await counting.close()
        await reading.close()
    return PerformanceReport(
        since=since,
        until=now,
        recent_since=recent_since,
        as_of=now,
        rule_set=question.live,
        decisions=sum(
            count
            for _, tally in hours
            for types in tally.decisions.values()
            for count in types.values()
        ),
        labelled_abusive=sum(one.is_abusive for one in labelled),
        labelled_honest=sum(not one.is_abusive for one in labelled),
        is_cut=len(labels) == MOST,
        unreadable=len(labels) - len(labelled),
        currency=settings.shop.base_currency,
        minor_units=settings.shop.units_of_minor().get(settings.shop.base_currency, 2),
        rules=figures_of(
            hours, labelled, asked, question.live, (recent_since, question.recent_hours)
        ),
    )


async def _asked(
    connection: Any, versions: Iterable[str], settings: Settings
) -> dict[str, dict[str, frozenset[str]]]:
    """Return the rules that each rule set asks, of which event types; unknown sets are left out."""
    asked = {}
    for version in versions:
        try:
            files = await read_files(connection, version)
        except Refused:
            files = RuleSetFiles.load(settings.rules_dir or SHIPPED)
            if files.version != version:
                continue
        try:
            rules = read_rules(files)
        except ContentError:
            continue
        asked[version] = {
            rule.id: frozenset(rule.event_types) for rule in rules.values() if rule.mode != "off"
        }
    return asked


if __name__ == "__main__":
    sys.exit(answer(PerformanceQuestion, report))
