"""Which rule sets are there, and which of them runs?

Versions and their files, what is deployed, what is stopped; read and written in SQL alone.
Invariant: what `read_files` returns has the version that was asked for, or it raises.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rules.errors import ContentError
from rules.files import RuleSetFiles
from service.rule_sets.errors import RuleSetRejected, UnknownRuleSet, WrongState, refusals
from service.rule_sets.parts import parts_of

SYSTEM = "system"
MIN_PREFIX = 6


@dataclass(frozen=True, slots=True)
class Deployment:
    """What runs, from its revision on until the next: one row of `deployment`.

    `live_since`: the revision with which `live` began to decide; approvals are bound to it.
    """

    revision: int
    action: str
    live: str
    live_since: int
    candidate: str | None
    candidate_share_bp: int | None
    salt: str | None
    shadows: tuple[str, ...]
    catalog: str | None
    approval_id: int | None
    actor: str
    note: str
    deployed_at: datetime

    @property
    def versions(self) -> tuple[str, ...]:
        """Every version that runs in some way, the live one first."""
        found = (self.live, *((self.candidate,) if self.candidate else ()), *self.shadows)
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Stop:
    """An emergency stop of a rule: one row of `rule_stop`."""

    id: int
    rule_id: str
    reason: str
    actor: str
    stopped_at: datetime
    confirm_until: datetime
    confirmed_by: str | None
    confirmed_at: datetime | None
    lifted_by: str | None
    lifted_at: datetime | None
    lapsed_at: datetime | None

    def is_effective(self, now: datetime) -> bool:
        """Whether the rule has no effect at `now`: neither lifted nor lapsed."""
        if self.lifted_at is not None:
            return False
        return self.confirmed_at is not None or now < self.confirm_until


async def import_first(connection: Any, files: RuleSetFiles) -> Deployment:
    """Store the files as the first version and deploy it, unless something is deployed.

    Call it in a transaction. Of several processes that start at once, one imports. Raises
    `RuleSetRejected` for texts that cannot be stored.
    """
    await lock_deployments(connection)
    if not await is_deployed(connection):
        note = "imported at the first start"
        await add_version(connection, files, parts_of(files), parent=None, author=SYSTEM, note=note)
        with refusals():
            await connection.execute(
                "INSERT INTO deployment (action, live, actor, note) VALUES ('first', $1, $2, $3)",
                files.version,
                SYSTEM,
                note,
            )
    return await deployed(connection)


async def add_version(
    connection: Any,
    files: RuleSetFiles,
    parts: Mapping[str, str],
    *,
    parent: str | None,
    author: str,
    note: str,
) -> bool:
    """Store a version with its files and parts; return False when it was there already, unchanged.

    Call it in a transaction. Raises `RuleSetRejected` for texts that cannot be stored.
    """
    check_storable(files)
    with refusals():
        status = await connection.execute(
            "INSERT INTO rule_set (version, parent, author, note) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (version) DO NOTHING",
            files.version,
            parent,
            author,
            note,
        )
        if status.endswith(" 0"):
            return False
        await connection.execute(
            "INSERT INTO rule_set_file (version, name, text) "
            "SELECT $1, name, text FROM unnest($2::text[], $3::text[]) AS file (name, text)",
            files.version,
            list(files.texts),
            list(files.texts.values()),
        )
        await connection.execute(
            "INSERT INTO rule_set_part (version, part, digest) "
            "SELECT $1, part, digest FROM unnest($2::text[], $3::text[]) AS found (part, digest)",
            files.version,
            list(parts),
            list(parts.values()),
        )
    return True


async def read_files(connection: Any, version: str) -> RuleSetFiles:
    """Return the files of a version, to the letter.

    Raises `UnknownRuleSet`, and `RuleSetRejected` when the files are not those of the version.
    """
    rows = await connection.fetch(
        "SELECT name, text FROM rule_set_file WHERE version = $1", version
    )
    if not rows:
        raise UnknownRuleSet(f"There is no rule set {version[:16]}.")
    try:
        files = RuleSetFiles.of({row["name"]: row["text"] for row in rows})
    except ContentError as error:
        raise RuleSetRejected(str(error)) from None
    if files.version != version:
        raise RuleSetRejected(
            f"The files of rule set {version[:16]} are not what its version says."
        )
    return files


async def is_made_from(connection: Any, version: str, ancestor: str) -> bool:
    """Say whether a version is another, or was made from it in however many steps."""
    return bool(
        await connection.fetchval(
            "WITH RECURSIVE line AS ("
            "SELECT version, parent FROM rule_set WHERE version = $1 UNION "
            "SELECT r.version, r.parent FROM line JOIN rule_set AS r ON r.version = line.parent"
            ") SELECT EXISTS (SELECT FROM line WHERE version = $2)",
            version,
            ancestor,
        )
    )


async def resolve(connection: Any, text: str) -> str:
    """Return the version that a prefix of six digits or more means, `live` or `latest`.

    `latest` is the one that was pushed last. Raises `UnknownRuleSet` if it is unclear.
    """
    if text == "live":
        return (await deployed(connection)).live
    if text == "latest":
        return await _latest(connection)
    if len(text) < MIN_PREFIX or not set(text) <= set("0123456789abcdef"):
        raise UnknownRuleSet(
            f"A version is {MIN_PREFIX} or more of its hexadecimal digits, or a word: "
            "`live`, `previous` or `latest`."
        )
    rows = await connection.fetch(
        "SELECT version FROM rule_set WHERE starts_with(version, $1) ORDER BY version LIMIT 5", text
    )
    if not rows:
        raise UnknownRuleSet(f"There is no rule set {text}; the history shows those that are.")
    if len(rows) > 1:
        several = ", ".join(row["version"][:16] for row in rows)
        raise UnknownRuleSet(f"{text} means several rule sets ({several}): give more digits.")
    return str(rows[0]["version"])


async def _latest(connection: Any) -> str:
    found: str | None = await connection.fetchval(
        "SELECT version FROM rule_set ORDER BY created_at DESC, version LIMIT 1"
    )
    if found is None:
        raise UnknownRuleSet("There is no rule set yet: the service imports one at its start.")
    return found


async def lock_deployments(connection: Any) -> None:
    """Let nobody else deploy until the transaction ends; reading goes on."""
    await connection.execute("LOCK TABLE deployment IN SHARE ROW EXCLUSIVE MODE")


async def is_deployed(connection: Any) -> bool:
    """Say whether anything was ever deployed."""
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM deployment)"))


async def deployed(connection: Any) -> Deployment:
    """Return what runs; raise `WrongState` before the first import."""
    row = await connection.fetchrow("SELECT * FROM deployment ORDER BY revision DESC LIMIT 1")
    if row is None:
        raise WrongState("No rule set is deployed yet: the service imports one at its start.")
    return deployment_of(row)


async def stops(connection: Any) -> list[Stop]:
    """Return the stops that are neither lifted nor over, oldest first; see `is_effective`."""
    rows = await connection.fetch(
        "SELECT * FROM rule_stop WHERE lifted_at IS NULL AND lapsed_at IS NULL ORDER BY id"
    )
    return [stop_of(row) for row in rows]


def deployment_of(row: Any) -> Deployment:
    """Return a row of `deployment` as what it is."""
    return Deployment(**{**dict(row), "shadows": tuple(row["shadows"])})


def stop_of(row: Any) -> Stop:
    """Return a row of `rule_stop` as what it is."""
    return Stop(**dict(row))


def check_storable(files: RuleSetFiles) -> None:
    """Raise `RuleSetRejected` for a text that PostgreSQL would not give back as it is."""
    for name, text in files.texts.items():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise RuleSetRejected(f"{name} is not UTF-8.") from None
        if "\0" in text:
            line = text[: text.index("\0")].count("\n") + 1
            raise RuleSetRejected(f"{name} has a NUL character on line {line}.")


def as_json(value: Any) -> str:
    """Return what a jsonb column takes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
