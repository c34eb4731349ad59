"""Two people for every export: what plain SQL as the service's user cannot get past."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from service.audit.exports.errors import ExportNotAllowed, WrongExportState
from service.audit.exports.jobs import cancel, claim, end_job, here, keep_ready, ready_package
from service.audit.exports.requests import read_export
from service.audit.package.build import Package
from tests.people import give_roles

ASK = (
    "INSERT INTO export (id, first, last, blocks, purpose, role, requested_by) "
    "VALUES ($1, 0, 10, $2, 'because', 'compliance', $3)"
)
DECIDE = (
    "INSERT INTO export_decision (export_id, decision, actor, reason) VALUES ($1, $2, $3, 'why')"
)
BUILD = "INSERT INTO export_job (export_id, state) VALUES ($1, 'queued')"
READY = (
    "UPDATE export_job SET state = 'ready', wrapped = 'k', members = '[]', bytes = 1, node = 'n', "
    "manifest = sha256('m'), expires_at = now() WHERE export_id = $1"
)


@pytest.fixture
async def sql(fresh_postgres_url: str) -> AsyncIterator[Any]:
    """A connection to a database with two people of compliance, two auditors and an analyst."""
    connection = await asyncpg.connect(fresh_postgres_url)
    for person, role in (
        ("cora", "compliance"), ("carl", "compliance"), ("audrey", "auditor"),
        ("abel", "auditor"), ("ann", "analyst"),
    ):  # fmt: skip
        await give_roles(connection, person, role)
    yield connection
    await connection.close()


async def asked(sql: Any, actor: str = "cora", blocks: tuple[str, ...] = ("core",)) -> UUID:
    """Insert a request and return its id."""
    export_id = uuid4()
    await sql.execute(ASK, export_id, list(blocks), actor)
    return export_id


async def refused(sql: Any, state: str, statement: str, *values: object) -> None:
    """Check that the database refuses the statement with this SQLSTATE."""
    with pytest.raises(asyncpg.PostgresError) as caught:
        await sql.execute(statement, *values)
    assert caught.value.sqlstate == state, caught.value


async def test_nothing_is_built_before_somebody_else_approved(sql: Any) -> None:
    """Neither without a decision nor after a refusal is there a job."""
    export = await asked(sql)
    await refused(sql, "TSX04", BUILD, export)
    await refused(sql, "TSX02", DECIDE, export, "approved", "cora")
    await refused(sql, "TSX02", DECIDE, export, "refused", "cora")
    await sql.execute(DECIDE, export, "refused", "carl")
    await refused(sql, "TSX04", BUILD, export)
    await refused(sql, "TSX03", DECIDE, export, "approved", "carl")


async def test_who_asked_withdraws_and_nobody_else(sql: Any) -> None:
    """A withdrawal is the requester's, and the last word."""
    export = await asked(sql)
    await refused(sql, "TSX02", DECIDE, export, "withdrawn", "carl")
    await sql.execute(DECIDE, export, "withdrawn", "cora")
    await refused(sql, "TSX03", DECIDE, export, "approved", "carl")
    await refused(sql, "TSX06", DECIDE, uuid4(), "approved", "carl")


async def test_roles_say_what_may_be_asked_for_and_approved(sql: Any) -> None:
    """Persons are for compliance alone, on both sides; others neither ask nor approve."""
    for actor in ("ann", "first-admin"):
        await refused(sql, "TSX01", ASK, uuid4(), ["core"], actor)
    await refused(sql, "TSX01", ASK, uuid4(), ["core", "subject"], "audrey")
    plain, persons = (
        await asked(sql, "audrey", ("core", "staff")),
        await asked(sql, "cora", ("subject",)),
    )
    for actor in ("ann", "first-admin", "system"):
        await refused(sql, "TSX01", DECIDE, plain, "approved", actor)
    await refused(sql, "TSX01", DECIDE, persons, "approved", "audrey")
    await sql.execute(DECIDE, plain, "approved", "abel")
    await sql.execute(DECIDE, persons, "approved", "carl")
    roles = [
        await sql.fetchval("SELECT role FROM export WHERE id = $1", one) for one in (plain, persons)
    ]
    assert roles == ["auditor", "compliance"]


async def test_an_approval_needs_the_role_that_was_asked_in(sql: Any) -> None:
    """Who lost the role since the request gets nothing approved."""
    export = await asked(sql)
    await give_roles(sql, "cora", "auditor")
    await refused(sql, "TSX04", DECIDE, export, "approved", "carl")
    await sql.execute(DECIDE, export, "refused", "carl")


async def test_a_package_goes_with_its_key(sql: Any) -> None:
    """What has expired has no key and no members, and comes back in no other state."""
    export = await asked(sql)
    await sql.execute(DECIDE, export, "approved", "carl")
    await sql.execute(BUILD, export)
    await refused(sql, "TSX04", READY, export)
    await sql.execute("UPDATE export_job SET state = 'running' WHERE export_id = $1", export)
    await sql.execute(READY, export)
    await sql.execute("UPDATE export_job SET state = 'expired' WHERE export_id = $1", export)
    row = await sql.fetchrow("SELECT * FROM export_job WHERE export_id = $1", export)
    assert (row["wrapped"], row["members"]) == (None, None)
    for state in ("ready", "queued", "running"):
        await refused(sql, "TSX04", "UPDATE export_job SET state = $1", state)


async def test_what_was_cancelled_is_never_ready(sql: Any) -> None:
    """Whoever cancels, or erases a person, just before a package is done is not too late."""
    export = await asked(sql)
    await sql.execute(DECIDE, export, "approved", "carl")
    await sql.execute(BUILD, export)
    building = await claim(sql, "here")
    assert building is not None
    await cancel(sql, building, "carl")
    package = Package([], 1, bytes(32), 10, {}, {}, 10)
    assert not await keep_ready(sql, building, b"k", package, 1)
    await end_job(sql, export, "failed", "The job was ended by somebody else.")
    ended = await read_export(sql, export)
    assert (ended.state, ended.error) == ("cancelled", None)


async def test_a_package_is_taken_back(sql: Any) -> None:
    """Either of the two people ends a package that lies ready; its key goes at once."""
    export = await asked(sql)
    await sql.execute(DECIDE, export, "approved", "carl")
    await sql.execute(BUILD, export)
    building = await claim(sql, "here")
    assert building is not None
    assert await keep_ready(sql, building, b"k", Package([], 1, bytes(32), 10, {}, {}, 10), 1)
    assert (await ready_package(sql, export, "here")).wrapped == b"k"
    with pytest.raises(ExportNotAllowed):
        await cancel(sql, building, "abel")
    await cancel(sql, building, "carl")
    with pytest.raises(WrongExportState, match="The export is expired"):
        await ready_package(sql, export, "here")
    assert await sql.fetchval("SELECT wrapped FROM export_job") is None
    assert await here(sql, "here") == set()


async def test_what_was_asked_and_decided_stays(sql: Any) -> None:
    """No row is changed or deleted, not even by a hand."""
    export = await asked(sql)
    await sql.execute(DECIDE, export, "approved", "carl")
    await sql.execute(BUILD, export)
    for statement in (
        "UPDATE export SET last = 1000", "DELETE FROM export", "TRUNCATE export CASCADE",
        "UPDATE export_decision SET actor = 'abel'", "DELETE FROM export_decision",
        "DELETE FROM export_job",
    ):  # fmt: skip
        await refused(sql, "TSX05", statement)
