"""What does somebody want on a list, or off it?

A value becomes its tag here and goes no further. Invariants: it is checked, normalised and tagged
as in an event; no text that is kept repeats it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
from pydantic import TypeAdapter, ValidationError

from features.card_numbers import has_card_number
from features.entities import ENTITY_KINDS
from features.event_fields import Time
from features.problems import did_you_mean
from features.tags import Tagger
from service.entity_names import BadEntity, entity_tag

COLUMNS = ("kind", "value", "tag", "reason", "owner", "expires_at")
# What an export has besides; an import reads past them.
EXPORTED = ("kind", "tag", "reason", "owner", "expires_at", "added_by", "added_at")
MAX_REASON = 300
# A value that is shorter than this may be a part of any word.
SHORTEST_VALUE = 4

_TAG = re.compile(r"[A-Za-z0-9_-]{22}")
_OWNER = re.compile(r"[a-z0-9][a-z0-9._:-]{0,63}")
_MAIL = re.compile(r"\S@\S+\.\S")
_TIME: TypeAdapter[datetime] = TypeAdapter(Time)


class StatedEntry(NamedTuple):
    """An entry to be."""

    kind: str
    tag: str
    reason: str
    owner: str
    expires_at: datetime | None


class Entity(NamedTuple):
    """Who or what an entry is about."""

    kind: str
    tag: str


class BadEntry(Exception):
    """An entry that cannot be; `wrong` is column and sentence of each problem."""

    code = "bad_entry"

    def __init__(self, wrong: list[tuple[str, str]]) -> None:
        super().__init__(f"{len(wrong)} problem(s)")
        self.wrong = wrong


def stated_entity(cells: Mapping[str, Any], tagger: Tagger) -> Entity:
    """Return the entity of `kind` and `value`, or `kind` and `tag`. Raises `BadEntry`."""
    kind, value, tag = cells.get("kind"), cells.get("value"), cells.get("tag")
    if not isinstance(kind, str) or kind not in ENTITY_KINDS:
        kinds = ", ".join(ENTITY_KINDS)
        hint = did_you_mean(str(kind or ""), ENTITY_KINDS) or f" There are {kinds}."
        raise BadEntry([("kind", f"There is no such kind of entity.{hint}")])
    if (value is None) == (tag is None):
        raise BadEntry([("value", "Give either `value` or `tag`.")])
    if tag is not None:
        if not isinstance(tag, str) or _TAG.fullmatch(tag) is None:
            raise BadEntry([("tag", "A tag has 22 letters, digits, - and _.")])
        return Entity(kind, tag)
    if not isinstance(value, str) and kind != "shipping_address":
        raise BadEntry([("value", "Only an address is an object.")])
    try:
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
    except TypeError:  # half a surrogate pair, or a number beyond 64 bits
        raise BadEntry([("value", "This is no text.")]) from None
    if text != text.strip():
        raise BadEntry([("value", "There is white space around the value.")])
    try:
        return Entity(kind, entity_tag(kind, text, tagger))
    except BadEntity as error:
        said = str(error)
        raise BadEntry([("value", f"{said[0].upper()}{said[1:]}.")]) from None


def stated_entry(
    cells: Mapping[str, Any], defaults: Mapping[str, Any], tagger: Tagger, now: datetime
) -> StatedEntry:
    """Return the entry that cells state, with `defaults` where they say nothing.

    Raises `BadEntry` with everything that is wrong.
    """
    said = {**defaults, **{name: cell for name, cell in cells.items() if cell is not None}}
    wrong: list[tuple[str, str]] = []
    entity = None
    try:
        entity = stated_entity({**cells, "kind": said.get("kind")}, tagger)
    except BadEntry as error:
        wrong += error.wrong
    reason, owner = said.get("reason"), said.get("owner")
    wrong += [("reason", text) for text in reason_problems(reason, cells.get("value"))]
    if not isinstance(owner, str) or _OWNER.fullmatch(owner) is None:
        wrong.append(("owner", "An owner is a name of lower case letters, digits and . _ : -"))
    expires_at = None
    if said.get("expires_at") is not None:
        try:
            expires_at = _TIME.validate_python(said["expires_at"])
        except ValidationError:
            wrong.append(
                ("expires_at", "Must be a time with a zone, such as 2026-12-31T00:00:00Z.")
            )
        else:
            if expires_at <= now:
                wrong.append(("expires_at", "This time is past."))
    if wrong or entity is None:
        raise BadEntry(wrong)
    return StatedEntry(*entity, str(reason).strip(), str(owner), expires_at)


def reason_problems(reason: object, value: object = None) -> list[str]:
    """Return what is wrong with a reason: people read it, and it is kept in clear."""
    if not isinstance(reason, str) or not 0 < len(reason.strip()) <= MAX_REASON:
        return [f"A reason is needed, of at most {MAX_REASON} characters."]
    text = reason.strip()
    if not text.isprintable():
        return ["A reason is one line of text."]
    if not text[0].isalnum():  # =, + and @ would be a formula in a spreadsheet
        return ["A reason begins with a letter or a digit."]
    repeats = isinstance(value, str) and len(value) >= SHORTEST_VALUE and value in text
    if repeats or _MAIL.search(text) or has_card_number(text):
        return ["A reason is kept in clear: leave out identifiers of customers."]
    return []


def digest_of(entries: Iterable[StatedEntry | Entity]) -> str:
    """Return the SHA-256 of entries in their order, for the record: it names no customer."""
    content = hashlib.sha256()
    for entry in entries:
        cells = [cell.isoformat() if isinstance(cell, datetime) else cell for cell in entry]
        content.update(orjson.dumps(cells) + b"\n")
    return content.hexdigest()


def utc_now() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)
