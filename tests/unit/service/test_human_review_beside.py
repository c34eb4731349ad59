"""Whoever asked for a human is not declined in a backtest or by a shadow, either."""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from typing import Any

import pytest

from features.catalog import Catalog
from rules.decision import Outcome
from rules.human_review import CAP
from rules.listed import Listed
from rules.ruling import Ruling
from service.backtest.compared import Compared
from service.lists.membership import Lists
from service.shadow.child import Shadows
from tests.deploying import pack_of, set_of

DECLINES = set_of(pack_of("declines", outcome="decline"))
REVIEWS = set_of(pack_of("reviews", outcome="review"))
TYPES = Catalog.load().fact_types
FLAGGED = {"list.human_review.user": True}


@pytest.fixture
def _no_watchdog() -> Iterator[None]:
    """A shadow that loads sets asks to be ended when it hangs: not in here."""
    yield
    faulthandler.cancel_dump_traceback_later()


def test_backtest_knows_the_cap() -> None:
    """Of events that are alike in everything else both sides decline one and review the other."""
    declines, reviews = (Ruling.load(files, TYPES) for files in (DECLINES, REVIEWS))
    compared = Compared(declines, reviews, TYPES)
    plain = compared.decide("login", {}, None, (), 0)
    capped = compared.decide("login", FLAGGED, None, (), 0)
    assert plain.candidate.decision.outcome is Outcome.DECLINE
    assert capped.candidate.decision.outcome is Outcome.REVIEW
    assert capped.candidate.decision.decided_by[-1] == CAP
    assert capped.candidate.decisive == {"declines"}
    assert capped.baseline.decision == plain.baseline.decision


@pytest.mark.usefixtures("_no_watchdog")
def test_shadow_knows_the_cap() -> None:
    """A shadow that would decline is counted as a review where a human was asked for."""
    shadows = Shadows()
    shadows.set_up(
        {
            "versions": [DECLINES.version],
            "stopped": [],
            "texts": {DECLINES.version: dict(DECLINES.texts)},
            "types": dict(TYPES),
        }
    )
    task: dict[str, Any] = {
        "id": "00" * 16, "at_ms": 0, "type": "login", "score": None, "gaps": [],
        "outcome": "approve", "hits": [], "baseline": REVIEWS.version,
    }  # fmt: skip
    shadows.decide({**task, "facts": {}})
    shadows.decide({**task, "facts": FLAGGED})
    cells = [row for table, rows in shadows.tally._counts.rows() for row in rows]
    assert {"decline", "review"} <= {cell for row in cells for cell in row if isinstance(cell, str)}


def test_flags_are_those_that_are_true() -> None:
    """A worker's lists give the flags of an event, at its time, and none that are false."""
    lists = Lists()
    assert lists.flags({"user": "tag"}, 5) == {}
    lists._revision = 1
    lists._entries[Listed("human_review", "user")] = {"tag": (4_000, 9_000)}
    assert lists.flags({"user": "tag", "device": "tag"}, 5) == FLAGGED
    assert lists.flags({"user": "tag"}, 9) == {}
    assert lists.flags({"user": "other"}, 5) == {}
