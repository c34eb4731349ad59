"""The page and the JSON of what is held, from parts that a test makes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import orjson
import yaml

from features.entities import ENTITY_KINDS
from service.rights.access import Part
from service.rights.page import SECTIONS, _words, as_html, as_json

AT = datetime(2026, 11, 22, tzinfo=UTC)
ABOUT = Part("about", {"format": "f", "at": AT, "identifiers": ["user"]})


async def parts(*more: Part) -> AsyncIterator[Part]:
    """Give what it is about, then these parts."""
    yield ABOUT
    for part in more:
        yield part


async def written(chunks: AsyncIterator[bytes]) -> bytes:
    """Put the chunks together."""
    return b"".join([chunk async for chunk in chunks])


async def test_json_has_every_section_even_when_nothing_is_held() -> None:
    """It is one object, whatever is in it."""
    for more in ((), (Part("labels", {"label": "honest"}), Part("entries", {"entry": "e"}))):
        found: dict[str, Any] = orjson.loads(await written(as_json(parts(*more))))
        assert set(SECTIONS) <= found.keys()
        assert len(found["entries"]) == len(found["labels"]) == len(more) // 2


async def test_every_word_is_there_in_both_languages() -> None:
    """No section and no kind of identifier is shown by its name in the code."""
    words = _words()
    assert all(set(texts) == {"en", "zh"} and all(texts.values()) for texts in words.values())
    assert set(SECTIONS) <= words.keys()
    named = {f"kind.{kind}" for kind in ENTITY_KINDS} - {"kind.coupon_campaign"}
    assert named <= words.keys()
    page = (await written(as_html(parts(), "zh"))).decode()
    assert yaml.safe_load(f'"{words["nothing"]["zh"]}"') in page


async def test_what_a_shop_sent_is_shown_and_never_run() -> None:
    """A name that is markup is text on the page, in keys and in values."""
    evil = "<script>alert(1)</script>"
    entry = {
        "at": AT, "entry": "e", "is_readable": True,
        "answer": {"type": evil, "outcome": "decline", "score": 0.5, "event_id": evil,
                   "reasons": [{"code": "X", "text": {"en": evil, "zh": evil}}], "step_up": None},
        "data": {"event_id": evil, "tags": {evil: evil}, "facts": {evil: evil}},
    }  # fmt: skip
    page = await written(as_html(parts(Part("entries", entry), Part("lists", {evil: evil})), "en"))
    assert b"<script" not in page
    assert page.count(b"&lt;script&gt;") >= 6
