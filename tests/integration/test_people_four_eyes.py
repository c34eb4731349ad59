"""Two people for every change of roles: what plain SQL as the service's user cannot get past."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from service.api_key import KeyHash, create_key
from service.people.errors import TooFewAdmins
from service.people.first import first_people
from service.people.requests import decide

REQUEST = (
    "INSERT INTO role_request (person, roles, reason, requested_by) "
    "VALUES ($1, $2, 'because', $3) RETURNING id"
)
DECISION = "INSERT INTO role_decision (request_id, decision, actor) VALUES ($1, $2, $3)"


@pytest.fixture
async def sql(fresh_postgres_url: str) -> AsyncIterator[Any]:
    """A connection to a database with the admins ana, bo and cy, and di without a role."""
    connection = await asyncpg.connect(fresh_postgres_url)
    await first_people(connection, {"ana": ["admin"], "bo": ["admin"], "cy": ["admin"]})
    await connection.execute("INSERT INTO person (id) VALUES ('di')")
    yield connection
    await connection.close()


async def asked(sql: Any, person: str, roles: list[str], actor: str) -> int:
    """Insert a request and return its number."""
    return int(await sql.fetchval(REQUEST, person, roles, actor))


async def roles_of(sql: Any, person: str) -> list[str] | None:
    """Return the roles that are in force."""
    found: list[str] | None = await sql.fetchval(
        "SELECT roles FROM person_grant WHERE person = $1", person
    )
    return found


async def refused(sql: Any, state: str, statement: str, *values: object) -> None:
    """Check that the database refuses the statement with this SQLSTATE."""
    with pytest.raises(asyncpg.PostgresError) as caught:
        await sql.execute(statement, *values)
    assert caught.value.sqlstate == state, caught.value


async def test_one_admin_asks_and_another_approves(sql: Any) -> None:
    """Nothing is in force before the approval, everything that was asked for after it."""
    number = await asked(sql, "di", ["analyst", "reviewer"], "ana")
    assert await roles_of(sql, "di") is None
    await sql.execute(DECISION, number, "approved", "bo")
    assert await roles_of(sql, "di") == ["analyst", "reviewer"]
    assert await roles_of(sql, "ana") == ["admin"]


async def test_nobody_approves_or_refuses_what_they_asked_for(sql: Any) -> None:
    """Who asked may only withdraw, and nobody else may."""
    number = await asked(sql, "di", ["analyst"], "ana")
    await refused(sql, "TSP02", DECISION, number, "approved", "ana")
    await refused(sql, "TSP02", DECISION, number, "refused", "ana")
    await refused(sql, "TSP02", DECISION, number, "withdrawn", "bo")
    await sql.execute(DECISION, number, "withdrawn", "ana")
    assert await roles_of(sql, "di") is None


async def test_nobody_decides_on_what_concerns_themselves(sql: Any) -> None:
    """Not even an admin, whoever asked for it."""
    number = await asked(sql, "bo", ["admin", "approver"], "ana")
    await refused(sql, "TSP02", DECISION, number, "approved", "bo")
    await refused(sql, "TSP02", DECISION, number, "refused", "bo")
    await sql.execute(DECISION, number, "approved", "cy")
    assert await roles_of(sql, "bo") == ["admin", "approver"]


async def test_only_admins_ask_and_decide(sql: Any) -> None:
    """Neither people without the role, nor names that nobody has, nor `system`, nor case tricks."""
    number = await asked(sql, "di", ["admin"], "ana")
    for actor in ("di", "nobody", "system", "machine", "Bo", "bo ", ""):
        await refused(sql, "TSP01", REQUEST, "di", ["admin"], actor)
        for decision in ("approved", "refused"):
            await refused(sql, "TSP01", DECISION, number, decision, actor)


async def test_a_decision_is_the_last_word(sql: Any) -> None:
    """What was refused, withdrawn or approved is not decided on again."""
    for decision, actor in (("approved", "bo"), ("refused", "bo"), ("withdrawn", "ana")):
        number = await asked(sql, "di", ["reviewer"], "ana")
        await sql.execute(DECISION, number, decision, actor)
        await refused(sql, "TSP05", DECISION, number, "approved", "cy")
    await refused(sql, "TSP06", DECISION, 4711, "approved", "cy")


async def test_an_approval_is_of_what_was_seen(sql: Any) -> None:
    """A request lapses when the person's roles change; its `base` cannot be made up."""
    older = await asked(sql, "di", ["analyst"], "ana")
    newer = await asked(sql, "di", ["reviewer"], "ana")
    await sql.execute(DECISION, newer, "approved", "bo")
    await refused(sql, "TSP03", DECISION, older, "approved", "bo")
    forged = await sql.fetchval(
        "INSERT INTO role_request (person, roles, reason, requested_by, base) "
        "VALUES ('di', '{analyst}', 'because', 'ana', $1) RETURNING base",
        older,
    )
    assert forged == newer
    assert await roles_of(sql, "di") == ["reviewer"]


async def test_a_number_that_is_forced_does_not_freeze_a_persons_roles(sql: Any) -> None:
    """Which request is in force follows from what it was based on, not from its number."""
    await sql.execute(
        "INSERT INTO role_request (id, person, roles, reason, requested_by) "
        "OVERRIDING SYSTEM VALUE VALUES (1000000, 'di', '{analyst}', 'because', 'ana')"
    )
    await sql.execute(DECISION, 1_000_000, "approved", "bo")
    number = await asked(sql, "di", [], "ana")
    await sql.execute(DECISION, number, "approved", "bo")
    assert await roles_of(sql, "di") == []


async def test_who_is_no_admin_any_more_has_asked_for_nothing(sql: Any) -> None:
    """A request lapses when who asked loses the role."""
    number = await asked(sql, "di", ["analyst"], "cy")
    await sql.execute(DECISION, await asked(sql, "cy", [], "ana"), "approved", "bo")
    await refused(sql, "TSP03", DECISION, number, "approved", "ana")
    await refused(sql, "TSP01", REQUEST, "di", ["analyst"], "cy")


async def test_two_admins_remain(sql: Any) -> None:
    """The last but one can leave nobody alone; neither can two who remove each other at once."""
    await sql.execute(DECISION, await asked(sql, "cy", ["reviewer"], "ana"), "approved", "bo")
    own = await asked(sql, "bo", [], "bo")
    await refused(sql, "TSP04", DECISION, own, "approved", "ana")
    assert await roles_of(sql, "bo") == ["admin"]


async def test_what_would_leave_one_admin_is_refused_before_it_is_recorded(sql: Any) -> None:
    """The program hears of it when it decides, not when it commits, which is after the record."""
    await sql.execute(DECISION, await asked(sql, "cy", [], "ana"), "approved", "bo")
    own = await asked(sql, "bo", [], "bo")
    async with sql.transaction():
        with pytest.raises(TooFewAdmins):
            async with sql.transaction():
                await decide(sql, own, "approved", "ana")


async def test_admins_who_remove_each_other_at_once(sql: Any, fresh_postgres_url: str) -> None:
    """Of two decisions at the same moment the second sees what the first did."""
    first = await asked(sql, "bo", [], "ana")
    second = await asked(sql, "ana", [], "bo")
    other = await asyncpg.connect(fresh_postgres_url)
    try:
        one, two = sql.transaction(), other.transaction()
        await one.start()
        await two.start()
        await sql.execute(DECISION, first, "approved", "cy")
        waiting = asyncio.create_task(other.execute(DECISION, second, "approved", "cy"))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await one.commit()
        with pytest.raises(asyncpg.PostgresError) as caught:
            await waiting
        assert caught.value.sqlstate == "TSP03"  # bo, who asked, is no admin any more
        await two.rollback()
    finally:
        await other.close()


@pytest.mark.parametrize("isolation", ["repeatable_read", "serializable"])
async def test_a_decision_on_an_old_view_is_refused(sql: Any, isolation: str) -> None:
    """A transaction that would not see what others decided meanwhile cannot decide."""
    number = await asked(sql, "di", ["analyst"], "ana")
    async with sql.transaction(isolation=isolation):
        with pytest.raises(asyncpg.PostgresError) as caught:
            await sql.execute(DECISION, number, "approved", "bo")
    assert caught.value.sqlstate == "TSP03"


async def test_the_first_people_are_the_first(sql: Any) -> None:
    """Once there are people nobody is let in in the name of `system`."""
    with pytest.raises(asyncpg.UniqueViolationError):
        await sql.execute("INSERT INTO people_start DEFAULT VALUES")
    with pytest.raises(asyncpg.UniqueViolationError):
        await sql.execute("INSERT INTO people_start (transaction) VALUES (pg_current_xact_id())")
    await refused(sql, "TSP01", REQUEST, "di", ["admin"], "system")
    number = await asked(sql, "di", ["admin"], "ana")
    await refused(sql, "TSP01", DECISION, number, "approved", "system")


async def test_first_people_without_two_admins_are_none(fresh_postgres_url: str) -> None:
    """A start that leaves fewer than two admins is undone when it is committed."""
    connection = await asyncpg.connect(fresh_postgres_url)
    try:
        with pytest.raises(asyncpg.PostgresError) as caught:
            await connection.execute("INSERT INTO people_start DEFAULT VALUES")
        assert caught.value.sqlstate == "TSP04"
        assert not await connection.fetchval("SELECT EXISTS (SELECT FROM people_start)")
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("person", "UPDATE person SET created_at = now()"),
        ("people_start", "UPDATE people_start SET transaction = pg_current_xact_id()"),
        ("role_request", "UPDATE role_request SET roles = '{admin}'"),
        ("role_decision", "UPDATE role_decision SET decision = 'approved'"),
    ],
)
async def test_what_was_written_stays(sql: Any, table: str, change: str) -> None:
    """No row of these tables is changed or goes away."""
    await refused(sql, "TSP08", change)
    await refused(sql, "TSP08", f"DELETE FROM {table}")  # noqa: S608  names of this file
    await refused(sql, "TSP08", f"TRUNCATE {table} CASCADE")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE api_key SET person = 'ana'",
        "UPDATE api_key SET scopes = '{score,events:write}'",
        "UPDATE api_key SET hash = ''",
        "UPDATE api_key SET event_types = '{login}'",
        "UPDATE api_key SET key_id = 'other'",
        "DELETE FROM api_key",
        "TRUNCATE api_key",
    ],
)
async def test_a_key_does_not_change(sql: Any, change: str) -> None:
    """Its owner, scopes, limits and hash stay, and it is not deleted."""
    await create_key(sql, KeyHash(bytes(32)), "shop", ["score"])
    await refused(sql, "TSP08", change)


async def test_a_revoked_key_stays_revoked(sql: Any) -> None:
    """Revoking is the only change of a key, and it is for good."""
    await create_key(sql, KeyHash(bytes(32)), "shop", ["score"])
    await sql.execute("UPDATE api_key SET revoked_at = now()")
    await refused(sql, "TSP08", "UPDATE api_key SET revoked_at = NULL")
    await refused(sql, "TSP08", "UPDATE api_key SET revoked_at = now() + interval '1 day'")


async def test_a_programs_key_is_at_most_a_callers(sql: Any) -> None:
    """A key of nobody with more is refused, whatever inserts it."""
    await refused(
        sql,
        "23514",
        "INSERT INTO api_key (key_id, name, hash, scopes) VALUES ('k', 'k', '', '{rules:approve}')",
    )
