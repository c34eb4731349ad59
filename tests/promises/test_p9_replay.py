"""P9: from the entry alone, with the rule set and the bundle it names by hash, the decision is
computed again bit for bit. The long form: `make soak ARGS="replay"`."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from features.catalog import Catalog
from service.audit.replay_disclosed import replay_package
from service.audit.replay_run import replay_entry
from service.embedded import EmbeddedServers
from service.ledger.keys import FileKek, Keyring
from service.rule_sets.store import read_files
from service.secrets_files import read_keys
from service.settings import Settings
from tests.keeping import checkpointed
from tests.packages import built_package, package_request
from tests.running import settings_on
from tests.soak.replay import Figures, again, replayed

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVENTS = 250


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def decided(
    servers: EmbeddedServers,
    tmp_path_factory: pytest.TempPathFactory,
    module_postgres_url: str,
    module_valkey_url: str,
) -> AsyncIterator[tuple[Figures, Settings]]:
    """A service that decided under two rule sets and two bundles, with stops and outages."""
    base = tmp_path_factory.mktemp("replay")
    settings = settings_on(servers, base, patient_ms=10_000, clock="event")
    postgres = settings.postgres.model_copy(update={"url": module_postgres_url})
    valkey = settings.valkey.model_copy(update={"url": module_valkey_url})
    settings = settings.model_copy(update={"postgres": postgres, "valkey": valkey})
    yield await replayed(EVENTS, 11, settings), settings


async def test_p9_every_decision_is_computed_again(decided: tuple[Figures, Settings]) -> None:
    """All are equal: two rule sets, two bundles, stopped rules, capped declines, gaps."""
    found, settings = decided
    assert found.tally.different == []
    assert found.tally.equal == found.decided == found.tally.total > EVENTS * 0.9
    assert len(found.rule_sets) == len(found.bundles) == 2
    assert found.capped
    assert found.stopped
    assert found.without_velocity
    by_two, _ = await again(settings, processes=2)
    assert by_two == found.tally


async def test_p9_missing_parts_are_named(
    decided: tuple[Figures, Settings], tmp_path: Path
) -> None:
    """Without a bundle its decisions are counted as not computed, and the bundle is named."""
    found, settings = decided
    copy = settings.model_copy(update={"var": tmp_path})
    shutil.copytree(settings.var / "bundles", tmp_path / "bundles")
    gone = min(found.bundles)[:16]
    shutil.rmtree(tmp_path / "bundles" / gone)
    tally, _ = await again(copy)
    (missing,) = tally.missing
    assert gone in missing
    assert tally.equal + tally.missing[missing] == found.decided
    assert 0 < tally.equal < found.decided


async def test_p9_a_changed_model_is_seen(
    decided: tuple[Figures, Settings], tmp_path: Path
) -> None:
    """A bundle whose files were changed is not used, whatever its directory is called."""
    found, settings = decided
    copy = settings.model_copy(update={"var": tmp_path})
    shutil.copytree(settings.var / "bundles", tmp_path / "bundles")
    one, other = (tmp_path / "bundles" / version[:16] for version in sorted(found.bundles))
    shutil.rmtree(one)
    shutil.copytree(other, one)
    tally, _ = await again(copy)
    assert any("was changed" in part for part in tally.missing)
    assert tally.differing == 0


async def test_p9_from_a_package_alone(decided: tuple[Figures, Settings], tmp_path: Path) -> None:
    """Whoever has an export, the rule sets and the bundles computes every disclosed decision."""
    found, settings = decided
    dsn, log = str(settings.postgres.url), settings.ledger.log_name
    await checkpointed(dsn, tmp_path / "signer", log)
    connection = await asyncpg.connect(dsn)
    size = await connection.fetchval("SELECT size FROM ledger_tree")
    directories = []
    for version in sorted(found.rule_sets):
        directories.append(tmp_path / version)
        (await read_files(connection, version)).write(directories[-1])
    await connection.close()
    ring = Keyring(FileKek(read_keys(settings).kek))
    package = tmp_path / "package.tar"
    request = package_request(log, last=size, blocks=("core", "subject"))
    await built_package(dsn, ring, request, package, tmp_path / "signer")
    bundles = settings.var / "bundles"
    tally = await replay_package(package, directories, bundles, Catalog.load())
    assert (tally.equal, tally.total) == (found.decided, found.decided)
    less = await replay_package(package, directories[:1], bundles, Catalog.load())
    assert 0 < less.equal < found.decided
    assert any(sorted(found.rule_sets)[1][:16] in part for part in less.missing)


async def test_p9_one_entry(decided: tuple[Figures, Settings]) -> None:
    """One decision is computed again by its id; there is nothing to compute for an unknown one."""
    _, settings = decided
    assert settings.postgres.url is not None
    connection = await asyncpg.connect(settings.postgres.url)
    entry_id = await connection.fetchval(
        "SELECT entry_id FROM ledger_entry WHERE type = 'decision' LIMIT 1"
    )
    await connection.close()
    assert (await replay_entry(settings, settings.postgres.url, entry_id)).equal == 1
    assert (await replay_entry(settings, settings.postgres.url, bytes(16))).total == 0
