"""What did one entry of the ledger say about an event?

Opens the sealed blocks of a row and gives the event as history knows it. Invariant: what is given
is what was sealed; an entry that cannot be opened is reported as such, never guessed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from features.fields import FIELD_TYPES, Value
from features.history import HistoryEvent
from service.clock import epoch_ms
from service.ledger.entry import Header, claims_of, parse_header, unframed
from service.ledger.errors import BadHeader, SealBroken
from service.ledger.keys import Keyring
from service.ledger.seal import open_sealed

# Persons come back within hours; unwrapping a key again costs 5 µs.
SUBJECT_KEYS_CACHED = 20_000


class Unusable(Exception):
    """An entry gives no event; `why` is `erased`, `superseded` or `unreadable`."""

    code = "entry_unusable"

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(f"{why}: {detail}" if detail else why)
        self.why = why


class Place(NamedTuple):
    """Where an entry stands in the order of acceptance."""

    observed_ms: int
    writer: bytes
    seq: int


class Opened(NamedTuple):
    """An event without its position, where it stands, and what was answered.

    `answer` is None when the core block is past its retention. `versions`: what the entry names.
    """

    place: Place
    event: HistoryEvent
    entry_id: bytes
    answer: Mapping[str, Any] | None
    versions: Mapping[str, str]


class Opener:
    """Opens rows with the keys of one log; remembers the keys of persons who come back."""

    def __init__(self, ring: Keyring, log: str, month_keys: Mapping[str, bytes]) -> None:
        self._ring = ring
        self._log = log
        self._month_keys = month_keys
        self._subjects: OrderedDict[bytes, bytes] = OrderedDict()

    def event(self, row: Any) -> Opened:
        """Return the event of a row; raises `Unusable` and `WrongKek`."""
        subject_key = self._subject_key(row)
        try:
            header = parse_header(row["header"])
            core = self._core(row, header)
            framed = self._open(subject_key, row, "subject")
            subject = orjson.loads(framed.content)
            answer = None if core is None else core["answer"]
            event = _event(answer or {}, subject, (framed.event_key or b"").decode())
        except (BadHeader, SealBroken, KeyError, ValueError, TypeError) as error:
            raise Unusable("unreadable", str(error)) from error
        if row["event_key"] is None:
            raise Unusable("superseded")
        place = Place(event.observed_ms, row["writer"], row["seq"])
        return Opened(place, event, row["entry_id"], answer, header.versions)

    def _core(self, row: Any, header: Header) -> Any:
        key = self._month_keys.get(str(header.blocks["core"][0]))
        if row["core"] is None or key is None:
            return None
        opened = self._open(key, row, "core")
        if opened.claims != claims_of(row["header"]):
            raise SealBroken("the header says something else than its core block")
        return orjson.loads(opened.content)

    def _open(self, key: bytes, row: Any, block: str) -> Any:
        return unframed(open_sealed(key, self._log, row["entry_id"], block, row[block]))

    def _subject_key(self, row: Any) -> bytes:
        key_id, wrapped = row["key_id"], row["wrapped"]
        if row["subject"] is None or wrapped is None:
            raise Unusable("erased")
        key = self._subjects.get(key_id)
        if key is None:
            try:
                key = self._ring.open_subject_key(key_id, row["subject_tag"], wrapped)
            except SealBroken as error:
                raise Unusable("unreadable", str(error)) from error
            self._subjects[key_id] = key
            if len(self._subjects) > SUBJECT_KEYS_CACHED:
                self._subjects.popitem(last=False)
        else:
            self._subjects.move_to_end(key_id)
        return key


def _event(answer: Mapping[str, Any], subject: Any, event_tag: str) -> HistoryEvent:
    """Return what the two blocks say. Entries of early releases lack `fields` and `observed_ms`."""
    facts: dict[str, Value] = subject.get("facts", {})
    fields: dict[str, Value] | None = subject.get("fields")
    if fields is None:
        fields = {name: facts[name] for name in FIELD_TYPES if name in facts}
    if "event.type" not in fields:
        fields["event.type"] = answer["type"]
    observed_ms = subject.get("observed_ms")
    if observed_ms is None:
        observed_ms = epoch_ms(_time(answer["observed_at"]))
    return HistoryEvent(
        position=0,
        observed_ms=observed_ms,
        occurred_ms=epoch_ms(_time(subject["occurred_at"])),
        event_tag=event_tag,
        outcome=answer.get("outcome"),
        tags=subject["tags"],
        fields=fields,
        facts=facts,
    )


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
