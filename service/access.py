"""Who is calling, and may they?

All keys are held in memory: a request costs one HMAC and no round trip. Invariant: a key that was
revoked, or a role that was taken away, works for two seconds at most while PostgreSQL answers (it
notifies, so that it mostly is a tenth of one); while it does not, the last known state holds, so
that a database that is down does not lock the shop out.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import asyncpg

from service.api_key import ApiKey, KeyHash, key_id_of, list_keys
from service.background import Background
from service.logins import Logins
from service.people.limits import EVERYTHING, Limits

REFRESH_SECONDS = 2.0
# An unknown key may just have been created: look at once, but not more often than this,
# whatever callers send.
MISS_SECONDS = 0.1
# A caller with an unknown key is told so after this, also while PostgreSQL hangs.
MISS_PATIENCE_SECONDS = 0.5
QUERY_SECONDS = 5.0
CHANNEL = "touchstone_people"

log = logging.getLogger(__name__)


class AccessDenied(Exception):
    """The caller may not do this. Every leaf has a stable `code`."""

    code = "access_denied"


class MissingKey(AccessDenied):
    """There is no `Authorization: Bearer` header."""

    code = "missing_key"


class InvalidKey(AccessDenied):
    """The key is unknown, wrong or revoked."""

    code = "invalid_key"


class MissingScope(AccessDenied):
    """The key is good and lacks the scope."""

    code = "missing_scope"

    def __init__(self, key_id: str, scope: str) -> None:
        super().__init__(f"the key {key_id} lacks the scope {scope}")
        self.scope = scope


class KeysUnavailable(AccessDenied):
    """No key could be read since the start, PostgreSQL is down: nobody can be told apart."""

    code = "keys_unavailable"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a key belongs to."""

    key_id: str
    name: str
    scopes: frozenset[str]
    person: str | None = None
    roles: tuple[str, ...] = ()
    limits: Limits = EVERYTHING

    @property
    def actor(self) -> str:
        """Who acts, as records name it: a person, or a key that belongs to none."""
        return self.person or f"key:{self.key_id}"

    @property
    def who(self) -> dict[str, str]:
        """What the staff block of an entry says of the caller."""
        return {"actor": self.actor, "key": self.key_id}


class ApiKeys:
    """The keys that are good at the moment; `async with` keeps them up to date."""

    def __init__(self, dsn: str, tag_key: bytes, logins: Logins | None = None) -> None:
        """`logins` is told of uses and of refused attempts; it begins and ends with this."""
        self._dsn = dsn
        self._logins = logins
        self._revoked: Mapping[str, Caller] = {}
        self._hash = KeyHash(tag_key)
        self._keys: Mapping[str, tuple[bytes, Caller]] | None = None
        self._connection: Any = None
        self._refreshing = Background("api-keys")
        self._asked = asyncio.Event()
        self._begun = 0
        self._ended = 0
        self._refreshed = asyncio.Condition()
        self._is_stale = False

    async def __aenter__(self) -> Self:
        """Read the keys; PostgreSQL being down is no error, the next refresh may find it."""
        if self._logins is not None:
            await self._logins.__aenter__()
        await self._refresh()
        self._refreshing.start(self._keep_fresh())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._refreshing.end()
        await self._disconnect()
        if self._logins is not None:
            await self._logins.__aexit__(kind, error, trace)

    async def authorize(self, header: str | None, scope: str) -> Caller:
        """Return who sent this Authorization header, if they may use the scope.

        Raises `MissingKey`, `InvalidKey`, `MissingScope` and `KeysUnavailable`.
        """
        caller = await self.authenticate(header)
        if scope not in caller.scopes:
            raise MissingScope(caller.key_id, scope)
        return caller

    async def authenticate(self, header: str | None) -> Caller:
        """Return who sent this Authorization header.

        Raises `MissingKey`, `InvalidKey` and `KeysUnavailable`.
        """
        kind, _, key = (header or "").partition(" ")
        key = key.strip()
        if kind.lower() != "bearer" or not key:
            raise MissingKey("no bearer key in the Authorization header")
        key_id = key_id_of(key)
        if key_id is None:
            raise InvalidKey("not a key of this service")
        if self._keys is None or key_id not in self._keys:
            await self._ask()
        if self._keys is None:
            raise KeysUnavailable("the API keys have not been read yet")
        found = self._keys.get(key_id)
        if found is None or not hmac.compare_digest(found[0], self._hash(key)):
            if self._logins is not None:
                self._note_refused(key_id, self._logins)
            raise InvalidKey("unknown, wrong or revoked key")
        caller = found[1]
        if caller.person is not None and self._logins is not None:
            self._logins.used(caller.key_id, caller.person, caller.roles)
        return caller

    def _note_refused(self, key_id: str, logins: Logins) -> None:
        if self._keys is not None and key_id in self._keys:
            logins.refused(key_id, self._keys[key_id][1].actor, "wrong_secret")
        elif key_id in self._revoked:
            logins.refused(key_id, self._revoked[key_id].actor, "revoked")

    async def _ask(self) -> None:
        """Wait for a refresh that begins after this call, for a short time."""
        target = self._begun + 1
        self._asked.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MISS_PATIENCE_SECONDS), self._refreshed:
                await self._refreshed.wait_for(lambda: self._ended >= target)

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(MISS_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), REFRESH_SECONDS - MISS_SECONDS)
            self._asked.clear()
            self._begun += 1
            await self._refresh()
            async with self._refreshed:
                self._ended = self._begun
                self._refreshed.notify_all()

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(QUERY_SECONDS):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(self._dsn)
                    await self._connection.add_listener(CHANNEL, self._notified)
                rows = await list_keys(self._connection)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            await self._disconnect()
            if not self._is_stale:
                log.warning("API keys not refreshed, the last known hold: %s", type(error).__name__)
            self._is_stale = True
            return
        self._is_stale = False
        self._keys = {
            row.key_id: (row.hash, _caller(row)) for row in rows if row.revoked_at is None
        }
        self._revoked = {row.key_id: _caller(row) for row in rows if row.revoked_at is not None}

    def _notified(self, *_: object) -> None:
        self._asked.set()

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it may be broken already: nothing is lost
                await connection.close(timeout=1)


def _caller(row: ApiKey) -> Caller:
    return Caller(row.key_id, row.name, row.scopes, row.person, row.roles, row.limits)
