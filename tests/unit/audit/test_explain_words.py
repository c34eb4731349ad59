"""What is decided is explained in both languages, and the person learns no more than they may."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from features.catalog import Catalog
from features.event_types import EVENT_TYPES
from features.fields import PRESENCE
from rules.decision import Outcome
from rules.files import SHIPPED
from rules.human_review import CAP
from rules.reasons import Reasons
from service.audit.explain import VIEWS, WORDS, Language, Logic, View, explained
from service.audit.opened_entries import AuditEntry
from service.ledger.entry import Header

SAID: dict[str, Any] = yaml.safe_load(WORDS.read_text(encoding="utf-8"))
REASONS = Reasons.load(SHIPPED / "reasons.yaml")
# Articles of laws, times, the reference: the only numbers that a person reads.
NUMBERS = re.compile(
    r"art\. \d+( \(3\))?|第 \d+ 条第 \d 款|\d{4}-\d\d-\d\d \d\d:\d\d UTC|[0-9a-f]{32}"
)


def entry(outcome: str, kind: str, *codes: str, source: str = "rule:secret-rule") -> AuditEntry:
    """A decision with these reasons and every fact of the catalog."""
    header = Header(
        "test", bytes(16), "decision", bytes(16), 1, datetime(2026, 11, 22, tzinfo=UTC), {}, {}
    )
    reasons = [
        {"code": r.code, "source": source, "text": {"en": r.text_en, "zh": r.text_zh}}
        for r in (REASONS.reason(code, source) for code in codes)
    ]
    answer = {
        "type": kind,
        "outcome": outcome,
        "score": 0.8731,
        "reasons": reasons,
        "rule_hits": [],
        "degraded": ["velocity"],
    }
    facts = dict.fromkeys(Catalog.load().fact_types, 4711)
    blocks: dict[str, dict[str, Any]] = {"core": {"answer": answer}, "subject": {"facts": facts}}
    return AuditEntry(header, b"{}", blocks, {}, is_answer=True)


def lines(found: list[dict[str, Any]]) -> str:
    return "\n".join(line for section in found for line in section["lines"])


def texts(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, dict) and value.keys() <= {"en", "zh"}:
            yield f"{path}/{key}", value
        else:
            yield from texts(value, f"{path}/{key}")


def test_every_text_is_in_both_languages() -> None:
    """Each text has English in ASCII and 中文."""
    for path, said in texts(SAID):
        assert said.keys() == {"en", "zh"}, path
        assert str(said["en"]).isascii(), path
        assert re.search(r"[\u4e00-\u9fff]", str(said["zh"])), path


def test_everything_that_may_happen_has_words() -> None:
    """Every type of event, outcome, reason code and fact of the catalog is told in words."""
    assert SAID["event_types"].keys() == {*EVENT_TYPES, "other"}
    assert SAID["outcomes"].keys() == {outcome.value for outcome in Outcome}
    for code in REASONS.texts:
        assert any(code.startswith(key) for key in SAID["change"]), code
    for fact in Catalog.load().fact_types:
        assert fact in PRESENCE or any(fact.startswith(key) for key in SAID["data"]), fact


@pytest.mark.parametrize("language", ["en", "zh"])
def test_person_reads_no_number_rule_or_feature(language: Language) -> None:
    """Whatever the reasons are: no number but time, reference and law, no code, rule or feature."""
    codes = sorted(REASONS.texts)
    for at in range(0, len(codes), 4):
        found = lines(
            explained(entry("decline", "payment", *codes[at : at + 4]), "person", language, None)
        )
        rest = NUMBERS.sub("", found)
        assert not re.search(r"\d", rest), rest
        assert "secret-rule" not in found
        assert not re.search(r"[A-Za-z]+_[A-Za-z]+", found), found


def test_person_learns_who_decides() -> None:
    """A machine alone, a person after a machine, or a person because it was asked for."""
    how = {name: said["en"] for name, said in SAID["how"].items()}
    declined = explained(entry("decline", "checkout", "COUPON_TOO_MANY"), "person", "en", None)
    reviewed = explained(entry("review", "checkout", "COUPON_TOO_MANY"), "person", "en", None)
    capped = explained(
        entry("review", "checkout", "HUMAN_REVIEW_ASKED", source=CAP), "person", "en", None
    )
    assert how["machine"] in lines(declined)
    assert how["review"] in lines(reviewed)
    assert how["capped"] in lines(capped)
    plain = explained(entry("approve", "unheard_of"), "person", "en", None)
    assert SAID["no_reason"]["en"] in lines(plain)
    assert Path(WORDS).is_file()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("codes", [(), ("COUPON_TOO_MANY",)])
def test_no_heading_is_empty_or_there_twice(
    view: View, language: Language, codes: tuple[str, ...]
) -> None:
    """A section without a line is left out, and each has a title of its own."""
    decision = entry("decline", "checkout", *codes)
    answer, rules = decision.blocks["core"]["answer"], {}
    answer["step_up"] = None
    if codes:
        answer["rule_hits"] = [
            {"rule_id": "r", "mode": "active", "status": "hit", "outcome": "decline"}
        ]
        rules["r"] = {
            "description": "Many coupons.", "when": "x > 1", "precedence": 10,
            "outcome": "decline", "source": "a test", "false_alarms": "none",
        }  # fmt: skip
    else:
        decision.blocks["subject"].clear()
    found = explained(decision, view, language, Logic(rules, None, (), None, {}))
    titles = [section["title"] for section in found]
    assert len(set(titles)) == len(titles)
    assert all(section["lines"] for section in found)
    hits = SAID["titles"]["rules"][language], SAID["titles"]["conditions"][language]
    assert [title in titles for title in hits] == [
        view != "person" and bool(codes),
        view == "authority" and bool(codes),
    ]
