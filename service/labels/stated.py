"""What does somebody say of events, and can it be so?

Invariants: a label has a source that may say so; it was known neither before its event nor after
this moment; an event that was never seen has none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from features.event_fields import Id, Time
from features.problems import did_you_mean
from features.tags import Tagger
from service.csv_rows import Problems
from service.labels.sources import LABELS, Source
from service.labels.store import (
    WITHDRAWN,
    StatedLabel,
    events_seen,
    insert_labels,
    said_before,
)
from service.turns import in_parts

COLUMNS = ("event_id", "event_tag", "label", "source", "known_at")
# Clocks of people's machines differ.
TOLERANCE = timedelta(minutes=1)

_WORDS: Mapping[str, int | None] = {
    **LABELS, "1": 1, "true": 1, "0": 0, "false": 0, WITHDRAWN: None,
}  # fmt: skip
_TAG = re.compile(r"[A-Za-z0-9_-]{22}")
_ID: TypeAdapter[str] = TypeAdapter(Id)
_TIME: TypeAdapter[datetime] = TypeAdapter(Time)


class BadLabel(Exception):
    """A label that cannot be; `wrong` is column and sentence of each problem."""

    code = "bad_label"

    def __init__(self, wrong: list[tuple[str, str]]) -> None:
        super().__init__(f"{len(wrong)} problem(s)")
        self.wrong = wrong


class Kept(NamedTuple):
    """What became of labels; `repeated` say what their source had said before."""

    added: int
    repeated: int


def stated_label(
    cells: Mapping[str, Any], sources: Mapping[str, Source], tagger: Tagger, now: datetime
) -> StatedLabel:
    """Return the label that cells state. Raises `BadLabel` with everything that is wrong."""
    wrong: list[tuple[str, str]] = []
    tag = _event_tag(cells, tagger, wrong)
    label = None
    source = sources.get(str(cells.get("source")))
    if source is None:
        hint = did_you_mean(str(cells.get("source") or ""), sources)
        wrong.append(("source", f"There is no such source.{hint or _one_of(sources)}"))
    else:
        label = _label(cells.get("label"), source, wrong)
    known_at = cells.get("known_at")
    if known_at is not None:
        try:
            known_at = _TIME.validate_python(known_at)
        except ValidationError:
            wrong.append(("known_at", "Must be a time with a zone, such as 2026-11-22T08:15:30Z."))
        else:
            if known_at > now + TOLERANCE:
                wrong.append(("known_at", "This time has not come yet."))
    if wrong or source is None:
        raise BadLabel(wrong)
    return StatedLabel(tag, label, source.name, known_at)


async def keep_labels(
    connection: Any,
    stated: Sequence[StatedLabel],
    pointers: Sequence[str],
    actor: str,
    batch: UUID,
) -> tuple[Kept, Problems]:
    """Add labels, all or none; problems name the row by its pointer.

    Runs within a transaction, which the caller gives up when there is any problem. A label without
    a time is known from this moment on; one that repeats what its source said last is left out.
    """
    now: datetime = await connection.fetchval("SELECT now()")
    rows: dict[tuple[str, str, datetime], tuple[StatedLabel, datetime]] = {}
    problems: Problems = []
    for part in in_parts(list(zip(stated, pointers, strict=True))):
        tags = {label.event_tag for label, _ in part}
        seen = await events_seen(connection, tags)
        said = await said_before(connection, tags)
        for label, pointer in part:
            at = seen.get(label.event_tag)
            if at is None:
                text = "No event of this id was seen."
                problems.append(_problem(f"{pointer}event_id", "unknown_event", text))
                continue
            if label.known_at is not None and label.known_at < at:
                text = "It says that this was known before the event was seen."
                problems.append(_problem(f"{pointer}known_at", "before_event", text))
                continue
            known_at = min(label.known_at or now, now)
            if _repeats(label, known_at, said.get((label.event_tag, label.source), [])):
                continue
            kept = (label._replace(known_at=known_at), at)
            other, _ = rows.setdefault((label.event_tag, label.source, known_at), kept)
            if other.label != label.label:
                text = "Another row has another label of this event, source and time."
                problems.append(_problem(f"{pointer}label", "contradiction", text))
    if not problems:
        for new in in_parts(list(rows.values())):
            await insert_labels(connection, new, actor, batch)
    return Kept(len(rows), len(stated) - len(rows)), problems


def _repeats(
    label: StatedLabel, known_at: datetime, before: Sequence[tuple[int | None, datetime]]
) -> bool:
    if label.known_at is None:
        return bool(before) and before[-1][0] == label.label
    return (label.label, known_at) in before


def _event_tag(cells: Mapping[str, Any], tagger: Tagger, wrong: list[tuple[str, str]]) -> str:
    name, tag = cells.get("event_id"), cells.get("event_tag")
    if (name is None) == (tag is None):
        wrong.append(("event_id", "Give either `event_id` or `event_tag`."))
        return ""
    if tag is not None:
        if not isinstance(tag, str) or _TAG.fullmatch(tag) is None:
            wrong.append(("event_tag", "A tag has 22 letters, digits, - and _."))
        return str(tag)
    try:
        return tagger.tag("event", _ID.validate_python(name))
    except ValidationError:
        wrong.append(("event_id", "An event_id has 1 to 128 characters."))
        return ""


def _label(word: object, source: Source, wrong: list[tuple[str, str]]) -> int | None:
    if word is None:
        if source.default is None:
            said = f"`{source.name}` may mean either: say {', '.join(LABELS)} or {WITHDRAWN}."
            wrong.append(("label", said))
        return source.default
    text = str(word).lower()
    if text not in _WORDS:
        wrong.append(("label", f"Must be one of {', '.join(LABELS)} and {WITHDRAWN}."))
        return None
    label = _WORDS[text]
    if label is not None and source.always is not None and label != source.always:
        wrong.append(("label", f"`{source.name}` cannot mean this."))
    return label


def _one_of(sources: Mapping[str, Source]) -> str:
    return f" There are {', '.join(sources)}."


def _problem(pointer: str, code: str, detail: str) -> dict[str, str]:
    return {"pointer": pointer, "code": code, "detail": detail}


def utc_now() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)
