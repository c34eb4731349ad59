"""Rule sets for tests, and the whole way of one to where it runs, as the database wants it."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from rules.files import SHIPPED, RuleSetFiles
from service.rule_sets.parts import parts_of
from service.rule_sets.store import Deployment, add_version, deployed

CATALOG = "c" * 64
AUTHOR, APPROVER = "ana", "bo"

POLICY = """\
default:
  challenge_at: null
  review_at: null
  decline_at: null
  step_up: captcha
"""


def pack_of(rule_id: str, *, when: str = "true", outcome: str = "review") -> str:
    """Return a pack with one rule for checkouts and logins."""
    return f"""\
pack: tests
rules:
  - id: {rule_id}
    description: It says which set decides
    owner: tests
    event_types: [checkout, login]
    when: '{when}'
    outcome: {outcome}
    reason: COUPON_SHARED_DEVICE
    mode: live
    threshold:
      source: none, it is for tests
      false_alarms: all of them
    examples:
      - facts: {{}}
        expect: hit
"""


def set_of(pack: str, **more: str) -> RuleSetFiles:
    """Return a rule set with this pack; `more`: further files, by name without ending."""
    reasons = (SHIPPED / "reasons.yaml").read_text(encoding="utf-8")
    texts = {"packs/tests.yaml": pack, "policy.yaml": POLICY, "reasons.yaml": reasons}
    return RuleSetFiles.of({**texts, **{f"{name}.yaml": text for name, text in more.items()}})


async def stored(connection: Any, files: RuleSetFiles) -> Deployment:
    """Store a version; return what runs."""
    running = await deployed(connection)
    async with connection.transaction():
        for person in (AUTHOR, APPROVER):
            await connection.execute(
                "INSERT INTO person (id) VALUES ($1) ON CONFLICT DO NOTHING", person
            )
        await add_version(
            connection,
            files,
            parent=running.live,
            author=AUTHOR,
            note="test",
            parts=parts_of(files),
        )
    return running


async def in_shadow(connection: Any, files: RuleSetFiles) -> None:
    """Store a version and put it in shadow."""
    await stored(connection, files)
    await checked(connection, files)
    await deploy(connection, "shadow", files)


async def approved(connection: Any, files: RuleSetFiles) -> None:
    """Store a version and bring it to an approval that holds for what is live."""
    running = await stored(connection, files)
    check = await checked(connection, files)
    backtest = await backtested(connection, files.version, running.live)
    submission = await connection.fetchval(
        "INSERT INTO rule_set_submission (version, check_id, backtest_id, baseline, actor) "
        "VALUES ($1, $2, $3, $4, $5) RETURNING id",
        files.version, check, backtest, running.live, AUTHOR,
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO rule_set_approval (submission_id, version, actor) VALUES ($1, $2, $3)",
        submission, files.version, APPROVER,
    )  # fmt: skip


async def backtested(connection: Any, version: str, baseline: str) -> UUID:
    """Record a backtest that was made and is done."""
    backtest = uuid4()
    async with connection.transaction():  # or a running service would claim it
        await connection.execute(
            "INSERT INTO backtest (id, version, baseline, catalog, request, state, actor) "
            "VALUES ($1, $2, $3, $4, '{}', 'queued', $5)",
            backtest, version, baseline, CATALOG, AUTHOR,
        )  # fmt: skip
        await connection.execute("UPDATE backtest SET state = 'running' WHERE id = $1", backtest)
        await connection.execute(
            "UPDATE backtest SET state = 'done', result = '{}' WHERE id = $1", backtest
        )
    return backtest


async def checked(connection: Any, files: RuleSetFiles) -> int:
    """Record a passed check of a stored version."""
    number: int = await connection.fetchval(
        "INSERT INTO rule_set_check (version, catalog, code, passed, rules, examples, problems, "
        "actor) VALUES ($1, $2, 'code', true, 1, 1, '[]', $3) RETURNING id",
        files.version, CATALOG, AUTHOR,
    )  # fmt: skip
    return number


async def deploy(
    connection: Any, action: str, files: RuleSetFiles, share_bp: int | None = None
) -> Deployment:
    """Deploy a version that is stored and, where the action needs it, approved."""
    was = await deployed(connection)
    live, candidate, salt, shadows = was.live, was.candidate, was.salt, list(was.shadows)
    share = was.candidate_share_bp
    if action in ("activate", "rollback"):
        live, candidate, share, salt = files.version, None, None, None
    elif action == "rollout":
        candidate, share, salt = files.version, share_bp, uuid4().hex
    elif action == "ramp":
        share = share_bp
    elif action == "abort":
        candidate = share = salt = None
    elif action == "unshadow":
        shadows.remove(files.version)
    shadows = [version for version in shadows if version not in (live, candidate)]
    if action == "shadow":
        shadows.append(files.version)
    await connection.execute(
        "INSERT INTO deployment (action, live, candidate, candidate_share_bp, salt, shadows, "
        "catalog, actor, note) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'test')",
        action, live, candidate, share, salt, shadows, CATALOG, AUTHOR,
    )  # fmt: skip
    return await deployed(connection)


async def stop(connection: Any, rule_id: str, seconds: float = 3600) -> int:
    """Stop a rule until so many seconds pass without a confirmation."""
    await connection.execute("INSERT INTO person (id) VALUES ($1) ON CONFLICT DO NOTHING", AUTHOR)
    number: int = await connection.fetchval(
        "INSERT INTO rule_stop (rule_id, reason, actor, confirm_until) "
        "VALUES ($1, 'test', $2, now() + make_interval(secs => $3)) RETURNING id",
        rule_id, AUTHOR, seconds,
    )  # fmt: skip
    return number
