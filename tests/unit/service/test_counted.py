"""Texts for people count as people do."""

from __future__ import annotations

import re
import string

import pytest

from service.counted import filled
from service.ledger.report import report_texts
from service.signer.words import words

TEXTS = {**words(), **report_texts()}
MANY = re.compile(
    r"(?<!to )\b1 (recorded |spooled |more |subject )?"
    r"(entries|writers|checkpoints|leaves|nodes|blocks|keys|signatures|places|findings"
    r"|are|were|wait|belong|repeat)\b"
)


@pytest.mark.parametrize("code", sorted(TEXTS))
def test_one_of_a_thing_is_not_many(code: str) -> None:
    """Filled with ones, no text of `ledger status`, `fsck` and `verify` says "1 entries"."""
    text = TEXTS[code]["en"]
    assert MANY.search(filled(text, *[1] * _fields(text))) is None


@pytest.mark.parametrize("code", sorted(TEXTS))
def test_both_languages_are_filled_alike(code: str) -> None:
    """No text lacks a language, no language leaves a detail out."""
    assert TEXTS[code].keys() == {"en", "zh"}
    assert _fields(TEXTS[code]["zh"]) == _fields(TEXTS[code]["en"])


def _fields(text: str) -> int:
    return sum(field is not None for _, field, _, _ in string.Formatter().parse(text))
