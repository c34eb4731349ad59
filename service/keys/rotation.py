"""How does a key come to be replaced while the service runs?

Each step is a row that everybody follows (`service/ledger/agreed.py`), recorded as `keys.rotate`;
the next step waits until every writer follows. Invariants: nothing is wrapped with a key-encryption
key before every writer can unwrap with it, and it is retired only when nothing stored needs it. A
rotation that is cut short anywhere has done no harm, and is taken up where it was.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, NamedTuple, Self

import asyncpg

from service.actions import Actions
from service.keys.errors import RotationBlocked
from service.keys.held import HeldKeks
from service.keys.rewrap import Rewrapped, rewrap
from service.ledger.agreed import CHANNEL, LOCK, Agreed, read_agreed, sessions_behind
from service.ledger.keys import KEY_BYTES, Keyring

ACTION = "keys.rotate"
CONNECT_SECONDS = 10.0
POLL_SECONDS = 0.1
# Commands that store something hold a rotation up until they end; the service follows in a second.
PATIENCE_SECONDS = 600.0

_READ = "SELECT epoch, kek, next_kek, old_kek, months, subjects FROM ledger_keys FOR UPDATE"
_WRITE = "UPDATE ledger_keys SET epoch = epoch + 1, {changes}"
_RETIRE_MONTHS = "UPDATE ledger_key SET retired_at = now() WHERE retired_at IS NULL"
_ADD_MONTH = "INSERT INTO ledger_key (name, wrapped) VALUES ($1, $2)"


class KekRotated(NamedTuple):
    """What a rotation of the key-encryption key did. Ids of the KEKs before and after."""

    before: bytes
    after: bytes
    keys: Rewrapped


@dataclass
class Rotation:
    """Rotates keys of one log; use as an async context manager. One at a time for a database.

    `tell` gets a line for people after each step. `ring` wraps with `held`, and is the one that the
    writer of `actions` seals with: it has to follow, too (`KeysFollower`).
    """

    actions: Actions
    dsn: str
    ring: Keyring
    held: HeldKeks
    who: Mapping[str, Any]
    tell: Callable[[str], None]
    patience_seconds: float = PATIENCE_SECONDS
    _connection: Any = field(default=None, init=False, repr=False)

    async def __aenter__(self) -> Self:
        self._connection = await asyncpg.connect(self.dsn, timeout=CONNECT_SECONDS)
        if not await self._connection.fetchval("SELECT pg_try_advisory_lock($1, 0)", LOCK + 1):
            await self._connection.close(timeout=1)
            raise RotationBlocked("another rotation of keys is under way")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._connection.close(timeout=CONNECT_SECONDS)

    async def kek(self) -> KekRotated:
        """Replace the key-encryption key, or finish what an earlier call began.

        Raises `RotationBlocked` when a writer does not follow in time, `KeyServiceError`,
        `KeyFileError` and what the record raises.
        """
        agreed = await read_agreed(self._connection)
        if agreed.next_kek is None and agreed.old_kek is None:
            agreed = await self._begin(agreed)
        elif agreed.next_kek is not None and not await self._holds(agreed.next_kek):
            # Nothing is wrapped with it yet: another takes its place.
            self.tell(
                f"no key file here holds the next key {agreed.next_kek.hex()}: it is given up"
            )
            agreed = await self._begin(agreed)
        if agreed.next_kek is not None:
            await self._all_follow(agreed, "can unwrap with the next key")
            agreed = await self._agree(
                "kek",
                "switch",
                "old_kek = kek, kek = next_kek, next_kek = NULL",
                before=_hex(agreed.kek),
                after=_hex(agreed.next_kek),
            )
        before, after = agreed.old_kek or b"", agreed.kek or b""
        await self._all_follow(agreed, "wraps with the next key")
        total = await self._rewrapped(after)
        self.tell(f"wrapped {total.months} month keys and {total.subjects} keys of persons anew")
        await self._agree(
            "kek", "done", "old_kek = NULL",
            before=before.hex(), after=after.hex(), **total._asdict(),
        )  # fmt: skip
        await asyncio.to_thread(self.held.promote)
        return KekRotated(before, after, total)

    async def months(self) -> None:
        """Give up the keys of core and staff blocks; what follows is sealed with fresh ones."""
        month = datetime.now(UTC).strftime("%Y-%m")

        async def change(connection: Any) -> None:
            await connection.execute(_RETIRE_MONTHS)
            for purpose in ("core", "staff"):
                name = f"{purpose}/{month}/{os.urandom(4).hex()}"
                wrapped = self.held.wrap(name, secrets.token_bytes(KEY_BYTES))
                await connection.execute(_ADD_MONTH, name, wrapped)

        agreed = await self._agree("month", "done", "months = months + 1", also=change)
        await self._all_follow(agreed, "seals with the fresh month keys")

    async def subjects(self) -> None:
        """Give up the keys of persons; every person's next entry gets a fresh one."""
        agreed = await self._agree("subject", "done", "subjects = subjects + 1")
        await self._all_follow(agreed, "seals with fresh keys of persons")

    async def _begin(self, agreed: Agreed) -> Agreed:
        before = agreed.kek or self.held.kek_id
        path, after = await asyncio.to_thread(self.held.add)
        self.tell(f"made {path}: copy it to every other machine that runs the service")
        return await self._agree(
            "kek", "begin", "kek = $1, next_kek = $2", before, after,
            before=before.hex(), after=after.hex(),
        )  # fmt: skip

    async def _holds(self, kek_id: bytes) -> bool:
        return await asyncio.to_thread(self.held.holds, kek_id)

    async def _rewrapped(self, kek_id: bytes) -> Rewrapped:
        """Wrap anew until nothing is left, except what no key opens."""
        total, told_at = Rewrapped(), time.monotonic()

        def progress(done: int) -> None:
            nonlocal told_at
            if time.monotonic() - told_at > 2:
                told_at = time.monotonic()
                self.tell(f"{total.months + total.subjects + done} keys wrapped anew ...")

        while True:
            found = await rewrap(self._connection, self.ring, kek_id, progress)
            total = Rewrapped(
                total.months + found.months, total.subjects + found.subjects, found.broken
            )
            if not found.months + found.subjects:
                return total

    async def _agree(
        self,
        key: str,
        step: str,
        changes: str,
        *values: Any,
        also: Callable[[Any], Any] | None = None,
        **what: Any,
    ) -> Agreed:
        """Change the row, tell everybody, and record it; return what is agreed then."""
        async with self.actions.action(ACTION, self.who, key=key, step=step, **what) as action:
            await action.connection.fetchrow(_READ)
            await action.connection.execute(_WRITE.format(changes=changes), *values)
            if also is not None:
                await also(action.connection)
            agreed = await read_agreed(action.connection)
            action.what["epoch"] = agreed.epoch
            await action.connection.execute(f"NOTIFY {CHANNEL}")
        return agreed

    async def _all_follow(self, agreed: Agreed, what: str) -> None:
        deadline = time.monotonic() + self.patience_seconds
        told: set[int] = set()
        while behind := await sessions_behind(self._connection, agreed.epoch):
            if (time.monotonic() > deadline - self.patience_seconds + 2) and (
                {session.pid for session in behind} - told
            ):
                self.tell(f"waiting for {_named(behind)}")
                told |= {session.pid for session in behind}
            if time.monotonic() > deadline:
                raise RotationBlocked(
                    f"not every writer {what}: {_named(behind)}. Nothing is lost, and all keys "
                    "work; its log says what it lacks. Run the same again to go on"
                )
            await asyncio.sleep(POLL_SECONDS)
        self.tell(f"every writer {what}")


def _named(sessions: list[Any]) -> str:
    return ", ".join(
        f"{session.application or 'a session'} on {session.machine} "
        f"(session {session.pid} of the database)"
        for session in sessions
    )


def _hex(kek_id: bytes | None) -> str:
    return "" if kek_id is None else kek_id.hex()
