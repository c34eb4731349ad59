"""How is a running service put together?

The one door: the app, the command line, the tests and later the backtest build through it. Nothing
else creates stores, keys, models or clocks. Whatever was opened is closed again, in reverse order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import asyncpg

from features.catalog import DEFAULT_PATH, Catalog
from features.collector.tokens import TokenKey
from features.geo import GeoTable
from features.money import CurrencyTable
from features.profiles.store import ProfileStore
from features.tags import Tagger, derive_tag_keys
from features.velocity.connect import Connection, connect
from features.velocity.valkey_store import ValkeyVelocityStore
from features.warm import warm
from rules.files import SHIPPED, RuleSetFiles
from service.access import ApiKeys
from service.actions import Actions
from service.audit.blind_index import BlindIndex
from service.audit.exports.runner import Exports
from service.backtest.runner import BacktestRunner
from service.brain import Brain, Parts
from service.bundle import current_bundle
from service.changes import Changes
from service.claims import ValkeyClaims
from service.clock import Clock, EventClock, SystemClock
from service.code_version import code_version
from service.completeness import Completeness
from service.decider import Decider
from service.devices import Devices, ValkeyNonces
from service.evidence.performance_report import PerformanceReport
from service.evidence.rollout_report import RolloutReport
from service.gate import Gate
from service.guards import check_secrets, writer_check
from service.idempotency import Once
from service.keys import open_wrapper
from service.keys.following import CHANNEL as KEYS_CHANGED
from service.keys.following import KeysFollower
from service.know import Knowledge
from service.ledger.keys import Keyring
from service.ledger.reader import LedgerReader
from service.ledger.writer import LedgerWriter, WriterSettings
from service.lists.membership import CHANNEL as LISTS_CHANGED
from service.lists.membership import Lists
from service.live.cache import DeployedCache
from service.live.deployed import CHANNEL as RULES_CHANGED
from service.live.deployed import Deployed
from service.logins import Logins
from service.metrics import Metrics
from service.rate import Rate
from service.record_watch import RecordWatch
from service.recorded import LedgerRecord
from service.rights.daily import DailyRetention
from service.rights.finishing import CHANNEL as RIGHTS_CHANGED
from service.rights.finishing import Rights
from service.rights.journal import FILE_NAME as JOURNAL_NAME
from service.rights.journal import Digests, JournalFile
from service.rights.parts import RightsParts
from service.rights.traces import TraceEraser
from service.rule_sets.examiner import Examiner
from service.rule_sets.stopping import STOPS_DUE, Lapses
from service.runtime import Performance, Rollouts, Runtime
from service.scorer import Scorer
from service.secrets_files import SecretKeys, read_keys
from service.settings import Settings
from service.shadow.queue import ShadowQueue

# Reads of first answers and decisions; commits have connections of their own.
POOL_CONNECTIONS = 4
# A start waits this long for the lists; decisions that come before they were read do not know them.
LISTS_SECONDS = 2.0
# Reports stay as they are for so long: of months, and of a rollout that people look at.
PERFORMANCE_SECONDS, ROLLOUT_SECONDS = 60.0, 10.0


def load_parts(settings: Settings, keys: SecretKeys) -> Parts:
    """Load everything that decides besides the rule sets: catalog, tables and the live bundle.

    Raises the errors of each part, which say what is wrong and where. Without a bundle there is
    no scorer, and every decision names `model` in `degraded`.
    """
    catalog = Catalog.load(settings.catalog or DEFAULT_PATH)
    bundle = current_bundle(settings.var)
    scorer = None if bundle is None else Scorer.load(bundle, catalog)
    return Parts(
        catalog=catalog,
        tagger=Tagger(derive_tag_keys(keys.tag)),
        currencies=CurrencyTable(
            settings.shop.base_currency,
            settings.shop.units_of_minor(),
            settings.shop.rates_to_base(),
        ),
        scorer=scorer,
        geo=GeoTable.open(**settings.geo_paths()),
        code=code_version(),
    )


def _profiles(settings: Settings, catalog: Catalog, valkey: Connection) -> ProfileStore | None:
    """Return where decisions read profiles, None where there are none to read."""
    if not (catalog.profiles and settings.has_profiles):
        return None
    from service.feast_import import import_feast

    import_feast()  # some seconds and 130 MB: only those pay who use it
    from features.profiles.feast_store import FeastProfileStore

    max_age_seconds = settings.profiles.max_age_hours * 3600
    return FeastProfileStore(valkey, catalog.profiles, max_age_seconds)


@asynccontextmanager
async def _rights(
    settings: Settings, changes: Changes, parts: RightsParts
) -> AsyncIterator[Rights]:
    """Follow erasures, and delete what is past its time, until the block ends."""
    rights = Rights(parts)
    changes.follow(RIGHTS_CHANGED, rights.refresh)
    async with DailyRetention(settings, parts.actions):
        yield rights


@asynccontextmanager
async def bootstrap(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Runtime]:
    """Build a service on the servers that `settings` name, and take it apart when the block ends.

    Both URLs must be set (`touchstone serve` sets those of the embedded servers). `clock` replaces
    the clock that the settings choose.
    """
    dsn, valkey_url = settings.postgres.url, settings.valkey.url
    assert dsn is not None
    assert valkey_url is not None
    check_secrets(settings)
    keys = read_keys(settings)
    budget_seconds = settings.http.budget_ms / 1000
    velocity_seconds = min(settings.valkey.budget_ms, settings.http.budget_ms / 2) / 1000
    parts = load_parts(settings, keys)
    warm(datetime.now(UTC).year)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            asyncpg.create_pool(dsn, min_size=0, max_size=POOL_CONNECTIONS)
        )
        held = open_wrapper(settings)
        ring = Keyring(held)
        ledger = await LedgerWriter.start(
            WriterSettings(
                dsn=dsn,
                log=settings.ledger.log_name,
                spool_dir=settings.var / "spool",
                spool_max_bytes=settings.ledger.spool_max_bytes,
                check=writer_check(settings),
            ),
            ring,
        )
        stack.push_async_callback(ledger.close)
        actions = Actions(dsn, ledger)
        deployed = Deployed(
            parts,
            RuleSetFiles.load(settings.rules_dir or SHIPPED),
            DeployedCache(settings.var),
            actions,
        )
        brain = await deployed.start(dsn)
        valkey = connect(valkey_url)
        stack.push_async_callback(valkey.close)
        completeness = await stack.enter_async_context(Completeness(valkey, brain.catalog, pool))
        api_keys = await stack.enter_async_context(ApiKeys(dsn, keys.tag, Logins(ledger)))
        record = LedgerRecord(
            LedgerReader(
                pool, ring, settings.ledger.log_name, writer=ledger, timeout_s=budget_seconds / 3
            )
        )
        token_key = TokenKey(keys.tag)
        lists = Lists()
        shadow = await stack.enter_async_context(ShadowQueue(brain, dsn, lists, metrics))
        once = Once(ValkeyClaims(valkey, velocity_seconds), record)
        decider = Decider(
            brain=brain,
            knowledge=Knowledge(
                ValkeyVelocityStore(valkey),
                velocity_seconds,
                completeness,
                profiles=_profiles(settings, brain.catalog, valkey),
                profile_seconds=min(settings.profiles.budget_ms, settings.http.budget_ms / 2)
                / 1000,
            ),
            devices=Devices(token_key, ValkeyNonces(valkey, velocity_seconds / 2)),
            ledger=ledger,
            once=once,
            clock=clock or (EventClock() if settings.clock == "event" else SystemClock()),
            budget_seconds=budget_seconds,
            metrics=metrics,
            lists=lists,
            shadow=shadow,
            index=BlindIndex(keys.tag),
        )

        def use(brain: Brain) -> None:
            completeness.declare(brain.catalog)
            decider.use(brain)
            shadow.use(brain)

        deployed.use_with(use)
        await stack.enter_async_context(deployed)
        changes = Changes(dsn)
        changes.follow(RULES_CHANGED, deployed.refresh)
        changes.follow(KEYS_CHANGED, KeysFollower(ledger, ring, held).refresh)
        await stack.enter_async_context(changes)
        changes.follow(STOPS_DUE, Lapses(actions).refresh)
        changes.follow(LISTS_CHANGED, lists.refresh)
        rights = await stack.enter_async_context(
            _rights(
                settings,
                changes,
                RightsParts(
                    ring=ring,
                    log_name=settings.ledger.log_name,
                    once=once,
                    actions=actions,
                    traces=TraceEraser(valkey),
                    terms=BlindIndex(keys.tag),
                    digests=Digests(keys.tag),
                    file=JournalFile(settings.var / JOURNAL_NAME),
                    catalog=lambda: decider.brain.catalog,
                ),
            )
        )
        await lists.first_read(LISTS_SECONDS)
        await stack.enter_async_context(BacktestRunner(settings, actions, changes))
        exports = await stack.enter_async_context(Exports(settings, actions, changes, held))
        performance = await stack.enter_async_context(
            Performance(
                settings,
                "service.evidence.performance_child",
                PerformanceReport,
                PERFORMANCE_SECONDS,
            )
        )
        rollouts = await stack.enter_async_context(
            Rollouts(settings, "service.evidence.rollout_child", RolloutReport, ROLLOUT_SECONDS)
        )
        record_watch = await stack.enter_async_context(RecordWatch(pool, metrics))
        yield Runtime(
            settings=settings,
            changes=changes,
            actions=actions,
            examiner=Examiner(parts.catalog, settings.catalog or DEFAULT_PATH, parts.code),
            deployed=deployed,
            shadow=shadow,
            decider=decider,
            api_keys=api_keys,
            record=record,
            ledger=ledger,
            lists=lists,
            performance=performance,
            exports=exports,
            rollouts=rollouts,
            valkey=valkey,
            completeness=completeness,
            gate=Gate(settings.http.max_in_flight),
            token_key=token_key,
            token_rate=Rate(settings.collector.tokens_per_second),
            metrics=metrics,
            record_watch=record_watch,
            rights=rights,
        )
