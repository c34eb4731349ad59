"""Does every entry get its place in the tree, once, in an order that shows what is missing?"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from service.ledger.keys import Keyring
from service.ledger.tree.errors import TreeBroken
from service.ledger.tree.hashes import leaf_hash
from service.ledger.writer import LedgerWriter, WriterSettings
from service.sequencer.errors import ForeignTree, NotLeader
from service.sequencer.rounds import ROUND_ROWS
from service.sequencer.sequencer import VACUUM_ROWS, Sequencer
from tests.integration.ledger_cases import OBSERVED, draft
from tests.integration.sequencer_cases import LOG, add_rows, nobody_leads, until
from tests.keeping import sequenced
from tests.trees import whole_tree

pytest_plugins = ["tests.integration.ledger_fixtures"]
pytestmark = pytest.mark.asyncio


@pytest.fixture
async def sequencer(ledger_dsn: str) -> AsyncIterator[Sequencer]:
    """The leader, ended after the test."""
    leader = await Sequencer.start(ledger_dsn, LOG)
    yield leader
    await leader.close()


async def append(writer: LedgerWriter, count: int, observed: datetime = OBSERVED) -> None:
    """Append so many entries at once."""
    drafts = [draft()._replace(observed_at=observed) for _ in range(count)]
    await asyncio.gather(*(writer.append(one, timeout_s=10) for one in drafts))


async def size(connection: Any) -> int:
    """The size that is stored."""
    return int(await connection.fetchval("SELECT size FROM ledger_tree"))


async def test_entries_of_several_writers(
    writer_settings: WriterSettings, ring: Keyring, ledger_dsn: str, connection: Any
) -> None:
    """Entries of three writers, placed between their batches, stand once each and in order."""
    writers = [await LedgerWriter.start(writer_settings, ring) for _ in range(3)]
    expected = 0
    for count in (1, 40, 7, 150):
        await asyncio.gather(*(append(writer, count) for writer in writers))
        expected += 3 * count
        assert await sequenced(ledger_dsn, LOG) == expected
    for writer in writers:
        await writer.close()
    assert (await whole_tree(connection)).size == expected


async def test_a_clock_that_goes_back(
    writer: LedgerWriter, ledger_dsn: str, connection: Any
) -> None:
    """Numbers of a writer ascend along the tree also where its entries' times do not."""
    moment = random.Random(5)
    for _ in range(30):
        await append(writer, 5, OBSERVED + timedelta(seconds=moment.randrange(-60, 60)))
    await sequenced(ledger_dsn, LOG)
    assert (await whole_tree(connection)).size == 150


async def test_what_was_observed_first_stands_first(ledger_dsn: str, connection: Any) -> None:
    """Entries of different writers that wait together are placed by the time of observation."""
    for second in (3, 1, 2):
        await add_rows(connection, 3, bytes([9 - second] * 16))
        await connection.execute(
            "UPDATE ledger_entry SET observed = $1 WHERE writer = $2",
            OBSERVED + timedelta(seconds=second),
            bytes([9 - second] * 16),
        )
    await sequenced(ledger_dsn, LOG)
    rows = await connection.fetch(
        "SELECT observed FROM ledger_leaf JOIN ledger_entry USING (entry_id) ORDER BY idx"
    )
    times = [row["observed"] for row in rows]
    assert times == sorted(times)
    assert len(set(times)) == 3


async def test_one_leads(ledger_dsn: str) -> None:
    """A second sequencer is refused while the first leads; after it the term has grown."""
    first = await Sequencer.start(ledger_dsn, LOG)
    with pytest.raises(NotLeader):
        await Sequencer.start(ledger_dsn, LOG)
    await first.close()
    second = await Sequencer.start(ledger_dsn, LOG)
    assert second.term == first.term + 1
    await second.close()


async def test_a_replaced_leader_changes_nothing(ledger_dsn: str, connection: Any) -> None:
    """A leader that lost its lock without noticing finds another term and places nothing."""
    deposed = await Sequencer.start(ledger_dsn, LOG)
    await add_rows(connection, 10)
    assert await deposed.integrate() == 10
    await deposed._connection.execute("SELECT pg_advisory_unlock_all()")
    successor = await Sequencer.start(ledger_dsn, LOG)
    await add_rows(connection, 10, first=11)
    with pytest.raises(NotLeader):
        await deposed.integrate()
    assert await size(connection) == 10
    assert await successor.integrate() == 10
    assert (await whole_tree(connection)).size == 20
    await deposed.close()
    await successor.close()


async def test_a_leader_replaced_in_the_middle_of_a_round(ledger_dsn: str, connection: Any) -> None:
    """Two leaders that integrate at the same time never both place: one commits, one is told."""
    for attempt in range(10):
        deposed = await Sequencer.start(ledger_dsn, LOG)
        await add_rows(connection, 400, writer=os.urandom(16))
        await deposed._connection.execute("SELECT pg_advisory_unlock_all()")

        async def replace() -> int:
            await asyncio.sleep(random.Random(attempt).random() * 0.02)  # noqa: B023
            successor = await Sequencer.start(ledger_dsn, LOG)
            try:
                return await successor.integrate()
            finally:
                await successor.close()

        placed = await asyncio.gather(deposed.integrate(), replace(), return_exceptions=True)
        assert sum(count for count in placed if isinstance(count, int)) == 400, placed
        assert all(isinstance(one, int | NotLeader) for one in placed), placed
        await deposed.close()
    assert (await whole_tree(connection)).size == 4_000


async def test_an_entry_that_was_deleted_before_it_was_placed(
    sequencer: Sequencer, connection: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest is placed, the queue is empty, and the log names the entry that is lost."""
    await add_rows(connection, 20)
    gone = await connection.fetchval("DELETE FROM ledger_entry WHERE seq = 7 RETURNING entry_id")
    with caplog.at_level(logging.ERROR):
        assert await sequencer.integrate() == 19
    assert gone.hex() in caplog.text
    assert "numbers 7 to 7 of writer" in caplog.text
    assert sequencer.lost == 1
    assert await sequencer.integrate() == 0
    assert await connection.fetchval("SELECT count(*) FROM ledger_queue") == 0
    with pytest.raises(AssertionError, match="do not ascend"):
        await whole_tree(connection)


async def test_a_header_that_is_none(sequencer: Sequencer, connection: Any) -> None:
    """A header that cannot be parsed is placed as it is, and stops nobody."""
    await add_rows(connection, 3)
    await connection.execute("UPDATE ledger_entry SET header = $1 WHERE seq = 2", b"\xff{")
    assert await sequencer.integrate() == 3
    assert (await whole_tree(connection)).size == 3
    assert await connection.fetchval("SELECT hash FROM ledger_leaf WHERE idx = 1") == leaf_hash(
        b"\xff{"
    )


async def test_an_entry_that_is_queued_again(sequencer: Sequencer, connection: Any) -> None:
    """An entry that stands in the tree, or is queued twice, is placed once."""
    await add_rows(connection, 5)
    await connection.execute("INSERT INTO ledger_queue SELECT entry_id FROM ledger_queue")
    assert await sequencer.integrate() == 5
    await connection.execute("INSERT INTO ledger_queue SELECT entry_id FROM ledger_entry")
    await add_rows(connection, 5, first=6)
    assert await sequencer.integrate() == 5
    assert (await whole_tree(connection)).size == 10


async def test_a_tree_that_somebody_changed(ledger_dsn: str, connection: Any) -> None:
    """A leader whose tree was changed under it stops, and none starts on a contradiction."""
    leader = await Sequencer.start(ledger_dsn, LOG)
    await add_rows(connection, 300)
    await leader.integrate()
    await connection.execute("UPDATE ledger_tree SET size = 299, peaks = $1", b"p" * 32 * 5)
    await add_rows(connection, 1, first=301)
    with pytest.raises(TreeBroken):
        await leader.integrate()
    await leader.close()
    with pytest.raises(TreeBroken):
        await Sequencer.start(ledger_dsn, LOG)
    assert await connection.fetchval("SELECT count(*) FROM ledger_leaf") == 300


async def test_a_tree_of_another_log(ledger_dsn: str, connection: Any) -> None:
    """A sequencer leads the log it was started for; a continued log is the same log."""
    await (await Sequencer.start(ledger_dsn, LOG)).close()
    with pytest.raises(ForeignTree):
        await Sequencer.start(ledger_dsn, "tes")
    await connection.execute("UPDATE ledger_tree SET origin = 'test/2'")
    await (await Sequencer.start(ledger_dsn, LOG)).close()


async def test_a_long_queue(sequencer: Sequencer, connection: Any) -> None:
    """It is placed in rounds, in order whatever its own order; what is placed waits no more."""
    await add_rows(connection, 2 * ROUND_ROWS + 3)
    await connection.execute(
        "CREATE TABLE shuffled AS SELECT * FROM ledger_queue ORDER BY entry_id; "
        "DELETE FROM ledger_queue; INSERT INTO ledger_queue TABLE shuffled; DROP TABLE shuffled"
    )
    placed = []
    while done := await sequencer.integrate():
        placed.append(done)
        waits = await connection.fetchval("SELECT count(*) FROM ledger_queue")
        assert waits == 2 * ROUND_ROWS + 3 - sum(placed)
    assert sum(placed) == 2 * ROUND_ROWS + 3
    assert max(placed) == ROUND_ROWS
    assert (await whole_tree(connection)).size == 2 * ROUND_ROWS + 3


async def test_an_entry_that_was_taken_out_of_the_queue(
    sequencer: Sequencer, connection: Any
) -> None:
    """An entry whose row in the queue is gone is placed with the next one of its writer."""
    await add_rows(connection, 20)
    await connection.execute(
        "DELETE FROM ledger_queue WHERE entry_id IN "
        "(SELECT entry_id FROM ledger_entry WHERE seq IN (1, 2, 9))"
    )
    assert await sequencer.integrate() == 20
    assert (await whole_tree(connection)).size == 20


async def test_numbers_that_no_writer_gives(
    sequencer: Sequencer, connection: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A forged entry with a huge number stalls nobody, and the hole before it is said."""
    await add_rows(connection, 3)
    await add_rows(connection, 1, first=2**62)
    assert await sequencer.integrate() == 4
    assert f"numbers 4 to {2**62 - 1} of writer" in caplog.text
    await add_rows(connection, 5, first=4)
    assert await sequencer.integrate() == 5
    assert caplog.text.count("behind one with a higher number") == 5
    assert await sequencer.integrate() == 0
    assert await connection.fetchval("SELECT count(*) FROM ledger_leaf") == 9
    assert await connection.fetchval("SELECT count(*) FROM ledger_queue") == 0


async def test_a_round_that_is_cut_off_leaves_no_trace(ledger_dsn: str, connection: Any) -> None:
    """A leader whose session ends in a round has placed nothing of it; the next places all."""
    await add_rows(connection, 4 * ROUND_ROWS)
    for delay in (0.02, 0.05, 0.1, 0.15):
        leader = await Sequencer.start(ledger_dsn, LOG)
        asyncio.get_running_loop().call_later(delay, leader._connection.terminate)
        with pytest.raises((asyncpg.InterfaceError, asyncpg.PostgresError, OSError)):
            await leader.run()
        await leader.close()
        await until(lambda: nobody_leads(connection))
        assert await size(connection) % ROUND_ROWS == 0
    await sequenced(ledger_dsn, LOG)
    assert (await whole_tree(connection)).size == 4 * ROUND_ROWS


async def test_the_queue_stays_small(sequencer: Sequencer, connection: Any) -> None:
    """The queue's file holds what waits and a little more, not all that ever waited."""
    for turn in range(5):
        await add_rows(connection, VACUUM_ROWS // 2, first=1 + turn * (VACUUM_ROWS // 2))
        await sequencer.integrate()
    bytes_of_a_row = 48
    size_bytes = await connection.fetchval("SELECT pg_relation_size('ledger_queue')")
    assert size_bytes < 1.6 * VACUUM_ROWS * bytes_of_a_row
    assert await size(connection) == 5 * VACUUM_ROWS // 2


async def test_the_first_leaf_is_the_root(sequencer: Sequencer, connection: Any) -> None:
    """The first leaf of a log alone is its root, as RFC 6962 has it."""
    await add_rows(connection, 1)
    await sequencer.integrate()
    header = await connection.fetchval("SELECT header FROM ledger_entry")
    peaks = await connection.fetchval("SELECT peaks FROM ledger_tree")
    assert peaks == hashlib.sha256(b"\x00" + header).digest()
