"""How is one part of a backtest carried out? Case after case, by one process.

Invariant: every case of the part is decided once by both sides, and counted once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from features.geo import GeoTable
from features.money import CurrencyTable
from features.tags import Tagger, derive_tag_keys
from service.backtest.case import Case
from service.backtest.compared import Verdict
from service.backtest.facts_file import FactsFile
from service.backtest.fresh_series import FreshSeries
from service.backtest.order import EventsFile, FactsTable, Order, Recorded
from service.backtest.raw_events import RawEvents
from service.backtest.recorded_cases import RecordedCases
from service.backtest.sides import Sides, load_sides
from service.backtest.tally import Tally
from service.bundle import current_bundle
from service.history.ordered import OrderedEntries, Span
from service.keys import open_wrapper
from service.ledger.keys import Keyring
from service.lists.history import ListsAt
from service.rule_sets.store import stops
from service.scorer import Scorer
from service.secrets_files import read_keys

Report = Callable[[int], None]
Look = Callable[[Case, Verdict], None]
_STOPPED = "stopped"


@dataclass(slots=True)
class PartResult:
    """What a part found.

    `unknown_facts`: those that rules ask for and the data do not have. `stopped`: rules that an
    emergency stop takes the effect from at the moment; a backtest lets them have it.
    """

    tally: Tally
    skipped: Counter[str] = field(default_factory=Counter)
    unknown_facts: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()


def work(order: Order, report: Report, look: Look | None = None) -> PartResult:
    """Carry out one part; `report` is told how many more entries are read, `look` every verdict.

    Raises `BacktestError`, `CatalogError`, `WrongKek`, key file errors and what asyncpg raises.
    """
    sides = load_sides(order)
    result = PartResult(Tally(order.segments))

    def decide(case: Case) -> Verdict:
        verdict = sides.compared.decide(
            case.event_type, case.facts, case.score, case.gaps, case.observed_ms
        )
        result.tally.add(case, verdict)
        if look is not None:
            look(case, verdict)
        return verdict

    if isinstance(order.source, FactsTable):
        _of_facts(order, order.source, sides, decide, result, report)
    elif isinstance(order.source, EventsFile):
        _of_events(order, order.source, sides, decide, report)
    else:
        asyncio.run(_of_ledger(order, order.source, sides, decide, result, report))
    result.tally.fold()
    return result


def _of_facts(
    order: Order,
    source: FactsTable,
    sides: Sides,
    decide: Callable[[Case], Verdict],
    result: PartResult,
    report: Report,
) -> None:
    wanted = tuple(dict.fromkeys((*sides.facts_used, *order.segments)))
    file = FactsFile(source.path, sides.extended.fact_types, wanted)
    asked = set(sides.facts_used)
    result.unknown_facts = tuple(name for name in file.unknown if name in asked)
    groups = range(file.row_groups) if source.row_groups is None else source.row_groups
    for cases in file.cases(list(groups)):
        for case in cases:
            decide(case)
        report(len(cases))


def _of_events(
    order: Order,
    source: EventsFile,
    sides: Sides,
    decide: Callable[[Case], Verdict],
    report: Report,
) -> None:
    settings = order.settings
    bundle = current_bundle(settings.var)
    shop = settings.shop
    events = RawEvents(
        source.path,
        sides.extended,
        CurrencyTable(shop.base_currency, shop.units_of_minor(), shop.rates_to_base()),
        None if bundle is None else Scorer.load(bundle, sides.extended),
        GeoTable.open(**settings.geo_paths()),
    )
    for case in events.cases():
        verdict = decide(case)
        events.decided(verdict.baseline.decision.outcome.value)
        report(1)


async def _of_ledger(
    order: Order,
    source: Recorded,
    sides: Sides,
    decide: Callable[[Case], Verdict],
    result: PartResult,
    report: Report,
) -> None:
    import asyncpg

    settings = order.settings
    keys = read_keys(settings)
    ring = Keyring(open_wrapper(settings))
    fresh = None
    if sides.fresh:
        fresh = FreshSeries(sides.known, sides.extended, Tagger(derive_tag_keys(keys.tag)))
    reading = await asyncpg.connect(settings.postgres.url)
    beside = await asyncpg.connect(settings.postgres.url)
    try:
        cases = RecordedCases(
            OrderedEntries(reading, ring, settings.ledger.log_name),
            beside,
            source.labels_as_of,
            fresh=fresh,
            listed=sides.compared.listed,
            lists=await ListsAt.load(beside, sides.compared.listed),
        )
        now = datetime.now(UTC)
        result.stopped = tuple(
            sorted({stop.rule_id for stop in await stops(beside) if stop.is_effective(now)})
        )
        baseline = sides.baseline.version
        async for read, found in cases.cases(Span(source.since_ms, source.until_ms)):
            for case in found:
                verdict = decide(case)
                _compare(case, verdict, baseline, result.tally)
            report(read)
        skipped = cases.skipped
        result.skipped.update(
            erased=skipped.erased,
            superseded=skipped.superseded,
            unreadable=skipped.unreadable,
            expired=skipped.expired,
            restricted=skipped.restricted,
        )
    finally:
        await reading.close(timeout=5)
        await beside.close(timeout=5)


def _compare(case: Case, verdict: Verdict, baseline: str, tally: Tally) -> None:
    """Hold what the baseline says against what it said then, where it decided then."""
    recorded = case.recorded
    if recorded is None or recorded.rule_set != baseline:
        return
    if any(hit.mode == _STOPPED for hit in recorded.hits):
        return
    decision = verdict.baseline.decision
    hits = [(hit.rule_id, hit.status.value, hit.outcome.value, hit.mode) for hit in decision.hits]
    tally.note_replay(
        is_equal=recorded.event.outcome == decision.outcome.value
        and sorted(recorded.hits) == sorted(hits)
        and recorded.degraded == decision.degraded
    )
