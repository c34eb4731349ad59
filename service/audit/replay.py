"""Does a decision come out the same when it is computed again?

From the entry alone, with the rule set and the bundle that it names by hash (promise P9): facts,
what was missing and which rules were stopped are those of the record. Invariant: equal means equal
to the bit: outcome, score, rule hits, reasons with their words, step-up and what was degraded.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import datetime
from math import nan
from typing import Any, NamedTuple

from features.fields import Value
from rules.human_review import needs_human
from rules.policy import settle
from rules.reasons import reasons_for
from rules.ruling import Ruling
from service.answer import told_of
from service.brain import marked
from service.history.decisions import RULE_GAP
from service.scorer import Scorer

COMPARED = ("outcome", "score", "rule_hits", "reasons", "step_up", "degraded")
_MODEL = "model"
_STOPPED = "stopped"
_IS_NEW = "_is_new"


class RecordedAnswer(NamedTuple):
    """What an entry keeps of a decision.

    `just_seen`: the model's inputs that were 0 because something was seen for the first time;
    None in entries of early releases.
    """

    answer: Mapping[str, Any]
    facts: Mapping[str, Value]
    just_seen: Sequence[str] | None


def recorded_of(core: Mapping[str, Any], subject: Mapping[str, Any]) -> RecordedAnswer:
    """Return what the core and the subject block of a decision's entry say.

    Raises `KeyError` for an entry of another kind.
    """
    facts: Mapping[str, Value] = subject["facts"]
    just_seen = subject.get("just_seen")
    if just_seen is None and any(
        name.endswith(_IS_NEW) and value is True for name, value in facts.items()
    ):
        return RecordedAnswer(core["answer"], facts, None)
    return RecordedAnswer(core["answer"], facts, just_seen or ())


def decided_again(
    recorded: RecordedAnswer, ruling: Ruling, scorer: Scorer | None, just_seen: Sequence[str]
) -> dict[str, Any]:
    """Return what the answer says of the decision, computed anew (`told_of`).

    A model that failed then is not asked: that it did is a fact of the record.
    """
    answer, facts = recorded.answer, recorded.facts
    event_type = answer["type"]
    gaps = [gap for gap in answer["degraded"] if not gap.startswith(RULE_GAP)]
    score: float | None = None
    row: list[float] = []
    if scorer is not None and _MODEL not in gaps:
        row = model_row(scorer.features, facts, just_seen)
        score = scorer.score(row, event_type)
    stopped = frozenset(hit["rule_id"] for hit in answer["rule_hits"] if hit["mode"] == _STOPPED)
    at = datetime.fromisoformat(answer["observed_at"])
    hits = marked(ruling.engine.evaluate(event_type, facts, at), stopped)
    decision = settle(ruling.policy, event_type, score, hits, gaps, needs_human=needs_human(facts))
    causes: Sequence[tuple[str, float]] = ()
    if decision.is_explained_by_model and scorer is not None:
        causes = scorer.explain(row, event_type)
    return told_of(score, decision, reasons_for(decision, causes, ruling.reasons))


def concluded(recorded: RecordedAnswer, novelty: Sequence[tuple[str, str, str]]) -> Sequence[str]:
    """Return what was just seen, from the facts of an entry that does not say it.

    `novelty` is that of the event type's plan.
    """
    return [seconds for seconds, is_new, _ in novelty if recorded.facts.get(is_new) is True]


def model_row(
    features: Sequence[str], facts: Mapping[str, Value], just_seen: Sequence[str]
) -> list[float]:
    """Return the model's inputs as `Facts.row` gives them.

    >>> model_row(("a", "b", "c"), {"a": True}, ["c"])
    [1.0, nan, 0.0]
    """
    new = set(just_seen)
    return [0.0 if name in new else float(facts.get(name, nan)) for name in features]


def differences(answer: Mapping[str, Any], again: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which of `COMPARED` differ, to the bit.

    >>> differences({**dict.fromkeys(COMPARED), "score": 0.5}, {**dict.fromkeys(COMPARED)})
    ('score',)
    """
    return tuple(name for name in COMPARED if not _is_same(answer[name], again[name]))


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack(">d", one) == struct.pack(">d", other)
    return type(one) is type(other) and bool(one == other)
