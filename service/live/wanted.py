"""What is to run, as the database says it?

Invariant: a stop that was lifted, or that lapsed without a second person's confirmation, is not
among the stops.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rules.files import RuleSetFiles
from service.actions import SYSTEM, Actions
from service.rule_sets.store import (
    deployed,
    import_first,
    is_deployed,
    lock_deployments,
    stops,
)

_LIKELY = """
SELECT version FROM (
    (SELECT live AS version, max(deployed_at) AS at FROM deployment
        GROUP BY live ORDER BY max(revision) DESC LIMIT $1)
    UNION ALL
    (SELECT version, approved_at FROM rule_set_approval ORDER BY id DESC LIMIT $1)
) AS found GROUP BY version ORDER BY max(at) DESC, version
"""
_LIVES = "SELECT live FROM deployment GROUP BY live ORDER BY max(revision) DESC LIMIT $1"


class Wanted(NamedTuple):
    """What is to run. `stopped`: ids of the rules that have no effect, whatever set runs."""

    revision: int
    live: str
    candidate: str | None = None
    share_bp: int = 0
    salt: str = ""
    shadows: tuple[str, ...] = ()
    stopped: frozenset[str] = frozenset()

    @property
    def versions(self) -> tuple[str, ...]:
        """Every version that runs in some way, the live one first."""
        found = (self.live, *((self.candidate,) if self.candidate else ()), *self.shadows)
        return tuple(dict.fromkeys(found))


class _Deployed(Exception):
    """Another process was first."""


async def read_wanted(connection: Any) -> Wanted:
    """Return what is to run; raise `WrongState` where nothing was ever deployed.

    Two small queries, so that it may be asked every half second.
    """
    found = await deployed(connection)
    now = datetime.now(UTC)
    return Wanted(
        revision=found.revision,
        live=found.live,
        candidate=found.candidate,
        share_bp=found.candidate_share_bp or 0,
        salt=found.salt or "",
        shadows=found.shadows,
        stopped=frozenset(s.rule_id for s in await stops(connection) if s.is_effective(now)),
    )


async def ensure_deployed(connection: Any, actions: Actions, first: RuleSetFiles) -> None:
    """Import `first`, on the record, where nothing was ever deployed."""
    if await is_deployed(connection):
        return
    with contextlib.suppress(_Deployed):  # raised: of several, one leaves an entry
        async with actions.action("rules.first", {"actor": SYSTEM}, version=first.version) as one:
            await _import(one.connection, first)


async def _import(connection: Any, first: RuleSetFiles) -> None:
    await lock_deployments(connection)
    if await is_deployed(connection):
        raise _Deployed
    await import_first(connection, first)


async def read_likely(connection: Any, most: int) -> list[str]:
    """Return the versions that may be wanted next: approved ones, and those that were live."""
    return [row["version"] for row in await connection.fetch(_LIKELY, most)]


async def read_lives(connection: Any, most: int) -> list[str]:
    """Return the versions that were live, the latest first."""
    return [row["live"] for row in await connection.fetch(_LIVES, most)]
