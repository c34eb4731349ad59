"""How is a running service put together?

The one door: the app, the command line, the tests and later the backtest build through it. Nothing
else creates stores, keys, models or clocks. Whatever was opened is closed again, in reverse order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

import rules
from features.catalog import DEFAULT_PATH, Catalog
from features.collector.tokens import TokenKey
from features.geo import GeoTable
from features.money import CurrencyTable
from features.profiles.store import ProfileStore
from features.tags import Tagger, derive_tag_keys
from features.velocity.connect import Connection, connect
from features.velocity.valkey_store import ValkeyVelocityStore
from features.warm import warm
from rules.engine import Engine
from rules.policy import Policy
from rules.reasons import Reasons
from rules.ruleset import RuleSet
from service.access import ApiKeys
from service.bundle import current_bundle
from service.claims import ValkeyClaims
from service.clock import Clock, EventClock, SystemClock
from service.code_version import code_version
from service.completeness import Completeness
from service.decider import Brain, Decider
from service.devices import Devices, ValkeyNonces
from service.gate import Gate
from service.idempotency import Once
from service.know import Knowledge
from service.ledger.keys import FileKek, Keyring
from service.ledger.reader import LedgerReader
from service.ledger.writer import LedgerWriter, WriterSettings
from service.metrics import Metrics
from service.rate import Rate
from service.recorded import LedgerRecord
from service.runtime import Runtime
from service.scorer import Scorer
from service.secrets_files import SecretKeys, read_keys
from service.settings import Settings

# Reads of first answers and decisions; commits have connections of their own.
POOL_CONNECTIONS = 4

_RULES = Path(rules.__file__).parent


def load_brain(settings: Settings, keys: SecretKeys) -> Brain:
    """Load everything that decides: catalog, rules, policy, reasons and the live bundle.

    Raises the errors of each part, which say what is wrong and where. Without a bundle the brain
    has no scorer, and every decision names `model` in `degraded`.
    """
    catalog = Catalog.load(settings.catalog or DEFAULT_PATH)
    ruleset = RuleSet.load(settings.rules_dir or _RULES / "packs")
    policy = Policy.load(settings.policy or _RULES / "policy.yaml")
    bundle = current_bundle(settings.var)
    scorer = None if bundle is None else Scorer.load(bundle, catalog)
    return Brain(
        catalog=catalog,
        tagger=Tagger(derive_tag_keys(keys.tag)),
        currencies=CurrencyTable(
            settings.shop.base_currency,
            settings.shop.units_of_minor(),
            settings.shop.rates_to_base(),
        ),
        engine=Engine(ruleset, catalog.fact_types),
        policy=policy,
        reasons=Reasons.load(_RULES / "reasons.yaml"),
        scorer=scorer,
        geo=GeoTable.open(**settings.geo_paths()),
        versions={
            "rule_set": ruleset.version,
            "bundle": None if scorer is None else scorer.version,
            "catalog": catalog.version,
            "policy": policy.version,
            "code": code_version(),
        },
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
async def bootstrap(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Runtime]:
    """Build a service on the servers that `settings` name, and take it apart when the block ends.

    Both URLs must be set (`touchstone serve` sets those of the embedded servers). `clock` replaces
    the clock that the settings choose.
    """
    assert settings.valkey.url is not None
    assert settings.postgres.url is not None
    dsn = settings.postgres.url
    keys = read_keys(settings)
    budget_seconds = settings.http.budget_ms / 1000
    velocity_seconds = min(settings.valkey.budget_ms, settings.http.budget_ms / 2) / 1000
    brain = load_brain(settings, keys)
    warm(datetime.now(UTC).year)
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            asyncpg.create_pool(dsn, min_size=0, max_size=POOL_CONNECTIONS)
        )
        ring = Keyring(FileKek(keys.kek))
        ledger = await LedgerWriter.start(
            WriterSettings(
                dsn=dsn,
                log=settings.ledger.log_name,
                spool_dir=settings.var / "spool",
                spool_max_bytes=settings.ledger.spool_max_bytes,
            ),
            ring,
        )
        stack.push_async_callback(ledger.close)
        valkey = connect(settings.valkey.url)
        stack.push_async_callback(valkey.close)
        completeness = await stack.enter_async_context(Completeness(valkey, brain.catalog, pool))
        api_keys = await stack.enter_async_context(ApiKeys(dsn, keys.tag))
        record = LedgerRecord(
            LedgerReader(
                pool, ring, settings.ledger.log_name, writer=ledger, timeout_s=budget_seconds / 3
            )
        )
        token_key = TokenKey(keys.tag)
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
            once=Once(ValkeyClaims(valkey, velocity_seconds), record),
            clock=clock or (EventClock() if settings.clock == "event" else SystemClock()),
            budget_seconds=budget_seconds,
            metrics=metrics,
        )
        yield Runtime(
            settings=settings,
            brain=brain,
            decider=decider,
            api_keys=api_keys,
            record=record,
            ledger=ledger,
            valkey=valkey,
            completeness=completeness,
            gate=Gate(settings.http.max_in_flight),
            token_key=token_key,
            token_rate=Rate(settings.collector.tokens_per_second),
            metrics=metrics,
        )
