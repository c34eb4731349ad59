"""How does what people do come into the record?

A change in the database and its ledger entry, together: the entry is durable before the change is
committed. Invariant: no change without an entry; an entry whose change failed is followed by one
that says so.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson

from service.errors import Refused
from service.ledger.drain import AWAY
from service.ledger.entry import EntryDraft
from service.ledger.writer import LedgerWriter

CONNECT_SECONDS = 5.0
RECORD_SECONDS = 5.0
SYSTEM = "system"


class StoreAway(Refused):
    """PostgreSQL cannot be asked; nothing was changed."""

    code = "store_unavailable"


@dataclass(slots=True)
class Action:
    """One action under way. `connection` is an asyncpg connection inside the transaction.

    `what` goes into the entry's core block: no personal data, no identifier of a customer in clear;
    add to it as the action learns more. `who` goes into the staff block. `entry_id` is that of the
    entry to be, or of the one that says that the action failed.
    """

    connection: Any
    name: str
    who: dict[str, Any]
    what: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    entry_id: bytes = b""


class Actions:
    """Runs actions of people on the database of the service."""

    def __init__(self, dsn: str, ledger: LedgerWriter) -> None:
        self._dsn = dsn
        self._ledger = ledger

    @property
    def dsn(self) -> str:
        """The URL of the database, for work that needs connections of its own."""
        return self._dsn

    @asynccontextmanager
    async def action(self, name: str, who: Mapping[str, Any], **what: Any) -> AsyncIterator[Action]:
        """Open a transaction; when the block ends, record the action and commit.

        `name` is the entry's type, such as `rules.activate` (32 characters at most). When the block
        raises nothing is changed and nothing recorded. Raises `StoreAway`, `LedgerUnavailable` and
        what the block raises.
        """
        async with self.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            action = Action(connection, name, dict(who), dict(what), entry_id=os.urandom(16))
            try:
                yield action
                await self._record(action, name)
            except BaseException as error:
                with contextlib.suppress(asyncpg.PostgresError, *AWAY):
                    await transaction.rollback()
                # A ValueError is a value that a statement does not take, so a bug of ours.
                if isinstance(error, AWAY) and not isinstance(error, ValueError):
                    raise StoreAway from None
                raise
            try:
                await transaction.commit()
            except BaseException:
                action.what = {"failed": name, "entry": action.entry_id.hex()}
                action.entry_id = os.urandom(16)
                await self._record(action, "action.failed")
                raise

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """Give a connection for reading; raises `StoreAway`."""
        try:
            connection = await asyncpg.connect(self._dsn, timeout=CONNECT_SECONDS)
        except AWAY:
            raise StoreAway from None
        try:
            yield connection
        finally:
            with contextlib.suppress(asyncpg.PostgresError, *AWAY):
                await connection.close(timeout=1)

    async def _record(self, action: Action, kind: str) -> None:
        draft = EntryDraft(
            entry_id=action.entry_id,
            type=kind,
            event_key=None,
            body_hash=None,
            observed_at=datetime.now(UTC),
            versions=action.versions,
            core=orjson.dumps({"action": action.name, **action.what}, default=str),
            staff=orjson.dumps(action.who),
        )
        await self._ledger.append(draft, timeout_s=RECORD_SECONDS)
