"""How do `ledger status` and `ledger fsck` say things to people, in English and in 中文?

The texts are in `words.yaml`. Invariant: every text has both languages.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import yaml

from service.counted import filled

Language = Literal["en", "zh"]
TEXTS = Path(__file__).with_name("words.yaml")


def say(code: str, language: Language, *details: object) -> str:
    """Return the text of a code, filled.

    >>> say("placed", "en", 3)
    'entries        3 in the tree'
    >>> say("witness", "en", "w.example", 1)
    'witness        w.example has seen 1 entry'
    """
    return filled(words()[code][language], *details)


@cache
def words() -> dict[str, dict[Language, str]]:
    """Return every text, by code and language."""
    texts: dict[str, dict[Language, str]] = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))
    return texts
