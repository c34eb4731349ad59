"""Every sentence of the feature contract names a test, and that test is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_ROW = re.compile(
    r"^\| (?P<sentence>[^|]+) \| `(?P<file>[^`:]+)::(?P<test>test_\w+)` \|$", re.MULTILINE
)


def contract() -> list[tuple[str, str, str]]:
    page = (ROOT / "features" / "README.md").read_text("utf-8")
    section = page.partition("## The feature contract")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    found = [match.group("sentence", "file", "test") for match in _ROW.finditer(section)]
    assert len(found) == len(rows), "a row of the contract is not `sentence | test`"
    return found


def test_each_sentence_of_the_contract_is_backed_by_a_named_test() -> None:
    rows = contract()
    assert len(rows) >= 20
    missing = [
        f"{file}::{test}"
        for _, file, test in rows
        if not re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)
    ]
    assert missing == []


def test_the_contract_speaks_of_everything_that_it_must() -> None:
    """Window edges, self-exclusion, ties, late events, missing values, money, corrections."""
    text = " ".join(sentence for sentence, _, _ in contract()).lower()
    for word in ("window", "itself", "same millisecond", "late", "unknown", "currency", "correct"):
        assert word in text, word
