"""Four eyes in the database: plain SQL of the service's own user does not go around them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from rules.files import RuleSetFiles
from service.rule_sets.deploying import previous
from service.rule_sets.errors import WrongState
from service.rule_sets.parts import parts_of
from service.rule_sets.store import add_version, deployed, import_first
from tests.rule_sets import COUPONS, FIRST, LOGINS, backtested, changed, variant

CATALOG = "c" * 64
OWN, EVIDENCE, LAPSED, UNFIT, KEPT, FOREIGN = (f"TS00{number}" for number in range(1, 7))
CHECK = (
    "INSERT INTO rule_set_check (version, catalog, code, passed, rules, examples, problems, actor) "
    "VALUES ($1, $2, 'code', $3, 1, 1, '[]', 'ana') RETURNING id"
)
SUBMIT = (
    "INSERT INTO rule_set_submission (version, check_id, backtest_id, baseline, actor) "
    "VALUES ($1, $2, $3, $4, $5) RETURNING id"
)
APPROVE = (
    "INSERT INTO rule_set_approval (submission_id, version, actor) VALUES ($1, $2, $3) RETURNING id"
)
DEPLOY = (
    "INSERT INTO deployment (action, live, candidate, candidate_share_bp, salt, shadows, catalog, "
    "actor, note) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '') RETURNING *"
)


class Database:
    """A connection to a database with a live set and the people ana, bo and cy."""

    def __init__(self, connection: Any) -> None:
        self.sql = connection

    async def push(self, files: RuleSetFiles, author: str, parent: str | None = None) -> str:
        """Store files as a version."""
        async with self.sql.transaction():
            await add_version(
                self.sql,
                files,
                parts_of(files),
                parent=parent or FIRST.version,
                author=author,
                note="",
            )
        return files.version

    async def check(self, version: str, *, passed: bool = True, catalog: str = CATALOG) -> int:
        """Record a check."""
        return int(await self.sql.fetchval(CHECK, version, catalog, passed))

    async def submitted(self, version: str, actor: str) -> int:
        """Bring a stored version to a submission."""
        check = await self.check(version)
        backtest = await backtested(self.sql, version, CATALOG)
        live = (await deployed(self.sql)).live
        return int(await self.sql.fetchval(SUBMIT, version, check, backtest, live, actor))

    async def approved(self, files: RuleSetFiles, author: str = "ana", by: str = "bo") -> str:
        """Bring files to an approval."""
        version = await self.push(files, author)
        await self.sql.fetchval(APPROVE, await self.submitted(version, author), version, by)
        return version

    async def deploy(self, action: str, actor: str = "ana", **more: Any) -> None:
        """Add a deployment that changes what is named of the one before."""
        was = await deployed(self.sql)
        row = {
            "live": was.live,
            "candidate": was.candidate,
            "share": was.candidate_share_bp,
            "salt": was.salt,
            "shadows": list(was.shadows),
            "catalog": CATALOG,
            **more,
        }
        await self.sql.execute(DEPLOY, action, *row.values(), actor)

    async def refused(self, state: str, statement: str, *values: object) -> str:
        """Execute what the database must refuse with a state; return its sentence."""
        with pytest.raises(asyncpg.PostgresError) as caught:
            await self.sql.execute(statement, *values)
        assert caught.value.sqlstate == state, caught.value
        return str(caught.value)

    async def deploy_refused(self, state: str, action: str, **more: Any) -> None:
        """Add a deployment that the database must refuse with a state."""
        with pytest.raises(asyncpg.PostgresError) as caught:
            await self.deploy(action, **more)
        assert caught.value.sqlstate == state, caught.value


@pytest.fixture
async def database(fresh_postgres_url: str) -> AsyncIterator[Database]:
    """A database with the first set live and three people."""
    connection = await asyncpg.connect(fresh_postgres_url)
    async with connection.transaction():
        await import_first(connection, FIRST)
    await connection.execute("INSERT INTO person (id) VALUES ('ana'), ('bo'), ('cy')")
    yield Database(connection)
    await connection.close()


def logins(number: int) -> RuleSetFiles:
    """Return the first set with another number of failed logins."""
    return changed(FIRST, ">= 20", f">= {number}", LOGINS)


async def test_nobody_approves_what_they_wrote_or_submitted(database: Database) -> None:
    """An approval by the author or by who submitted is refused; a third person's is taken."""
    version = await database.push(variant(4), "ana")
    number = await database.submitted(version, "bo")
    await database.refused(OWN, APPROVE, number, version, "ana")
    await database.refused(OWN, APPROVE, number, version, "bo")
    await database.sql.execute(APPROVE, number, version, "cy")


async def test_authors_of_earlier_drafts_do_not_approve(database: Database) -> None:
    """Whoever wrote a draft that a version was made from has written some of it."""
    draft = await database.push(variant(4), "ana")
    version = await database.push(variant(5), "bo", draft)
    number = await database.submitted(version, "bo")
    await database.refused(OWN, APPROVE, number, version, "ana")
    await database.sql.execute(APPROVE, number, version, "cy")


async def test_a_false_parent_hides_no_author(database: Database) -> None:
    """Who wrote a rule of a version is found by its content, whatever the pusher says."""
    await database.push(variant(4), "ana")
    both = changed(variant(4), ">= 20", ">= 30", LOGINS)
    version = await database.push(both, "bo", FIRST.version)
    number = await database.submitted(version, "bo")
    await database.refused(OWN, APPROVE, number, version, "ana")
    other = await database.push(logins(40), "cy")
    await database.sql.execute(APPROVE, await database.submitted(other, "cy"), other, "ana")


async def test_no_approval_without_evidence(database: Database) -> None:
    """It takes a passed check and a finished backtest of this version, against live, alike."""
    version = await database.push(variant(4), "ana")
    other = await database.push(variant(5), "ana")
    passed, failed = await database.check(version), await database.check(other, passed=False)
    done = await backtested(database.sql, version, CATALOG)
    running = await backtested(database.sql, version, CATALOG, state="running")
    elsewhere = await backtested(database.sql, version, "d" * 64)
    others = await backtested(database.sql, other, CATALOG)
    live = FIRST.version
    await database.refused(EVIDENCE, SUBMIT, version, passed, uuid4(), live, "ana")
    await database.refused(EVIDENCE, SUBMIT, version, passed, running, live, "ana")
    await database.refused(EVIDENCE, SUBMIT, version, passed, elsewhere, live, "ana")
    await database.refused(EVIDENCE, SUBMIT, other, failed, others, live, "ana")
    await database.refused("23503", SUBMIT, version, passed, others, live, "ana")
    await database.refused("23503", SUBMIT, other, passed, others, live, "ana")
    await database.refused("23503", SUBMIT, version, passed, done, live, "nobody")
    await database.refused(LAPSED, SUBMIT, version, passed, done, other, "ana")
    await database.refused(EVIDENCE, APPROVE, 999, version, "bo")
    number = await database.sql.fetchval(SUBMIT, version, passed, done, live, "ana")
    await database.refused("23503", APPROVE, number, other, "bo")
    await database.refused("23503", APPROVE, number, version, "nobody")
    await database.check(version, passed=False)
    await database.refused(EVIDENCE, APPROVE, number, version, "bo")


async def test_what_was_decided_is_decided(database: Database) -> None:
    """A submission has one answer: an approval or a rejection, once."""
    version = await database.push(variant(4), "ana")
    reject = (
        "INSERT INTO rule_set_rejection (submission_id, version, actor, note) "
        "VALUES ($1, $2, 'cy', 'no')"
    )
    first, second = [await database.submitted(version, "ana") for _ in range(2)]
    await database.sql.execute(reject, first, version)
    await database.refused(UNFIT, APPROVE, first, version, "bo")
    await database.refused(UNFIT, reject, first, version)
    await database.sql.execute(APPROVE, second, version, "bo")
    await database.refused(UNFIT, reject, second, version)
    await database.refused(UNFIT, APPROVE, second, version, "cy")


async def test_only_what_is_approved_decides(database: Database) -> None:
    """Activation and rollout take an approval of this version, with this catalog, for this live."""
    version = await database.push(variant(4), "ana")
    await database.check(version)
    rollout = {"candidate": version, "share": 500, "salt": "s"}
    await database.deploy_refused(LAPSED, "activate", live=version)
    await database.deploy_refused(LAPSED, "rollout", **rollout)
    await database.sql.execute(APPROVE, await database.submitted(version, "ana"), version, "bo")
    await database.deploy_refused(LAPSED, "activate", live=version, catalog="d" * 64)
    await database.deploy_refused(LAPSED, "activate", live=version, catalog=None)
    await database.deploy_refused(UNFIT, "activate", live=version, actor="nobody")
    await database.deploy_refused(UNFIT, "rollback", live=version)
    for action in ("ramp", "abort", "shadow", "unshadow", "rollout"):
        await database.deploy_refused(UNFIT, action, live=version)
    await database.deploy("activate", live=version)
    assert (await deployed(database.sql)).live == version


async def test_an_approval_lapses(database: Database) -> None:
    """Another live version, a failed check, a rollback or an aborted rollout end an approval."""
    one = await database.approved(variant(4))
    two = await database.approved(logins(30))
    three = await database.approved(variant(5))
    await database.check(three, passed=False)
    await database.deploy_refused(LAPSED, "activate", live=three)
    await database.deploy("rollout", candidate=two, share=500, salt="s")
    await database.deploy("abort", candidate=None, share=None, salt=None)
    await database.deploy_refused(LAPSED, "activate", live=two)
    await database.deploy("activate", live=one)
    await database.deploy("rollback", live=FIRST.version)
    await database.deploy_refused(LAPSED, "activate", live=one)
    await database.deploy("rollback", live=one)


async def test_a_rollout_changes_by_its_own_steps(database: Database) -> None:
    """A ramp keeps candidate and salt; nothing else touches them; another set waits its turn."""
    one, two = await database.approved(variant(4)), await database.approved(logins(30))
    await database.deploy_refused(UNFIT, "ramp", share=600)
    await database.deploy_refused(UNFIT, "abort")
    await database.deploy_refused(UNFIT, "rollout")
    live = FIRST.version
    await database.deploy_refused(UNFIT, "rollout", candidate=live, share=500, salt="s")
    await database.deploy("rollout", candidate=one, share=500, salt="s")
    await database.deploy_refused(UNFIT, "ramp", candidate=two)
    await database.deploy_refused(UNFIT, "ramp", salt="t")
    await database.deploy_refused(UNFIT, "rollout", candidate=two)
    await database.deploy_refused(UNFIT, "shadow", share=9000, shadows=[two])
    await database.deploy_refused(UNFIT, "ramp", share=600, live=two)
    await database.deploy_refused(UNFIT, "abort")
    await database.deploy_refused(
        UNFIT, "activate", live=two, candidate=None, share=None, salt=None
    )
    await database.deploy("ramp", share=600)
    await database.deploy("activate", live=one, candidate=None, share=None, salt=None)
    assert await previous(database.sql) == FIRST.version


async def test_what_was_live_before(database: Database) -> None:
    """Rollbacks are undone in what was live before: it is never what was taken back."""
    one = await database.approved(variant(4))
    await database.deploy("activate", live=one)
    two = await database.push(logins(30), "ana", one)
    await database.sql.execute(APPROVE, await database.submitted(two, "ana"), two, "bo")
    await database.deploy("activate", live=two)
    assert await previous(database.sql) == one
    await database.deploy("rollback", live=one)
    await database.deploy_refused(UNFIT, "rollback", live=one)
    beside = {"candidate": two, "share": 500, "salt": "s"}
    await database.deploy_refused(UNFIT, "rollback", live=FIRST.version, **beside)
    assert await previous(database.sql) == FIRST.version
    await database.deploy("rollback", live=FIRST.version)
    with pytest.raises(WrongState):
        await previous(database.sql)


async def test_shadows_come_and_go_one_by_one(database: Database) -> None:
    """Only what passed the check watches, and only shadow and unshadow say who does."""
    draft, valid = await database.push(variant(4), "ana"), await database.approved(variant(5))
    await database.deploy_refused(EVIDENCE, "shadow", shadows=[draft])
    await database.deploy_refused(UNFIT, "shadow", shadows=[])
    await database.deploy_refused(UNFIT, "shadow", shadows=[valid, draft])
    await database.deploy_refused(UNFIT, "shadow", shadows=[FIRST.version])
    await database.deploy_refused(UNFIT, "unshadow")
    await database.deploy("shadow", shadows=[valid])
    await database.deploy_refused(UNFIT, "shadow", shadows=[valid, valid])
    await database.deploy_refused(UNFIT, "activate", live=valid, shadows=[valid])
    await database.deploy("activate", live=valid, shadows=[])


async def test_what_was_written_stays(database: Database) -> None:
    """Versions, files, checks, approvals and deployments are neither changed nor deleted."""
    version = await database.approved(variant(4))
    await database.deploy("activate", live=version)
    for table in (
        "rule_set",
        "rule_set_file",
        "rule_set_part",
        "rule_set_check",
        "rule_set_submission",
        "rule_set_approval",
        "rule_set_rejection",
        "deployment",
        "backtest",
        "rule_stop",
    ):
        await database.refused(KEPT, f"DELETE FROM {table}")  # noqa: S608 - one of these
        await database.refused(KEPT, f"TRUNCATE {table} CASCADE")
    await database.refused(KEPT, "UPDATE rule_set SET author = 'cy'")
    await database.refused(KEPT, "UPDATE rule_set_file SET text = text || ' '")
    await database.refused(KEPT, "UPDATE rule_set_part SET digest = digest")
    await database.refused(KEPT, "UPDATE rule_set_check SET passed = true")
    await database.refused(KEPT, "UPDATE rule_set_approval SET actor = 'cy'")
    await database.refused(KEPT, "UPDATE deployment SET live = $1", FIRST.version)
    await database.refused(KEPT, "UPDATE backtest SET result = '{}'")


async def test_a_version_is_its_files(database: Database) -> None:
    """Files that are not those of the version are refused, with it or later; parts come with it."""
    files = variant(4)
    add_file = "INSERT INTO rule_set_file (version, name, text) VALUES ($1, $2, $3)"
    add = "INSERT INTO rule_set (version, parent, author, note) VALUES ($1, $2, $3, '')"
    await database.refused(FOREIGN, add, files.version, FIRST.version, "ana")
    await database.refused(FOREIGN, add_file, FIRST.version, "packs/more.yaml", "pack: more")
    other = RuleSetFiles.of({**files.texts, COUPONS: "pack: empty"})
    transaction = database.sql.transaction()
    await transaction.start()
    await database.sql.execute(add, files.version, FIRST.version, "ana")
    for_all = (
        "INSERT INTO rule_set_file (version, name, text) "
        "SELECT $1, * FROM unnest($2::text[], $3::text[])"
    )
    texts = (list(other.texts), list(other.texts.values()))
    await database.refused(FOREIGN, for_all, files.version, *texts)
    await transaction.rollback()
    transaction = database.sql.transaction()
    await transaction.start()
    await database.sql.execute(add, files.version, FIRST.version, "ana")
    texts = (list(files.texts), list(files.texts.values()))
    await database.sql.execute(for_all, files.version, *texts)
    await database.refused(FOREIGN, "SET CONSTRAINTS ALL IMMEDIATE")
    await transaction.rollback()
    await database.push(files, "ana")
    add_part = "INSERT INTO rule_set_part (version, part, digest) VALUES ($1, 'rule:x', $2)"
    await database.refused(KEPT, add_part, files.version, "0" * 64)


async def test_only_the_first_set_has_no_author(database: Database) -> None:
    """Every later version is a person's, made from another, and the first is deployed once."""
    for author, parent in (
        ("system", FIRST.version),
        ("nobody", FIRST.version),
        ("key:abc", FIRST.version),
    ):
        with pytest.raises(WrongState):
            await database.push(variant(4), author, parent)
    add = "INSERT INTO rule_set (version, parent, author, note) VALUES ($1, $2, $3, '')"
    await database.refused(UNFIT, add, "0" * 64, None, "ana")
    await database.deploy_refused(UNFIT, "first", actor="system")


async def test_a_second_person_confirms_a_stop(database: Database) -> None:
    """Who stopped a rule does not confirm it, and does not stop it again alone."""
    stop = "INSERT INTO rule_stop (rule_id, reason, actor, confirm_until) VALUES ('r', 'x', $1, $2)"
    confirm = "UPDATE rule_stop SET confirmed_by = $1, confirmed_at = now() WHERE rule_id = 'r'"
    now = await database.sql.fetchval("SELECT now()")
    soon, late = [
        await database.sql.fetchval("SELECT now() + make_interval(hours => $1)", hours)
        for hours in (1, 25)
    ]
    await database.refused(UNFIT, stop, "ana", late)
    await database.refused("23503", stop, "nobody", soon)
    await database.sql.execute(stop, "ana", soon)
    await database.refused(UNFIT, stop, "bo", soon)
    await database.refused(OWN, confirm, "ana")
    await database.refused(KEPT, "UPDATE rule_stop SET confirm_until = $1", late)
    await database.refused(KEPT, "UPDATE rule_stop SET actor = 'bo'")
    lapse = "UPDATE rule_stop SET lapsed_at = now()"
    await database.refused(UNFIT, lapse)
    lift = "UPDATE rule_stop SET lifted_by = 'ana', lifted_at = now()"
    await database.sql.execute(lift)
    await database.refused(UNFIT, confirm, "bo")
    await database.refused(OWN, stop, "ana", soon)
    await database.sql.execute(stop, "bo", now)
    await database.refused(UNFIT, f"{confirm} AND lifted_at IS NULL", "ana")
    await database.sql.execute(f"{lapse} WHERE lifted_at IS NULL")


async def test_a_stop_is_confirmed_once(database: Database) -> None:
    """A stop begins unconfirmed, and who confirmed it stays who did."""
    columns = "(rule_id, reason, actor, confirm_until, confirmed_by, confirmed_at)"
    values = "('r', 'x', 'ana', now() + interval '1 hour', $1, $2)"
    stop = f"INSERT INTO rule_stop {columns} VALUES {values}"  # noqa: S608 - the texts above
    now = await database.sql.fetchval("SELECT now()")
    await database.refused(UNFIT, stop, "bo", now)
    await database.sql.execute(stop, None, None)
    confirm = "UPDATE rule_stop SET confirmed_by = $1, confirmed_at = now()"
    await database.sql.execute(confirm, "bo")
    await database.refused(UNFIT, confirm, "cy")


async def test_what_comes_later_comes_after(database: Database) -> None:
    """A deployment with a number below the newest, or stated by hand, is refused."""
    version = await database.approved(variant(4))
    by_hand = (
        "INSERT INTO deployment (revision, action, live, live_since, catalog, actor, note) "
        "OVERRIDING SYSTEM VALUE VALUES (0, 'activate', $1, 0, $2, 'ana', '')"
    )
    await database.refused(UNFIT, by_hand, version, CATALOG)
