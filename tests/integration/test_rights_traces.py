"""What an erasure deletes besides the ledger: profiles (with Feast's keys) and ready packages."""

from __future__ import annotations

from typing import Any

import asyncpg

from features.profiles.schema import PROJECT, VIEWS
from features.velocity.connect import connect
from service.rights.erasing import destroy
from service.rights.traces import TraceEraser, no_traces, profile_key
from tests.integration.history_cases import START, entry, store
from tests.profiles import feast_module

TAG = "abcdefghijklmnopqrstuv"
EXPORTS = """
INSERT INTO person (id) VALUES ('anna'), ('ben');
INSERT INTO export (id, first, last, blocks, purpose, role, requested_by)
SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, first, last, blocks, 'p',
       'compliance', 'anna'
FROM (VALUES (1, 0, 1, '{core,subject}'::text[]), (2, 1, 2, '{core,subject}'), (3, 0, 2, '{core}'))
     AS x (n, first, last, blocks);
INSERT INTO export_decision (export_id, decision, actor) SELECT id, 'approved', 'ben' FROM export;
INSERT INTO export_job (export_id, state, node, wrapped, members, bytes, manifest, expires_at)
SELECT id, 'ready', 'here', 'key', '{}', 1, decode(repeat('00', 32), 'hex'), now() FROM export;
"""


def test_the_key_of_a_profile_is_feasts() -> None:
    """For each view and with and without a generation, byte for byte."""
    online: Any = feast_module("features.profiles.online_store")
    config_of: Any = feast_module("feast").RepoConfig
    store = online.ProfileOnlineStore()
    for generation in ("", "20261101T000000Z-abcd"):
        config = config_of(
            project=PROJECT,
            provider="local",
            registry="registry.db",
            online_store=online.ProfileOnlineStoreConfig(generation=generation),
            entity_key_serialization_version=3,
        )
        for view in VIEWS.values():
            [key] = store.keys_of(config, view.entity, [TAG])
            assert profile_key(view.entity, TAG, generation) == key


async def test_a_profile_goes_with_its_person(fresh_valkey_url: str) -> None:
    """The one of the materialisation in use; of others it stays."""
    connection = connect(fresh_valkey_url)
    try:
        marker = b'{"generation": "g1", "as_of_ms": 1, "rows": {}}'
        mine, other = profile_key("user", TAG, "g1"), profile_key("user", TAG[::-1], "g1")
        await connection.call(
            ("SET", "touchstone:profiles:current", marker),
            ("HSET", mine, "a", "b"),
            ("HSET", other, "a", "b"),
            timeout_s=5,
        )
        await TraceEraser(connection).erase(no_traces(), [f"user:{TAG}", "email:x"])
        found = await connection.call(("EXISTS", mine), ("EXISTS", other), timeout_s=5)
        assert found == [0, 1]
    finally:
        await connection.close()


async def test_ready_packages_that_hold_the_person_lose_their_key(fresh_postgres_url: str) -> None:
    """Only those that disclose subject blocks of a range with an entry of the person."""
    mine, other = entry(START, tags={"user": "gone"}), entry(START, tags={"user": "stays"})
    await store(fresh_postgres_url, [mine, other])
    connection = await asyncpg.connect(fresh_postgres_url)
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(EXPORTS)
        await connection.execute("SET session_replication_role = origin")
        await connection.executemany(
            "INSERT INTO ledger_leaf (idx, entry_id, hash) VALUES ($1, $2, $3)",
            [(0, mine.entry_id, bytes(32)), (1, other.entry_id, bytes(32))],
        )
        keys = await connection.fetch(
            "SELECT key_id FROM subject_key WHERE subject_tag = 'user:gone'"
        )
        counts = await destroy(connection, [row["key_id"] for row in keys])
        assert (counts.packages, counts.entries) == (1, 1)
        jobs = await connection.fetch(
            "SELECT state, wrapped IS NULL AS closed FROM export_job ORDER BY export_id"
        )
        assert [tuple(job) for job in jobs] == [
            ("expired", True),
            ("ready", False),
            ("ready", False),
        ]
    finally:
        await connection.close()
