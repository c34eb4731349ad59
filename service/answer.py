"""How is a decision told to the caller?

Plain dicts in the order in which they are read, written as JSON by orjson. Their documented shape
is `service/api/answers.py`; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rules.decision import Decision, HitStatus, Reason
from service.accepted import Accepted
from service.clock import monotonic


def score_answer(
    entry_id: bytes,
    accepted: Accepted,
    score: float | None,
    decision: Decision,
    reasons: Sequence[Reason],
    versions: Mapping[str, str | None],
) -> dict[str, Any]:
    """Return the answer to a scored event (`ScoreAnswer`)."""
    told = told_of(score, decision, reasons)
    return {
        "decision_id": entry_id.hex(),
        "event_id": accepted.event.event_id,
        "type": accepted.event.type,
        "outcome": told["outcome"],
        "score": score,
        "reasons": told["reasons"],
        "rule_hits": told["rule_hits"],
        "step_up": told["step_up"],
        "versions": versions,
        "degraded": told["degraded"],
        "observed_at": accepted.observed_at,
        "latency_ms": round((monotonic() - accepted.started) * 1000, 3),
    }


def told_of(score: float | None, decision: Decision, reasons: Sequence[Reason]) -> dict[str, Any]:
    """Return the part of the answer that follows from facts and rules alone.

    It is the same whenever it is computed: `service/audit/replay.py` holds it against the record.
    """
    step_up = decision.step_up
    return {
        "outcome": decision.outcome.value,
        "score": score,
        "reasons": [
            {
                "code": reason.code,
                "text": {"en": reason.text_en, "zh": reason.text_zh},
                "source": reason.source,
            }
            for reason in reasons
        ],
        "rule_hits": [
            {
                "rule_id": hit.rule_id,
                "status": hit.status.value,
                "outcome": hit.outcome.value,
                "mode": hit.mode,
            }
            for hit in decision.hits
            if hit.status is not HitStatus.NO_HIT
        ],
        "step_up": None
        if step_up is None
        else {"method": step_up.method, "delay_seconds": step_up.delay_seconds},
        "degraded": list(decision.degraded),
    }


def event_answer(entry_id: bytes, accepted: Accepted, gaps: Sequence[str]) -> dict[str, Any]:
    """Return the answer to an event that was only counted (`EventAnswer`)."""
    return {
        "event_id": accepted.event.event_id,
        "entry_id": entry_id.hex(),
        "recorded": True,
        "degraded": list(gaps),
        "observed_at": accepted.observed_at,
    }
