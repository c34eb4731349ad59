"""Rule sets in the database: what is stored comes back to the letter, and what runs is known."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from rules.files import RuleSetFiles
from service.rule_sets.errors import UnknownRuleSet
from service.rule_sets.store import (
    add_version,
    deployed,
    import_first,
    read_files,
    resolve,
    stops,
)


@pytest.fixture
async def database(fresh_postgres_url: str) -> AsyncIterator[Any]:
    """A connection to an empty, migrated database."""
    connection = await asyncpg.connect(fresh_postgres_url)
    yield connection
    await connection.close()


async def test_the_first_set_is_imported_once(database: Any, fresh_postgres_url: str) -> None:
    """Of several processes that start at once one imports, and all see the same deployment."""
    files = RuleSetFiles.load()

    async def start() -> Any:
        connection = await asyncpg.connect(fresh_postgres_url)
        try:
            async with connection.transaction():
                return await import_first(connection, files)
        finally:
            await connection.close()

    found = await asyncio.gather(*(start() for _ in range(4)))
    assert {one.revision for one in found} == {found[0].revision}
    running = await deployed(database)
    assert (running.action, running.live, running.actor) == ("first", files.version, "system")
    assert running.live_since == running.revision
    assert running.versions == (files.version,)
    assert await stops(database) == []


async def test_a_prefix_of_two_versions_is_refused(database: Any) -> None:
    """Digits that two versions begin with mean neither; one digit more means one."""
    first = RuleSetFiles.load()
    async with database.transaction():
        await import_first(database, first)
    await database.execute("INSERT INTO person (id) VALUES ('ana')")
    seen: dict[str, RuleSetFiles] = {}
    for number in itertools.count():
        files = RuleSetFiles.of({**first.texts, "packs/x.yaml": f"# {number}"})
        twin = seen.setdefault(files.version[:6], files)
        if twin is not files:
            break
    for one in (twin, files):
        async with database.transaction():
            parts = {"policy.yaml": "0" * 64}
            await add_version(database, one, parts, parent=first.version, author="ana", note="")
    with pytest.raises(UnknownRuleSet, match="several"):
        await resolve(database, files.version[:6])
    assert await resolve(database, files.version[:20]) == files.version


async def test_latest_is_what_was_pushed_last(database: Any) -> None:
    """The word means the newest version, whatever is live; before the first, nothing."""
    with pytest.raises(UnknownRuleSet, match="no rule set yet"):
        await resolve(database, "latest")
    first = RuleSetFiles.load()
    async with database.transaction():
        await import_first(database, first)
    assert await resolve(database, "latest") == first.version
    await database.execute("INSERT INTO person (id) VALUES ('ana')")
    for number in range(3):
        files = RuleSetFiles.of({**first.texts, "packs/x.yaml": f"# {number}"})
        parts = {"policy.yaml": "0" * 64}
        async with database.transaction():
            await add_version(database, files, parts, parent=first.version, author="ana", note="")
        assert await resolve(database, "latest") == files.version
    assert await resolve(database, "live") == first.version
    with pytest.raises(UnknownRuleSet, match="`live`, `previous` or `latest`"):
        await resolve(database, "lastest")


async def test_files_come_back_to_the_letter(database: Any) -> None:
    """A stored version has the same bytes, comments, line ends and Chinese texts included."""
    texts = dict(RuleSetFiles.load().texts)
    texts["packs/extra.yaml"] = "# 注释 \r\npack: extra\n\n\nrules: []   # trailing\n"
    files = RuleSetFiles.of(texts)
    async with database.transaction():
        await import_first(database, files)
    assert await read_files(database, files.version) == files
