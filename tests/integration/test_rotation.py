"""Keys are replaced while entries are written, and a rotation that is cut short is taken up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from service.keys import open_wrapper
from service.keys.errors import RotationBlocked
from service.keys.following import KeysFollower
from service.keys.held import LOOK_SECONDS
from service.ledger.agreed import read_agreed
from service.ledger.errors import WrongKek
from service.ledger.keys import Keyring
from service.ledger.reader import LedgerReader
from service.ledger.verify import verify_log
from service.ledger.writer import LedgerWriter, WriterSettings
from tests.integration.ledger_cases import draft
from tests.integration.rotation_cases import (
    all_open,
    copy_of,
    kek_in,
    machine,
    rotation,
    under_load,
    worker,
    wrapped_by,
)

WAITS_FOR_US = (
    "SELECT EXISTS (SELECT FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
)


class CutShort(Exception):
    """The rotation is ended here."""


async def test_the_kek_is_replaced_under_load(fresh_postgres_url: str, tmp_path: Path) -> None:
    """Two machines write on without an error; afterwards the old key opens no stored key."""
    one = machine(tmp_path / "one", fresh_postgres_url)
    two = copy_of(one, tmp_path / "two")
    old = kek_in(one.kek_path)

    def bring(text: str) -> None:
        for path in one.kek_path.parent.glob("kek.key.*"):
            (two.kek_path.parent / path.name).touch(mode=0o600)
            (two.kek_path.parent / path.name).write_bytes(path.read_bytes())

    async with worker(one, "one") as first, worker(two, "two") as second:
        async with under_load(first, second), rotation(one, bring) as rotating:
            done = await rotating.kek()
        entries = first.appended + second.appended
    assert done.before == old.kek_id
    assert done.keys.subjects > 20
    assert done.keys.broken == 0
    assert set(await wrapped_by(fresh_postgres_url)) == {done.after.hex()}
    for settings in (one, two):
        assert kek_in(settings.kek_path).kek_id == done.after
        assert kek_in(settings.kek_path.with_name(f"kek.key.{done.before.hex()}")).kek_id == (
            old.kek_id
        )
        await all_open(settings, entries[:: len(entries) // 100])
    with pytest.raises(WrongKek):
        await verify_log(fresh_postgres_url, wrapper=old)


async def test_the_kek_is_replaced_again_and_again(fresh_postgres_url: str, tmp_path: Path) -> None:
    """After five rotations everything that was ever written opens with the last key alone."""
    settings = machine(tmp_path, fresh_postgres_url)
    async with worker(settings) as one:
        for number in range(5):
            await one.append(number)
            async with rotation(settings) as rotating:
                await rotating.kek()
            await one.append(number + 1000)
    for path in settings.kek_path.parent.glob("kek.key.*"):
        path.unlink()
    await all_open(settings, one.appended)


@pytest.mark.parametrize("step", [1, 2, 3, 4])
async def test_a_rotation_that_is_cut_short(
    step: int, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """Ended after any of its steps it has harmed nothing, and the next call finishes it."""
    settings = machine(tmp_path, fresh_postgres_url)
    steps: list[str] = []

    def cut(text: str) -> None:
        steps.append(text)
        if len(steps) == step:
            raise CutShort

    async with worker(settings) as one:
        async with under_load(one), rotation(settings, cut) as rotating:
            with pytest.raises(CutShort):
                await rotating.kek()
        # A process that starts in the middle of it works as well.
        async with (
            worker(settings, "between") as between,
            under_load(one, between),
            rotation(settings) as rotating,
        ):
            done = await rotating.kek()
    entries = one.appended + between.appended
    assert set(await wrapped_by(fresh_postgres_url)) == {done.after.hex()}
    await all_open(settings, entries[:: len(entries) // 50])
    async with worker(settings) as later:
        await later.append(1)


async def test_a_start_without_the_next_key(fresh_postgres_url: str, tmp_path: Path) -> None:
    """Nothing is wrapped with it yet: a process that lacks it starts and writes, and a rotation
    whose next key is lost everywhere takes another."""
    one = machine(tmp_path / "one", fresh_postgres_url)
    two = copy_of(one, tmp_path / "two")
    steps: list[str] = []

    def cut(text: str) -> None:
        steps.append(text)
        if len(steps) == 2:
            raise CutShort

    async with rotation(one, cut) as rotating:
        with pytest.raises(CutShort):
            await rotating.kek()
    async with worker(two, "two") as second:
        await second.append(1)
        async with rotation(one, patience_seconds=1) as rotating:
            with pytest.raises(RotationBlocked):
                await rotating.kek()
    [lost] = one.kek_path.parent.glob("kek.key.*")
    lost.unlink()
    async with rotation(one) as rotating:
        done = await rotating.kek()
    assert done.after.hex() not in lost.name
    assert set(await wrapped_by(fresh_postgres_url)) == {done.after.hex()}
    await all_open(one, second.appended)


async def test_a_machine_without_the_next_key(fresh_postgres_url: str, tmp_path: Path) -> None:
    """It writes on, the rotation says who it waits for, and goes on when the file is there."""
    one = machine(tmp_path / "one", fresh_postgres_url)
    two = copy_of(one, tmp_path / "two")
    before = kek_in(one.kek_path).kek_id.hex()
    async with worker(two, "two") as behind:
        async with under_load(behind), rotation(one, patience_seconds=1.5) as rotating:
            with pytest.raises(RotationBlocked, match=r"touchstone-ledger on .*Run the same"):
                await rotating.kek()
        assert set(await wrapped_by(fresh_postgres_url)) == {before}
        (fresh,) = one.kek_path.parent.glob("kek.key.*")
        (two.kek_path.parent / fresh.name).touch(mode=0o600)
        (two.kek_path.parent / fresh.name).write_bytes(fresh.read_bytes())
        async with under_load(behind), rotation(one) as rotating:
            done = await rotating.kek()
    assert set(await wrapped_by(fresh_postgres_url)) == {done.after.hex()}
    await all_open(two, behind.appended[:: len(behind.appended) // 50])


async def test_a_writer_that_stops_following(fresh_postgres_url: str, tmp_path: Path) -> None:
    """It can unwrap with the next key, and wraps with the old one still: the old one is not retired
    before it ends, and what it stored is wrapped anew then.
    """
    settings = machine(tmp_path, fresh_postgres_url)
    held = open_wrapper(settings)
    ring = Keyring(held)
    place = WriterSettings(fresh_postgres_url, "test", settings.var / "spool")
    writer = await LedgerWriter.start(place, ring)
    follower = KeysFollower(writer, ring, held)
    connection = await asyncpg.connect(fresh_postgres_url)

    async def follow_once() -> None:
        while (await read_agreed(connection)).epoch < 1:  # noqa: ASYNC110 - another's commit
            await asyncio.sleep(0.05)
        await follower.refresh(connection)

    async with rotation(settings, patience_seconds=3) as rotating, asyncio.TaskGroup() as group:
        group.create_task(follow_once())
        with pytest.raises(RotationBlocked, match="not every writer wraps with the next key"):
            await rotating.kek()
    agreed = await read_agreed(connection)
    await connection.close()
    assert agreed.old_kek == held.kek_id
    entry = draft(person="user:late")
    await writer.append(entry, timeout_s=2)
    await writer.close()
    assert held.kek_id.hex() in await wrapped_by(fresh_postgres_url)
    async with rotation(settings) as rotating:
        done = await rotating.kek()
    assert set(await wrapped_by(fresh_postgres_url)) == {done.after.hex()}
    await all_open(settings, [entry.entry_id])


async def test_a_process_that_only_reads(fresh_postgres_url: str, tmp_path: Path) -> None:
    """Reports and backtests follow nothing: one that began before reads what came after."""
    settings = machine(tmp_path, fresh_postgres_url)
    ring = Keyring(open_wrapper(settings))
    await asyncio.sleep(LOOK_SECONDS)
    async with worker(settings) as one:
        await one.append(1)
        async with rotation(settings) as rotating:
            await rotating.kek()
        await one.append(2)
    async with asyncpg.create_pool(fresh_postgres_url, min_size=1, max_size=1) as pool:
        reader = LedgerReader(pool, ring, "test", timeout_s=10)
        for entry_id in one.appended:
            found = await reader.find_by_entry_id(entry_id, with_subject=True)
            assert found is not None
            assert found.subject_state == "open"


async def test_one_rotation_at_a_time(fresh_postgres_url: str, tmp_path: Path) -> None:
    """A second one is refused while the first runs."""
    settings = machine(tmp_path, fresh_postgres_url)
    async with rotation(settings):
        with pytest.raises(RotationBlocked, match="under way"):
            async with rotation(settings):
                pass


async def test_a_spool_from_before(fresh_postgres_url: str, tmp_path: Path) -> None:
    """Entries that waited in a spool through a rotation are stored under the key of the moment."""
    settings = machine(tmp_path, fresh_postgres_url)
    away = settings.model_copy(
        update={
            "postgres": settings.postgres.model_copy(update={"url": "postgresql:///?host=/none"})
        }
    )
    async with worker(settings) as one:
        await one.append(0)
    ring = Keyring(open_wrapper(settings))
    spooling = await LedgerWriter.start(
        WriterSettings(str(away.postgres.url), "test", settings.var / "spool"), ring
    )
    entries = [draft(person=f"user:{number}") for number in range(20)]
    for entry in entries:
        await spooling.append(entry, timeout_s=2)
    assert spooling.status().spooled_entries == 20
    await spooling.close()
    # The spool is that of another directory while the key is replaced: nobody drains it.
    (settings.var / "spool").rename(settings.var / "aside")
    async with rotation(settings) as rotating:
        done = await rotating.kek()
    (settings.var / "spool").rmdir()
    (settings.var / "aside").rename(settings.var / "spool")
    async with worker(settings) as one:
        assert one.writer.status().drained_entries == 20
    assert set(await wrapped_by(fresh_postgres_url)) == {done.after.hex()}
    await all_open(settings, [entry.entry_id for entry in entries])


async def test_an_erasure_during_a_rotation(fresh_postgres_url: str, tmp_path: Path) -> None:
    """Keys that are deleted after the rotation read them and before it writes them stay deleted;
    keys that wait to be compared with the journal of erasures are wrapped anew as well.
    """
    settings = machine(tmp_path, fresh_postgres_url)
    connection = await asyncpg.connect(fresh_postgres_url)
    async with worker(settings) as one:
        await asyncio.gather(*(one.append(0, f"user:{number}") for number in range(200)))
        await connection.execute(
            "INSERT INTO late_subject_key SELECT key_id, subject_tag, wrapped "
            "FROM subject_key WHERE subject_tag = 'user:1'"
        )
        async with rotation(settings) as rotating, asyncio.TaskGroup() as group:
            erasing = connection.transaction()
            await erasing.start()
            await connection.execute("DELETE FROM subject_key WHERE subject_tag LIKE 'user:1%'")
            done = group.create_task(rotating.kek())
            while not await connection.fetchval(WAITS_FOR_US):  # noqa: ASYNC110 - of the server
                await asyncio.sleep(0.05)
            await erasing.commit()
        left = await connection.fetch("SELECT subject_tag FROM subject_key")
    await connection.close()
    assert len(left) == 200 - 111
    assert not any(row["subject_tag"].startswith("user:1") for row in left)
    assert set(await wrapped_by(fresh_postgres_url)) == {done.result().after.hex()}
