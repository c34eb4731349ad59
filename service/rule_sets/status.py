"""In which state is each version, and what happened to it?

States are derived from the tables each time, never stored. Invariant: `approved` means that the
database would let the version be activated at this moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rules.files import SERIES
from service.rule_sets.examiner import Examiner
from service.rule_sets.store import Deployment, deployed

# From the first that is true; the others are said beside it.
STATES = (
    "live",
    "candidate",
    "shadow",
    "approved",
    "submitted",
    "retired",
    "validated",
    "draft",
)

_VERSIONS = """
SELECT r.*, f.text AS series,
    EXISTS (SELECT FROM deployment AS d WHERE d.live = r.version) AS was_live,
    (SELECT count(*) FROM rule_set_part AS p
        WHERE p.version = r.version AND starts_with(p.part, 'rule:')) AS rules
FROM rule_set AS r
LEFT JOIN rule_set_file AS f ON f.version = r.version AND f.name = $1
"""
_NEWEST = _VERSIONS + (
    "WHERE ($2::timestamptz IS NULL OR r.created_at < $2) "
    "ORDER BY r.created_at DESC, r.version LIMIT $3"
)
_ONE = _VERSIONS + "WHERE r.version = $2"
_FOUND = """
SELECT v.version, c.passed,
    coalesce(touchstone_check_holds(c.id), false) AS is_valid,
    touchstone_approval_of(v.version, $3, v.catalog) AS approval_id,
    EXISTS (
        SELECT FROM rule_set_submission AS s
        WHERE s.version = v.version AND s.baseline = $4
            AND NOT EXISTS (SELECT FROM rule_set_approval WHERE submission_id = s.id)
            AND NOT EXISTS (SELECT FROM rule_set_rejection WHERE submission_id = s.id)
    ) AS is_submitted
FROM unnest($1::text[], $2::text[]) AS v (version, catalog)
LEFT JOIN LATERAL (
    SELECT * FROM rule_set_check AS c WHERE c.version = v.version AND c.catalog = v.catalog
    ORDER BY c.id DESC LIMIT 1
) AS c ON true
"""


@dataclass(frozen=True, slots=True)
class Status:
    """A version and its states, the one that matters most first.

    `rules`: how many of it can be read. `passed`: what the newest check with the catalog of the
    moment found, None where there is none.
    """

    version: str
    parent: str | None
    author: str
    note: str
    created_at: datetime
    catalog: str
    states: tuple[str, ...]
    rules: int
    passed: bool | None

    @property
    def state(self) -> str:
        """The state that matters most."""
        return self.states[0]


async def newest(
    connection: Any, examiner: Examiner, limit: int, before: datetime | None = None
) -> list[Status]:
    """Return versions with their states, newest first."""
    rows = await connection.fetch(_NEWEST, SERIES, before, limit)
    return await _statuses(connection, examiner, rows)


async def status_of(connection: Any, examiner: Examiner, version: str) -> Status:
    """Return one version with its states; it must exist."""
    rows = await connection.fetch(_ONE, SERIES, version)
    return (await _statuses(connection, examiner, rows))[0]


async def _statuses(connection: Any, examiner: Examiner, rows: list[Any]) -> list[Status]:
    running = await deployed(connection)
    catalogs = [await examiner.catalog_version(row["series"]) for row in rows]
    found = {
        row["version"]: row
        for row in await connection.fetch(
            _FOUND, [row["version"] for row in rows], catalogs, running.live_since, running.live
        )
    }
    return [
        Status(
            version=row["version"],
            parent=row["parent"],
            author=row["author"],
            note=row["note"],
            created_at=row["created_at"],
            catalog=catalog,
            states=_states(row, found[row["version"]], running),
            rules=row["rules"],
            passed=found[row["version"]]["passed"],
        )
        for row, catalog in zip(rows, catalogs, strict=True)
    ]


def _states(row: Any, found: Any, running: Deployment) -> tuple[str, ...]:
    version = row["version"]
    is_live = version == running.live
    holds = {
        "live": is_live,
        "candidate": version == running.candidate,
        "shadow": version in running.shadows,
        "approved": found["approval_id"] is not None and not is_live,
        "submitted": found["is_submitted"],
        "retired": row["was_live"] and not is_live,
        "validated": found["is_valid"] and not is_live,
    }
    return tuple(state for state in STATES if holds.get(state)) or ("draft",)


async def history_of(connection: Any, version: str) -> list[dict[str, Any]]:
    """Return what happened to a version, oldest first: what, who, when, in which words."""
    rows = await connection.fetch(_HISTORY, version)
    return [dict(row) for row in rows]


_HISTORY = """
WITH ran AS (
    SELECT *, lag(live) OVER runs AS live_before, lag(candidate) OVER runs AS candidate_before,
        coalesce($1 = ANY (lag(shadows) OVER runs), false) AS was_shadow,
        $1 = ANY (shadows) AS is_shadow,
        ' for ' || (candidate_share_bp / 100.0)::float8 || ' %' AS share
    FROM deployment WINDOW runs AS (ORDER BY revision)
)
SELECT at, what, actor, note FROM (
    SELECT created_at AS at, 1 AS place, 'pushed' AS what, author AS actor, note
        FROM rule_set WHERE version = $1
    UNION ALL
    SELECT checked_at, 2, CASE WHEN passed THEN 'passed the check' ELSE 'failed the check' END,
        actor, '' FROM rule_set_check WHERE version = $1
    UNION ALL
    SELECT coalesce(ended_at, created_at), 3, 'backtest ' || state, actor, ''
        FROM backtest WHERE version = $1
    UNION ALL
    SELECT submitted_at, 4, 'submitted', actor, note
        FROM rule_set_submission WHERE version = $1
    UNION ALL
    SELECT approved_at, 5, 'approved', actor, note FROM rule_set_approval WHERE version = $1
    UNION ALL
    SELECT rejected_at, 5, 'rejected', actor, note FROM rule_set_rejection WHERE version = $1
    UNION ALL
    SELECT deployed_at, 6, CASE
        WHEN live = $1 AND action = 'rollback' THEN 'live again'
        WHEN live = $1 THEN 'live'
        WHEN live_before = $1 AND action = 'rollback' THEN 'taken back'
        WHEN live_before = $1 THEN 'replaced'
        WHEN action = 'rollout' THEN 'rolled out' || share
        WHEN action = 'ramp' THEN 'ramped' || share
        WHEN candidate_before = $1 THEN 'rollout ended'
        WHEN is_shadow THEN 'shadow'
        ELSE 'shadow no more' END, actor, note
    FROM ran
    WHERE (live = $1) IS DISTINCT FROM (live_before = $1)
            AND (live = $1 OR live_before IS NOT NULL AND live_before = $1)
        OR candidate = $1 AND action IN ('rollout', 'ramp')
        OR candidate_before = $1 AND candidate IS NULL
        OR is_shadow <> was_shadow
) AS found ORDER BY at, place
"""
