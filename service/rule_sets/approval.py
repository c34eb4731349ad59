"""Who vouches for a rule set? One who submits it, and another who approves it.

The database decides; here the evidence is found and the sentences are for people. Each function
runs in the transaction of an action.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from service.rule_sets.errors import EvidenceMissing, UnknownBacktest, WrongState, refusals
from service.rule_sets.store import as_json, deployed

Row = dict[str, Any]


async def record_check(connection: Any, version: str, found: Row, *, code: str, actor: str) -> Row:
    """Keep what a check found; return the row."""
    row = await connection.fetchrow(
        "INSERT INTO rule_set_check "
        "(version, catalog, code, passed, rules, examples, problems, actor) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING *",
        version,
        found["catalog"],
        code,
        found["passed"],
        found["rules"],
        found["examples"],
        as_json(found["problems"]),
        actor,
    )
    return dict(row)


async def newest_check(connection: Any, version: str, catalog: str) -> Row | None:
    """Return the newest check of a version with a catalog, passed or not."""
    row = await connection.fetchrow(
        "SELECT * FROM rule_set_check WHERE version = $1 AND catalog = $2 ORDER BY id DESC LIMIT 1",
        version,
        catalog,
    )
    return None if row is None else dict(row)


async def submit(
    connection: Any,
    version: str,
    *,
    catalog: str,
    actor: str,
    note: str,
    backtest_id: UUID | None = None,
) -> Row:
    """Ask for approval of a version, with its newest check and its newest backtest against live.

    `catalog`: what it must have been checked and tested with. Raises `EvidenceMissing`,
    `ApprovalLapsed` and `WrongState`.
    """
    live = (await deployed(connection)).live
    if version == live:
        raise WrongState(f"{version[:16]} is live already.")
    if await open_submission(connection, version) is not None:
        raise WrongState(f"{version[:16]} is submitted already: it waits for somebody's approval.")
    check = await newest_check(connection, version, catalog)
    if check is None or not check["passed"]:
        done = "has not passed the check" if check is None else "failed its last check"
        raise EvidenceMissing(f"{version[:16]} {done}: touchstone rules check {version[:16]}")
    if backtest_id is None:
        backtest_id = await newest_backtest(connection, version, live, catalog)
        if backtest_id is None:
            raise EvidenceMissing(
                f"{version[:16]} has no finished backtest against what is live ({live[:16]}): "
                f"touchstone rules backtest {version[:16]}"
            )
    elif not await _is_backtest_of(connection, backtest_id, version, live):
        raise UnknownBacktest(
            f"This is no backtest of {version[:16]} against what is live ({live[:16]})."
        )
    with refusals():
        row = await connection.fetchrow(
            "INSERT INTO rule_set_submission "
            "(version, check_id, backtest_id, baseline, actor, note) "
            "VALUES ($1, $2, $3, $4, $5, $6) RETURNING *",
            version,
            check["id"],
            backtest_id,
            live,
            actor,
            note,
        )
    return dict(row)


async def _is_backtest_of(connection: Any, backtest_id: UUID, version: str, baseline: str) -> bool:
    return bool(
        await connection.fetchval(
            "SELECT EXISTS (SELECT FROM backtest WHERE id = $1 AND version = $2 AND baseline = $3)",
            backtest_id,
            version,
            baseline,
        )
    )


async def newest_backtest(
    connection: Any, version: str, baseline: str, catalog: str
) -> UUID | None:
    """Return the id of the newest finished backtest of a version against a baseline."""
    found: UUID | None = await connection.fetchval(
        "SELECT id FROM backtest WHERE version = $1 AND baseline = $2 AND catalog = $3 "
        "AND state = 'done' ORDER BY ended_at DESC NULLS LAST, created_at DESC LIMIT 1",
        version,
        baseline,
        catalog,
    )
    return found


async def open_submission(connection: Any, version: str) -> Row | None:
    """Return the submission of a version that waits for a decision and can still have it."""
    row = await connection.fetchrow(
        "SELECT s.* FROM rule_set_submission AS s WHERE s.version = $1 "
        "AND s.baseline = (SELECT live FROM deployment ORDER BY revision DESC LIMIT 1) "
        "AND NOT EXISTS (SELECT FROM rule_set_approval WHERE submission_id = s.id) "
        "AND NOT EXISTS (SELECT FROM rule_set_rejection WHERE submission_id = s.id) "
        "ORDER BY s.id DESC LIMIT 1",
        version,
    )
    return None if row is None else dict(row)


async def approve(
    connection: Any, version: str, *, actor: str, note: str, submission_id: int | None = None
) -> Row:
    """Approve what somebody else submitted; return the approval with its evidence.

    `submission_id`: what was looked at, where it is known. Raises `OwnWork`, `ApprovalLapsed`,
    `EvidenceMissing` and `WrongState`.
    """
    submission = await _decided(connection, version, submission_id)
    with refusals():
        row = await connection.fetchrow(
            "INSERT INTO rule_set_approval (submission_id, version, actor, note) "
            "VALUES ($1, $2, $3, $4) RETURNING *",
            submission["id"],
            version,
            actor,
            note,
        )
    evidence = {key: submission[key] for key in ("baseline", "check_id", "backtest_id")}
    return {**dict(row), **evidence, "submitted_by": submission["actor"]}


async def reject(
    connection: Any, version: str, *, actor: str, note: str, submission_id: int | None = None
) -> Row:
    """Say no to what was submitted, with a reason. Who submitted it may take it back so, too."""
    submission = await _decided(connection, version, submission_id)
    with refusals():
        row = await connection.fetchrow(
            "INSERT INTO rule_set_rejection (submission_id, version, actor, note) "
            "VALUES ($1, $2, $3, $4) RETURNING *",
            submission["id"],
            version,
            actor,
            note,
        )
    return {**dict(row), "submitted_by": submission["actor"]}


async def _decided(connection: Any, version: str, submission_id: int | None) -> Row:
    submission = await open_submission(connection, version)
    if submission is None:
        last = await connection.fetchrow(
            "SELECT id, baseline FROM rule_set_submission WHERE version = $1 "
            "ORDER BY id DESC LIMIT 1",
            version,
        )
        if last is None:
            raise WrongState(f"Nobody submitted {version[:16]}.")
        live = (await deployed(connection)).live
        if last["baseline"] != live:
            raise WrongState(
                f"{version[:16]} was submitted to replace {last['baseline'][:16]}, and "
                f"{live[:16]} is live: it needs a backtest against that, and to be submitted again."
            )
        raise WrongState(f"The submission of {version[:16]} was decided already.")
    if submission_id not in (None, submission["id"]):
        raise WrongState(f"{version[:16]} was submitted again meanwhile: look at it again.")
    return submission


async def authors(connection: Any, version: str, baseline: str) -> list[str]:
    """Return everybody who wrote what a version changes; none of them may approve it."""
    rows = await connection.fetch(
        "SELECT author FROM touchstone_authors($1, $2) AS author ORDER BY author",
        version,
        baseline,
    )
    return [row["author"] for row in rows]
