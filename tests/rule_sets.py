"""People, rule sets and evidence for tests of the lifecycle, on a real database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import asyncpg

from rules.files import SHIPPED, RuleSetFiles
from service.api_key import KeyHash
from service.people.limits import EVERYTHING, Limits
from service.rule_sets.store import deployed
from service.secrets_files import read_keys
from service.settings import Settings
from tests.people import person_key

ROLES: Mapping[str, tuple[str, ...]] = dict.fromkeys(("ana", "bo", "cy"), ("analyst", "approver"))


async def people(
    settings: Settings, roles: Mapping[str, tuple[str, ...]] = ROLES, **limits: Limits
) -> dict[str, str]:
    """Give people these roles, and `limits` by person; return a key of each."""
    assert settings.postgres.url is not None
    connection = await asyncpg.connect(settings.postgres.url)
    hashed = KeyHash(read_keys(settings).tag)
    try:
        return {
            person: await person_key(
                connection, hashed, person, *named, limits=limits.get(person, EVERYTHING)
            )
            for person, named in roles.items()
        }
    finally:
        await connection.close()


FIRST = RuleSetFiles.of(
    {
        "packs/coupons.yaml": """\
pack: coupons
owner: risk-team
rules:
  # The address says more than the account.
  - id: coupon-crowded-address
    description: A coupon goes to an address of many accounts.
    event_types: [checkout]
    parameters:
      most_accounts: {type: int, value: 6, min: 2, max: 20}
    when: has_coupon && address_distinct_users_30d >= {{ most_accounts }}
    outcome: review
    reason: COUPON_SHARED_ADDRESS
    threshold: {source: a guess, false_alarms: unknown}
    examples:
      - {expect: hit, facts: {has_coupon: true, address_distinct_users_30d: 9}}
      - {expect: no_hit, facts: {has_coupon: true, address_distinct_users_30d: 1}}
""",
        "packs/logins.yaml": """\
pack: logins
owner: risk-team
rules:
  - id: login-many-failures
    description: Many logins failed.
    event_types: [login]
    when: user_login_failures_1h >= 20
    outcome: challenge
    reason: COUPON_SHARED_DEVICE
    threshold: {source: a guess, false_alarms: unknown}
    examples:
      - {expect: hit, facts: {user_login_failures_1h: 30}}
      - {expect: no_hit, facts: {user_login_failures_1h: 1}}
""",
        "policy.yaml": """\
# 策略
default: {challenge_at: null, review_at: null, decline_at: null, step_up: captcha}
""",
        "reasons.yaml": (SHIPPED / "reasons.yaml").read_text(encoding="utf-8"),
    }
)
COUPONS, LOGINS = "packs/coupons.yaml", "packs/logins.yaml"


def variant(number: int, files: RuleSetFiles = FIRST) -> RuleSetFiles:
    """Return the first set with another number of accounts in its coupon rule."""
    return changed(files, "value: 6", f"value: {number}", COUPONS)


def changed(files: RuleSetFiles, old: str, new: str, name: str) -> RuleSetFiles:
    """Return files with a text in one of them replaced, once."""
    text = files.texts[name]
    assert old in text
    return RuleSetFiles.of({**files.texts, name: text.replace(old, new, 1)})


async def backtested(
    connection: Any, version: str, catalog: str, *, state: str = "done", actor: str = "ana"
) -> str:
    """Store a backtest of a version against what is live; return its id."""
    number = uuid4()
    async with connection.transaction():  # or a running service would claim it
        await connection.execute(
            "INSERT INTO backtest (id, version, baseline, catalog, request, state, actor) "
            "VALUES ($1, $2, $3, $4, '{}', 'queued', $5)",
            number,
            version,
            (await deployed(connection)).live,
            catalog,
            actor,
        )
        if state != "queued":
            await connection.execute("UPDATE backtest SET state = 'running' WHERE id = $1", number)
        if state not in ("queued", "running"):
            await connection.execute(
                "UPDATE backtest SET state = $2, result = $3, ended_at = now() WHERE id = $1",
                number,
                state,
                "{}" if state == "done" else None,
            )
    return str(number)
