"""How does a report say things to people, in English and in 中文?

The texts are in `words.yaml`. Invariant: every text has both languages; a report is made from one
result and these texts alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")


def word(name: str, language: Language) -> str:
    """Return a word; one that is not in the table is a name and stays as it is.

    >>> word("decline", "zh"), word("order.channel", "en")
    ('拒绝', 'order.channel')
    """
    texts = _texts()["words"].get(name)
    return name if texts is None else texts[language]


def notes(result: Mapping[str, Any], language: Language) -> list[str]:
    """Return what a reader of a result must know first."""
    replay = result["replay"]
    values = {
        "facts": ", ".join(result["source"]["unknown_facts"]),
        "stopped": ", ".join(result["source"]["stopped"]),
        "differ": replay["compared"] - replay["equal"],
        "compared": replay["compared"],
    }
    return [_texts()["notes"][note][language].format(**values) for note in result["notes"]]


@cache
def _texts() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    texts: dict[str, dict[str, dict[str, str]]] = yaml.safe_load(
        Path(__file__).with_name("words.yaml").read_text(encoding="utf-8")
    )
    return texts
