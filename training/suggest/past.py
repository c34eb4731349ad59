"""Which labelled events is there to learn from, and which rules were live?

From a table of facts and labels, or from the recorded decisions and the labels of this service.
Invariant: an event without a label is never taken for an honest one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from features.catalog import DEFAULT_PATH, Catalog
from rules.files import RuleSetFiles
from service.backtest.case import ABUSE, HONEST, Case
from service.backtest.facts_file import LABEL, FactsFile
from service.cli.api_client import ApiClient
from service.cli.rule_files import files_at
from service.cli.stores import Stores, with_stores
from service.evidence.labelled import labels_since
from service.history.decisions import DecisionReader, RecordedDecision
from service.history.money import amount_of
from service.rule_sets.checked import catalog_of
from service.rule_sets.store import deployed, read_files
from service.settings import Settings
from service.turns import in_parts

Progress = Callable[[int], None]
# Takes cases, some at a time.
Take = Callable[[Iterable[Case]], None]


class NothingToLearn(Exception):
    """There are too few labelled events; the text says of what."""

    code = "nothing_to_learn"


@dataclass(frozen=True, slots=True)
class Rules:
    """A rule set and the catalog that it is evaluated with."""

    files: RuleSetFiles
    catalog: Catalog


@dataclass(frozen=True, slots=True)
class Past:
    """Where to read: a file, else the ledger between two times. `target`: which rule set."""

    settings: Settings
    file: Path | None
    since: datetime | None
    until: datetime | None
    target: str | None
    client: Callable[[], ApiClient]

    def read(self, taker: Callable[[Rules], Take], progress: Progress) -> Rules:
        """Give all labelled events to what `taker` makes of the rules; return the rules.

        Raises `NothingToLearn`, `DataUnusable`, what `files_at` and `with_stores` raise.
        """
        base = Catalog.load(self.settings.catalog or DEFAULT_PATH)
        if self.file is None:
            return with_stores(
                self.settings, lambda stores: self._recorded(stores, taker, progress)
            )
        found = files_at(self.target, self.settings, self.client)
        rules = Rules(found, catalog_of(base, found))
        _from_file(self.file, rules, taker(rules), progress)
        return rules

    async def _recorded(
        self, stores: Stores, taker: Callable[[Rules], Take], progress: Progress
    ) -> Rules:
        base = Catalog.load(self.settings.catalog or DEFAULT_PATH)
        if self.target is None:
            live = (await deployed(stores.database)).live
            found = await read_files(stores.database, live)
        else:
            found = files_at(self.target, self.settings, self.client)
        rules = Rules(found, catalog_of(base, found))
        take = taker(rules)
        now = datetime.now(UTC)
        since = self.since or datetime(1970, 1, 1, tzinfo=UTC)
        labels = await labels_since(stores.database, since, self.until or now, now)
        if not labels:
            raise NothingToLearn(
                "no event of this time has a label: see `touchstone labels import`"
            )
        reader = DecisionReader(stores.database, stores.ring, self.settings.ledger.log_name)
        done = 0
        for tags in in_parts(list(labels)):
            decisions = await reader.of_events(tags)
            take(_case(one, is_abusive=labels[one.event.event_tag]) for one in decisions)
            done += len(tags)
            progress(done)
        return rules


def _from_file(path: Path, rules: Rules, take: Take, progress: Progress) -> None:
    fact_types = rules.catalog.fact_types
    table = FactsFile(path, fact_types, list(fact_types))
    labelled = done = 0
    for cases in table.cases(range(table.row_groups)):
        known = [case for case in cases if case.label is not None]
        take(known)
        labelled += len(known)
        done += len(cases)
        progress(done)
    if not labelled:
        raise NothingToLearn(
            f"{path} has no event with a `{LABEL}`: "
            "`touchstone features compute --facts --labels` writes them"
        )


def _case(decision: RecordedDecision, *, is_abusive: bool) -> Case:
    event = decision.event
    return Case(
        name=decision.entry_id.hex(),
        event_type=str(event.fields["event.type"]),
        observed_ms=event.observed_ms,
        facts=event.facts,
        score=decision.score,
        gaps=decision.gaps,
        amount=amount_of(event),
        label=ABUSE if is_abusive else HONEST,
        recorded=decision,
    )
