"""What is held about a person? Everything, as it is.

Given part by part, so that memory does not grow with what is held: the person's entries, opened;
what was said of their events; lists; counters; profiles; open requests. Invariant: what belongs to
others alone is not in it, and what cannot be given is said.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from features.catalog import Catalog
from features.profiles.schema import VIEWS
from features.series_identity import declared_series
from features.velocity.connect import Connection
from features.velocity.history_store import ValkeyVelocityHistory
from features.velocity.store import VelocityUnavailable
from service.clock import epoch_ms
from service.ledger.keys import Keyring
from service.rights.held import HeldEntries, HeldEntry

FORMAT = "touchstone subject export 1"
PEEK_SECONDS = 1.0
# Held back from a decision's answer: names of rules tell others how to get around them.
_INNER = frozenset({"rule_hits", "versions", "latency_ms"})

_COUNT = """
SELECT count(*) FROM subject_key k JOIN entry_subject s ON s.key_id = k.key_id
WHERE k.subject_tag = ANY($1::text[])
"""
_LABELS = """
SELECT event_tag, label, source, known_at, recorded_at FROM label
WHERE event_tag = ANY($1::text[]) ORDER BY known_at, id
"""
_LISTED = """
SELECT e.list, l.purpose, l.description, e.kind, e.reason, e.added_at, e.expires_at, e.removed_at
FROM list_entry e JOIN list l ON l.name = e.list
WHERE e.kind = ANY($2::text[]) AND e.tag = ANY($3::text[]) AND e.kind || ':' || e.tag = ANY($1)
ORDER BY e.id
"""
_REQUESTS = """
SELECT kind, state, requested_at FROM rights_request WHERE tags && $1::text[] ORDER BY id
"""
_WORDS = {0: "honest", 1: "abusive", None: "withdrawn"}


class Part(NamedTuple):
    """One thing that is held: `section` is about, entries, labels, lists, counters, profiles,
    requests or problems."""

    section: str
    content: Mapping[str, Any]


class Stores(NamedTuple):
    """Where to look besides the database. `profiles`: the running service reads them."""

    valkey: Connection
    catalog: Catalog
    profiles: bool
    profile_max_age_seconds: float


class Access:
    """One access request. `connection` is an asyncpg connection of its own, in no transaction."""

    def __init__(self, connection: Any, ring: Keyring, log: str, stores: Stores) -> None:
        self._connection = connection
        self._held = HeldEntries(connection, ring, log)
        self._stores = stores

    async def count(self, tags: Sequence[str]) -> int:
        """Return how many entries there are of these tags (`kind:tag`)."""
        return int(await self._connection.fetchval(_COUNT, list(tags)))

    async def parts(self, tags: Sequence[str]) -> AsyncIterator[Part]:
        """Yield everything that is held, section by section. Raises what asyncpg raises."""
        kinds = sorted({tag.partition(":")[0] for tag in tags})
        now = datetime.now(UTC)
        yield Part("about", {"format": FORMAT, "at": now, "identifiers": kinds})
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            async for page in self._held.of(tags, with_core=True):
                for entry in page:
                    yield Part("entries", _entry(entry))
                events = [e.event_key.decode() for e in page if e.event_key is not None]
                names = {e.event_key.decode(): e for e in page if e.event_key is not None}
                for row in await self._connection.fetch(_LABELS, events):
                    yield Part("labels", _label(row, names[row["event_tag"]]))
            columns = list(zip(*(tag.split(":") for tag in tags), strict=True))
            for row in await self._connection.fetch(_LISTED, list(tags), *map(list, columns)):
                yield Part("lists", dict(row))
            for row in await self._connection.fetch(_REQUESTS, list(tags)):
                yield Part("requests", dict(row))
        try:
            async for part in self._counters(tags, epoch_ms(now)):
                yield part
            async for part in self._profiles(tags, epoch_ms(now)):
                yield part
        except VelocityUnavailable as error:
            yield Part("problems", {"section": "counters", "reason": error.reason})

    async def _counters(self, tags: Sequence[str], now_ms: int) -> AsyncIterator[Part]:
        history = ValkeyVelocityHistory(self._stores.valkey)
        for tag in tags:
            kind, _, value = tag.partition(":")
            for name, declared in declared_series(self._stores.catalog).items():
                if declared.plan.entity != kind:
                    continue
                state = await history.peek(kind, value, declared.plan, now_ms, PEEK_SECONDS)
                if state.members:
                    content = {
                        "of": kind,
                        "series": name,
                        "values": state.answers,
                        "since": _time(state.first_ms),
                        "last": _time(state.last_ms),
                    }
                    yield Part("counters", content)

    async def _profiles(self, tags: Sequence[str], now_ms: int) -> AsyncIterator[Part]:
        wanted = {kind: tag for kind, _, tag in (one.partition(":") for one in tags)}
        entities = {view.entity for view in VIEWS.values()}
        if not self._stores.profiles or not entities & wanted.keys():
            return
        from features.profiles.feast_store import FeastProfileStore
        from features.profiles.store import ProfilesUnavailable

        fields = [
            _Field(f"{view.name}.{field.name}", view.name, field.name)
            for view in VIEWS.values()
            for field in view.fields
        ]
        age = self._stores.profile_max_age_seconds
        store = FeastProfileStore(self._stores.valkey, fields, age)
        try:
            answer = await store.read(wanted, now_ms, PEEK_SECONDS)
        except ProfilesUnavailable as error:
            if error.reason != "empty":
                yield Part("problems", {"section": "profiles", "reason": error.reason})
            return
        for view in VIEWS.values():
            values = {
                name.removeprefix(f"{view.name}."): value
                for name, value in answer.values.items()
                if name.startswith(f"{view.name}.")
            }
            if values:
                yield Part("profiles", {"of": view.entity, "values": values})


class _Field(NamedTuple):
    name: str
    view: str
    field: str


def _entry(entry: HeldEntry) -> dict[str, Any]:
    """Return an entry as its person may have it: all facts, the answer without inner names."""
    subject = dict(entry.subject) if entry.subject is not None else {}
    core = entry.core or {}
    answer = core.get("answer")
    if isinstance(answer, dict):
        answer = {name: value for name, value in answer.items() if name not in _INNER}
        if answer.get("event_id") is None and "event_id" in answer:
            answer["event_id"] = subject.get("event_id")
        answer["reasons"] = [
            {"code": reason["code"], "text": reason["text"]} for reason in answer.get("reasons", ())
        ]
    return {
        "entry": entry.entry_id.hex(),
        "type": entry.type,
        "at": entry.observed,
        "answer": answer,
        "is_readable": entry.subject is not None,
        "data": subject,
    }


def _label(row: Any, entry: HeldEntry) -> dict[str, Any]:
    return {
        "entry": entry.entry_id.hex(),
        "label": _WORDS[row["label"]],
        "source": row["source"],
        "known_at": row["known_at"],
    }


def _time(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)
