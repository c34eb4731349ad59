"""What is an API key, and where are keys kept?

A key is `ts_<id>_<secret>`, shown once; the table `api_key` keeps an HMAC of it under a pepper
derived from the tag key. Invariants: a stolen table opens nothing; a person's key allows what the
person's roles allow at the moment, a key of nobody at most what a caller may.
"""

from __future__ import annotations

import base64
import difflib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from service.errors import Refused
from service.people.errors import people_errors
from service.people.limits import EVERYTHING, Limits, limits_of
from service.people.roles import PROGRAM_SCOPES, scopes_of

SCOPES: Mapping[str, str] = {
    "score": "POST /v1/score: have events decided",
    "events:write": "POST /v1/events: report events that need no decision",
    "decisions:read": "GET /v1/decisions: read decisions back",
    "rules:read": "GET /v1/rule-sets: read rule sets, backtests, comparisons, performance",
    "rules:write": "push, check, backtest, submit and shadow rule sets",
    "rules:approve": "approve what somebody else submitted",
    "rules:activate": "put an approved rule set live, roll it out, abort and roll back",
    "rules:stop": "stop a rule in an emergency, and confirm what somebody else stopped",
    "lists:read": "GET /v1/lists: read lists, test whether something is on one",
    "lists:write": "make lists, add and remove entries",
    "labels:read": "GET /v1/labels: read labels",
    "labels:write": "POST /v1/labels: say what events turned out to be",
    "people:read": "GET /v1/people: who has which role",
    "people:write": "request changes of roles, approve those of others",
    "audit:read": "GET /v1/audit: status, proofs, checkpoints; search, explain, compute again",
    "audit:reveal": "open what is sealed about a person, for a stated purpose",
    "audit:export": "request and fetch exports of the record, approve those of others",
    "audit:erase": "erase and restrict what is held about a person, with a second person",
}

ID_BYTES = 10
SECRET_BYTES = 25  # 200 bits: nothing to guess, so a fast keyed hash is enough


class ApiKeyError(Refused):
    """An API key cannot be made, found or revoked; the text says why."""

    code = "api_key_invalid"


class UnknownKey(ApiKeyError):
    """There is no API key with this id."""

    code = "unknown_key"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Everything about a key but the key.

    `named` are the scopes that it was made with; of a person's key they may be none, which is all
    that the person's `roles` allow. `limits` are those of the key and of the person together.
    """

    key_id: str
    name: str
    hash: bytes
    named: frozenset[str]
    created_at: datetime
    revoked_at: datetime | None
    person: str | None = None
    roles: tuple[str, ...] = ()
    limits: Limits = EVERYTHING

    @property
    def scopes(self) -> frozenset[str]:
        """What the key allows at the moment."""
        if self.person is None:
            return self.named & PROGRAM_SCOPES
        allowed = scopes_of(self.roles)
        return allowed & self.named if self.named else allowed


def key_id_of(key: str) -> str | None:
    """Return the id within a key, None if this is no key.

    >>> key_id_of("ts_abc_secret"), key_id_of("sk_live_1")
    ('abc', None)
    """
    prefix, _, rest = key.partition("_")
    key_id, _, secret = rest.partition("_")
    return key_id if prefix == "ts" and key_id and secret else None


class KeyHash:
    """Turns a key into what is stored of it."""

    def __init__(self, tag_key: bytes) -> None:
        self._pepper = HKDFExpand(SHA256(), 32, b"touchstone api key v1").derive(tag_key)

    def __call__(self, key: str) -> bytes:
        """Return the HMAC-SHA-256 of the key under the pepper."""
        return hmac.digest(self._pepper, key.encode(), "sha256")


async def create_key(
    connection: Any,
    hashed: KeyHash,
    name: str,
    scopes: Iterable[str],
    *,
    person: str | None = None,
    limits: Limits = EVERYTHING,
) -> tuple[ApiKey, str]:
    """Store a new key and return its row and the key itself, which cannot be had again.

    `connection` is an asyncpg connection. A person's key may name no scopes: it has those of the
    person's roles. Raises `ApiKeyError` for a name or scope that cannot be, `UnknownPerson`.
    """
    wanted = sorted(set(scopes))
    if wanted or person is None:
        check_scopes(wanted)
    if person is None and (beyond := sorted(set(wanted) - PROGRAM_SCOPES)):
        raise ApiKeyError(
            f"{', '.join(beyond)}: only a person's key may do this, give --person; a key of nobody "
            f"may do {', '.join(scope for scope in SCOPES if scope in PROGRAM_SCOPES)}"
        )
    if not name.strip() or len(name) > 100:
        raise ApiKeyError("a key needs a name of 1 to 100 characters")
    key_id = _letters(ID_BYTES)
    key = f"ts_{key_id}_{_letters(SECRET_BYTES)}"
    with people_errors():
        await connection.execute(
            "INSERT INTO api_key "
            "(key_id, name, hash, scopes, person, event_types, business_lines, regions) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            key_id,
            name.strip(),
            hashed(key),
            wanted,
            person,
            *limits.lists(),
        )
    [row] = await _rows(connection, key_id)
    return row, key


async def list_keys(connection: Any) -> list[ApiKey]:
    """Return every key, oldest first, revoked ones too."""
    return await _rows(connection, None)


async def revoke_key(connection: Any, key_id: str) -> None:
    """Revoke a key for good. Raises `UnknownKey`; a second time is no error."""
    status = await connection.execute(
        "UPDATE api_key SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = $1", key_id
    )
    if status == "UPDATE 0":
        raise UnknownKey(f"there is no API key {key_id}; `touchstone keys list` shows them")


def check_scopes(scopes: Iterable[str]) -> None:
    """Raise `ApiKeyError` unless there is a scope and each is one that exists."""
    wanted = list(scopes)
    if not wanted:
        raise ApiKeyError(f"a key needs scopes: {', '.join(SCOPES)}")
    for scope in wanted:
        if scope not in SCOPES:
            near = difflib.get_close_matches(scope, SCOPES, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(SCOPES)}"
            raise ApiKeyError(f"there is no scope {scope!r}: {hint}")


def _letters(count: int) -> str:
    return base64.b32encode(secrets.token_bytes(count)).decode().rstrip("=").lower()


_QUERY = """
    SELECT k.*, g.roles,
        g.event_types AS their_event_types,
        g.business_lines AS their_business_lines,
        g.regions AS their_regions
    FROM api_key k LEFT JOIN person_grant g ON g.person = k.person
    WHERE $1::text IS NULL OR k.key_id = $1
    ORDER BY k.created_at, k.key_id
"""


async def _rows(connection: Any, key_id: str | None) -> list[ApiKey]:
    return [_from_row(row) for row in await connection.fetch(_QUERY, key_id)]


def _from_row(row: Any) -> ApiKey:
    own = limits_of(row["event_types"], row["business_lines"], row["regions"])
    theirs = limits_of(row["their_event_types"], row["their_business_lines"], row["their_regions"])
    return ApiKey(
        key_id=row["key_id"],
        name=row["name"],
        hash=row["hash"],
        named=frozenset(row["scopes"]),
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
        person=row["person"],
        roles=tuple(row["roles"] or ()),
        limits=own.within(theirs),
    )
