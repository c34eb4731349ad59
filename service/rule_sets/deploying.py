"""How does another version begin to decide, or to watch?

Every act adds one row to `deployment`; the database refuses what does not fit what runs. Each
function runs in the transaction of an action, and nobody else deploys until it ends.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, replace
from typing import Any

from service.rule_sets.errors import WrongState, refusals
from service.rule_sets.store import Deployment, deployed, deployment_of, lock_deployments

SHARES = 10_000
# Nobody holds the lock for longer than it takes to write an entry of the ledger.
_PATIENCE = "SET LOCAL lock_timeout = '10s'"


@dataclass(frozen=True, slots=True)
class Deploying:
    """Who deploys, in whose words, and with which catalog the version was checked."""

    actor: str
    note: str
    catalog: str | None = None


@dataclass(frozen=True, slots=True)
class _Next:
    live: str
    candidate: str | None
    candidate_share_bp: int | None
    salt: str | None
    shadows: tuple[str, ...]


async def activate(connection: Any, version: str, by: Deploying) -> Deployment:
    """Put an approved version live, for everybody; a rollout of it ends with that."""
    was = await _now(connection)
    return await _add(connection, "activate", _live(was, version), by)


async def rollback(connection: Any, version: str, by: Deploying) -> Deployment:
    """Put a version live again that was live before; a rollout ends with that."""
    was = await _now(connection)
    return await _add(connection, "rollback", _live(was, version), by)


async def roll_out(connection: Any, version: str, share_bp: int, by: Deploying) -> Deployment:
    """Let an approved version decide for a share of the subjects, `share_bp` of 10,000."""
    was = await _now(connection)
    then = replace(
        _same(was),
        candidate=version,
        candidate_share_bp=share_bp,
        salt=secrets.token_hex(8),
        shadows=tuple(one for one in was.shadows if one != version),
    )
    return await _add(connection, "rollout", then, by)


async def ramp(connection: Any, version: str, share_bp: int, by: Deploying) -> Deployment:
    """Change the share of the rollout; who is in stays in as it grows."""
    was = await _now(connection)
    _check_candidate(was, version)
    return await _add(connection, "ramp", replace(_same(was), candidate_share_bp=share_bp), by)


async def abort(connection: Any, version: str, by: Deploying) -> Deployment:
    """End the rollout: the live version decides for everybody again."""
    was = await _now(connection)
    _check_candidate(was, version)
    then = replace(_same(was), candidate=None, candidate_share_bp=None, salt=None)
    return await _add(connection, "abort", then, by)


async def shadow(connection: Any, version: str, by: Deploying) -> Deployment:
    """Let a version that passed the check watch: what it would have decided is counted."""
    was = await _now(connection)
    then = replace(_same(was), shadows=(*was.shadows, version))
    return await _add(connection, "shadow", then, by)


async def unshadow(connection: Any, version: str, by: Deploying) -> Deployment:
    """Let a version watch no more."""
    was = await _now(connection)
    then = replace(_same(was), shadows=tuple(one for one in was.shadows if one != version))
    return await _add(connection, "unshadow", then, by)


async def previous(connection: Any) -> str:
    """Return the version that was live before the one that is, rollbacks undone.

    After a rollback it is not the version that was rolled back, but the one before.
    """
    rows = await connection.fetch(
        "SELECT action, live FROM deployment WHERE revision = live_since ORDER BY revision"
    )
    lives: list[str] = []
    for row in rows:
        if row["action"] == "rollback" and row["live"] in lives:
            while lives[-1] != row["live"]:
                lives.pop()
        else:
            lives.append(row["live"])
    if len(lives) < 2:
        raise WrongState("No other version was live before.")
    return lives[-2]


async def _now(connection: Any) -> Deployment:
    with refusals():
        await connection.execute(_PATIENCE)
        await lock_deployments(connection)
    return await deployed(connection)


def _same(was: Deployment) -> _Next:
    return _Next(was.live, was.candidate, was.candidate_share_bp, was.salt, was.shadows)


def _live(was: Deployment, version: str) -> _Next:
    return _Next(version, None, None, None, tuple(one for one in was.shadows if one != version))


def _check_candidate(was: Deployment, version: str) -> None:
    if was.candidate is not None and was.candidate != version:
        raise WrongState(f"The rollout that is under way is one of {was.candidate[:16]}.")


async def _add(connection: Any, action: str, then: _Next, by: Deploying) -> Deployment:
    row = {**asdict(then), "action": action, **asdict(by)}
    with refusals():
        added = await connection.fetchrow(
            "INSERT INTO deployment (action, live, candidate, candidate_share_bp, salt, shadows, "
            "catalog, actor, note) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING *",
            row["action"],
            row["live"],
            row["candidate"],
            row["candidate_share_bp"],
            row["salt"],
            list(then.shadows),
            row["catalog"],
            row["actor"],
            row["note"],
        )
    return deployment_of(added)
