"""What is left of a person in the velocity store and among the profiles, and how does it go?

Keys of the person's own series, their tags as members of what other entities' series tell apart
(which users a shared device had), recorded answers, claims and profiles. Invariant: only keys that
name a tag of the person, or an event of theirs, are deleted; of all others only single members.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import hiredis

from features.catalog import Catalog
from features.observe import OUTCOME_SUFFIX, pair_tag
from features.profiles.marker import MARKER_KEY, Marker
from features.profiles.schema import PROJECT, VIEWS
from features.series_identity import declared_series
from features.velocity.connect import Connection
from features.velocity.store import REPEAT_MS, VelocityUnavailable
from features.velocity.wire import Command, refusal
from service.rights.held import HeldEntry

TIMEOUT_SECONDS = 5.0
_AT_ONCE = 500
# Of a series: itself, and the shadow and position of a restoration that is under way.
_PREFIXES = ("ts:", "tsh:", "tsp:")


class Traces(NamedTuple):
    """Keys to delete, and members (of a key that stays) to take out."""

    keys: set[str]
    members: set[tuple[str, str]]

    def add(self, other: Traces) -> None:
        """Take over what another found."""
        self.keys.update(other.keys)
        self.members.update(other.members)


def no_traces() -> Traces:
    """Return an empty collection."""
    return Traces(set(), set())


def traces_of_event(
    own: Iterable[str],
    subject: Mapping[str, Any],
    event_tag: str | None,
    *,
    is_owner: bool,
    is_recent: bool,
) -> Traces:
    """Return what one event left that names one of a person's tags (`kind:tag`).

    `subject` is its subject block. `is_owner`: the event is the person's, otherwise it only
    mentions them. `is_recent`: the store may still hold its recorded answer.

    >>> subject = {"tags": {"user": "u", "device": "d"}, "writes": {"user": {"orders": 1},
    ...            "device": {"users": "u", "orders": 1}}}
    >>> traces = traces_of_event(["user:u"], subject, None, is_owner=True, is_recent=False)
    >>> sorted(traces.keys)
    ['ts:{user:u}:orders', 'tsh:{user:u}:orders', 'tsp:{user:u}:orders']
    >>> sorted(traces.members)
    [('ts:{device:d}:users', 'u'), ('tsh:{device:d}:users', 'u')]
    """
    mine = set(own)
    values = {one.partition(":")[2] for one in mine}
    tags: Mapping[str, str] = subject.get("tags", {})
    writes: Mapping[str, Mapping[str, Any]] = subject.get("writes", {})
    traces = no_traces()
    if event_tag is not None and is_owner:
        traces.keys.add(f"ts:{{event:{event_tag}}}:claim")
    for kind in {**tags, **writes}:
        one, _, other = kind.partition("+")
        tag = pair_tag((one, other), tags) if other else tags.get(kind)
        if tag is None:
            continue
        is_mine = any(f"{part}:{tags.get(part)}" in mine for part in kind.split("+"))
        entity = f"{{{kind}:{tag}}}"
        if event_tag is not None and is_recent and (is_mine or is_owner):
            answer = f"ts:{entity}:r:{event_tag}"
            traces.keys.update((answer, answer + OUTCOME_SUFFIX))
        for name, value in writes.get(kind, {}).items():
            if is_mine:
                traces.keys.update(f"{prefix}{entity}:{name}" for prefix in _PREFIXES)
            elif value in values:
                traces.members.add((f"ts:{entity}:{name}", value))
                traces.members.add((f"tsh:{entity}:{name}", value))
    return traces


def traces_of_entries(
    own: Iterable[str], entries: Iterable[HeldEntry], *, is_owner: bool
) -> Traces:
    """Return what these entries left; see `traces_of_event`."""
    mine = set(own)
    # The velocity store may still hold the recorded answers of events since then.
    recent = datetime.now(UTC) - timedelta(milliseconds=2 * REPEAT_MS)
    traces = no_traces()
    for entry in entries:
        event_tag = None if entry.event_key is None else entry.event_key.decode()
        is_recent = entry.observed >= recent
        traces.add(
            traces_of_event(
                mine, entry.subject or {}, event_tag, is_owner=is_owner, is_recent=is_recent
            )
        )
    return traces


def traces_of_tags(own: Iterable[str], catalog: Catalog) -> Traces:
    """Return the keys of every series that the catalog keeps for these entities."""
    kinds: dict[str, list[str]] = {}
    for name, declared in declared_series(catalog).items():
        kinds.setdefault(declared.plan.entity, []).append(name)
    traces = no_traces()
    for subject_tag in own:
        kind = subject_tag.partition(":")[0]
        traces.keys.update(
            f"{prefix}{{{subject_tag}}}:{name}"
            for name in kinds.get(kind, ())
            for prefix in _PREFIXES
        )
    return traces


def profile_key(kind: str, tag: str, generation: str) -> bytes:
    """Return the key of a profile, as Feast serialises it (entity key, version 3, and project).

    Written out here, because importing Feast costs a worker 130 MB.
    """
    name, value = kind.encode(), tag.encode()
    number = [len(part).to_bytes(4, "little") for part in (name, value)]
    text, one = (2).to_bytes(4, "little"), (1).to_bytes(4, "little")
    project = f"{PROJECT}@{generation}" if generation else PROJECT
    return one + text + number[0] + name + text + number[1] + value + project.encode()


class TraceEraser:
    """Takes traces out of one velocity store."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def erase(self, traces: Traces, own: Iterable[str]) -> int:
        """Delete the traces, and the profiles of a person's tags; return how many there were.

        Raises `VelocityUnavailable`; then some may be left, and it may be done again.
        """
        commands: list[Command] = [("UNLINK", key) for key in sorted(traces.keys)]
        commands += [("ZREM", key, member) for key, member in sorted(traces.members)]
        commands += [("UNLINK", key) for key in await self.profile_keys(own)]
        replies = await self._all(commands)
        return sum(reply for reply in replies if isinstance(reply, int))

    async def profile_keys(self, own: Iterable[str]) -> list[bytes]:
        """Return the keys that the tags' profiles have, if any. Raises `VelocityUnavailable`."""
        entities = {view.entity for view in VIEWS.values()}
        tags = [one.partition(":")[::2] for one in own if one.partition(":")[0] in entities]
        if not tags:
            return []
        (text,) = await self._all([("GET", MARKER_KEY)])
        try:
            generation = Marker.loads(text).generation if text is not None else None
        except ValueError:
            generation = None
        return [] if generation is None else [profile_key(*one, generation) for one in tags]

    async def _all(self, commands: Sequence[Command]) -> list[Any]:
        replies: list[Any] = []
        for at in range(0, len(commands), _AT_ONCE):
            some = commands[at : at + _AT_ONCE]
            for reply in await self._connection.call(*some, timeout_s=TIMEOUT_SECONDS):
                if isinstance(reply, hiredis.ReplyError) and "WRONGTYPE" not in str(reply):
                    raise refusal(reply)
                replies.append(reply)
        return replies


__all__ = ["TraceEraser", "Traces", "VelocityUnavailable", "no_traces", "profile_key"]
