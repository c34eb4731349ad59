"""What is done, given the score, the rule hits and what was missing?

Precedence, the first that applies: a hard decline; an allow rule; else the most severe of the
rules that hit, the score's thresholds, and the floor that the policy sets for a missing input.
Last, a decline of somebody who asked for a human becomes a review (`human_review.py`).
Invariant: `settle` is pure, total and monotone: a higher score, one more hit of a rule that is
no allow rule, or one more gap never gives a milder outcome.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType

from rules.decision import (
    STEP_UP_METHODS,
    Decision,
    HitStatus,
    Outcome,
    RuleHit,
    StepUp,
)
from rules.errors import PolicyInvalid
from rules.human_review import CAP
from rules.policy_file import read_policy

# A gap of one of these families leaves facts without a value, so it explains unknown rules.
# ("velocity:device" is of the family "velocity".) A missing model takes no fact away.
KNOWLEDGE_GAPS = frozenset({"velocity", "profiles"})
_FAILED = (HitStatus.ERROR, HitStatus.UNKNOWN)
_STEP_UP_RANK = {method: rank for rank, method in enumerate(STEP_UP_METHODS)}


@dataclass(frozen=True, slots=True)
class Row:
    """One event type's part of the policy; a threshold of None is never reached."""

    challenge_at: float | None = None
    review_at: float | None = None
    decline_at: float | None = None
    step_up: str = "captcha"
    when_missing: Mapping[str, Outcome] = field(default_factory=dict)

    def outcome_of(self, score: float | None) -> Outcome:
        """Return what the score alone asks for."""
        if score is None:
            return Outcome.APPROVE
        if self.decline_at is not None and score >= self.decline_at:
            return Outcome.DECLINE
        if self.review_at is not None and score >= self.review_at:
            return Outcome.REVIEW
        if self.challenge_at is not None and score >= self.challenge_at:
            return Outcome.CHALLENGE
        return Outcome.APPROVE


@dataclass(frozen=True)
class Policy:
    """The rows by event type, the row for every other type, and the content's SHA-256."""

    rows: Mapping[str, Row]
    default: Row
    version: str

    @classmethod
    def of(cls, default: Row, rows: Mapping[str, Row]) -> Policy:
        """Return a policy with its version."""
        content = {"default": asdict(default), "types": {k: asdict(r) for k, r in rows.items()}}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=dict)
        version = hashlib.sha256(text.encode()).hexdigest()
        return cls(MappingProxyType(dict(rows)), default, version)

    @classmethod
    def parse(cls, name: str, text: str) -> Policy:
        """Read a policy; raise PolicyInvalid with every problem."""
        table, problems = read_policy(name, text)
        if problems or table is None:
            raise PolicyInvalid(problems)
        rows = {key: Row(**values) for key, values in table.items()}
        default = rows.pop("default")
        return cls.of(default, rows)

    @classmethod
    def load(cls, path: Path) -> Policy:
        """Read a policy file; raise PolicyInvalid with every problem."""
        return cls.parse(path.name, path.read_text(encoding="utf-8", errors="replace"))

    def row(self, event_type: str) -> Row:
        """Return the row of an event type."""
        return self.rows.get(event_type, self.default)


def settle(
    policy: Policy,
    event_type: str,
    score: float | None,
    hits: Iterable[RuleHit],
    gaps: Collection[str],
    *,
    needs_human: bool = False,
) -> Decision:
    """Return the decision without its reason texts.

    `hits` are all results of the rule engine; only live ones count. `score` None or not a number
    means that there is no score, which is the gap "model" whether or not the caller lists it.
    With `needs_human` the outcome is a review at most, and what asked for more stays in
    `decided_by`, followed by what capped it.
    """
    row = policy.row(event_type)
    missing = set(gaps)
    if score is None or math.isnan(score):
        score = None
        missing.add("model")
    all_hits = tuple(hits)
    live = [hit for hit in all_hits if hit.mode == "live" and hit.status is HitStatus.HIT]
    failed = [hit for hit in all_hits if hit.mode == "live" and hit.status in _FAILED]
    by_score = row.outcome_of(score)
    floors = _floors(row, missing, bool(failed))

    hard = [hit for hit in live if hit.precedence == "hard"]
    allow = [hit for hit in live if hit.precedence == "allow"]
    step_up = None
    if hard:
        outcome, decided_by = Outcome.DECLINE, _names(hard)
    elif allow:
        outcome, decided_by = Outcome.APPROVE, _names(allow)
    elif not live and not floors and by_score is Outcome.APPROVE:
        outcome, decided_by = by_score, ()
    else:
        outcome = max((by_score, *(hit.outcome for hit in live), *floors.values()))
        decided_by = ()
        if outcome is not Outcome.APPROVE:
            deciding = [hit for hit in live if hit.outcome is outcome]
            decided_by = (
                *_names(deciding),
                *(("score",) if by_score is outcome else ()),
                *(f"missing:{gap}" for gap, floor in floors.items() if floor is outcome),
            )
            if outcome is Outcome.CHALLENGE:
                step_up = _step_up(row, deciding, by_score is outcome or outcome in floors.values())
    if needs_human and outcome is Outcome.DECLINE:
        outcome, decided_by = Outcome.REVIEW, (*decided_by, CAP)
    degraded = tuple(sorted(missing.union(_unexplained(failed, missing))))
    return Decision(outcome, (), all_hits, step_up, degraded, by_score, decided_by)


def _unexplained(failed: Iterable[RuleHit], gaps: Iterable[str]) -> Iterable[str]:
    """Return `rule:<id>` for the failed rules, without those that lacked what a gap explains."""
    is_explained = any(gap.partition(":")[0] in KNOWLEDGE_GAPS for gap in gaps)
    return [
        f"rule:{hit.rule_id}" for hit in failed if hit.status is HitStatus.ERROR or not is_explained
    ]


def _floors(row: Row, gaps: Iterable[str], has_failed_rules: bool) -> dict[str, Outcome]:
    """Return the floors that apply, by gap; "rules" stands for rules that failed."""
    if not row.when_missing:
        return {}
    families = {gap.partition(":")[0] for gap in gaps}
    if has_failed_rules:
        families.add("rules")
    return {gap: row.when_missing[gap] for gap in sorted(families) if gap in row.when_missing}


def _names(hits: Iterable[RuleHit]) -> tuple[str, ...]:
    return tuple(sorted(f"rule:{hit.rule_id}" for hit in hits))


def _step_up(row: Row, deciding: Iterable[RuleHit], asks_default: bool) -> StepUp:
    """Return the strongest method and the longest delay that anything asked for."""
    methods = [hit.step_up or row.step_up for hit in deciding]
    if asks_default:
        methods.append(row.step_up)
    method = max(methods, key=lambda name: _STEP_UP_RANK.get(name, len(_STEP_UP_RANK)))
    return StepUp(method, max((hit.delay_seconds for hit in deciding), default=0))
