"""Which nouns does a decision consist of?

Invariant: everything here is frozen, and `Outcome` is ordered by severity
(`approve < challenge < review < decline`), so "the most severe" is `max`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

Mode = Literal["live", "shadow", "off"]
# How a hit stands: that of its rule, or `stopped` by an emergency stop. Only `live` has an effect.
Standing = Literal["live", "shadow", "off", "stopped"]
Precedence = Literal["normal", "hard", "allow"]
ReasonKind = Literal["rule", "model", "policy"]

MODES: tuple[Mode, ...] = ("live", "shadow", "off")
PRECEDENCES: tuple[Precedence, ...] = ("normal", "hard", "allow")

# What a challenge may ask for, the weakest first; `max` by this order when several ask.
STEP_UP_METHODS: tuple[str, ...] = (
    "delay",  # only wait
    "captcha",  # show that a person is there
    "email_link",  # control of the mailbox
    "evidence",  # a photo, a receipt, a carrier's proof of delivery
    "one_time_code",  # control of the phone or the authenticator
    "three_d_secure",  # the issuer authenticates the cardholder
)


class Outcome(StrEnum):
    """What the shop is told to do, ordered by severity.

    >>> max(Outcome.REVIEW, Outcome.CHALLENGE).value
    'review'
    >>> Outcome("approve") < Outcome("decline")
    True
    """

    APPROVE = "approve"
    CHALLENGE = "challenge"
    REVIEW = "review"
    DECLINE = "decline"

    @property
    def severity(self) -> int:
        """Return 0 for approve up to 3 for decline."""
        return _SEVERITY[self]

    def __lt__(self, other: str) -> bool:
        return _SEVERITY[self] < _SEVERITY[Outcome(other)]

    def __le__(self, other: str) -> bool:
        return _SEVERITY[self] <= _SEVERITY[Outcome(other)]

    def __gt__(self, other: str) -> bool:
        return _SEVERITY[self] > _SEVERITY[Outcome(other)]

    def __ge__(self, other: str) -> bool:
        return _SEVERITY[self] >= _SEVERITY[Outcome(other)]

    __hash__ = str.__hash__


_SEVERITY: dict[Outcome, int] = {outcome: rank for rank, outcome in enumerate(Outcome)}


class HitStatus(StrEnum):
    """What came of evaluating one rule on one event.

    `unknown`: a fact that the rule needed had no value. `error`: the rule could not be computed
    (division by zero, a fact of the wrong type). Neither is ever read as "did not hit".
    """

    HIT = "hit"
    NO_HIT = "no_hit"
    UNKNOWN = "unknown"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class StepUp:
    """What a challenge asks for: a method of `STEP_UP_METHODS` and seconds to wait first."""

    method: str
    delay_seconds: int = 0


@dataclass(frozen=True, slots=True)
class RuleHit:
    """One rule's result; what the rule asks for stands beside it, so that a record is complete."""

    rule_id: str
    status: HitStatus
    outcome: Outcome
    reason: str
    mode: Standing = "live"
    precedence: Precedence = "normal"
    step_up: str | None = None
    delay_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause of an outcome in plain words; `source` is `rule:<id>`, `model` or `policy`."""

    code: str
    text_en: str
    text_zh: str
    source: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What was settled. `score_outcome` is what the score alone asked for.

    `decided_by` lists what brought the outcome about, in order: `rule:<id>`, `score`,
    `missing:<gap>` where the policy sets a floor for a gap, and `list:human_review` where that list
    made a decline a review. It is empty for a plain approval.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...]
    hits: tuple[RuleHit, ...]
    step_up: StepUp | None
    degraded: tuple[str, ...]
    score_outcome: Outcome = Outcome.APPROVE
    decided_by: tuple[str, ...] = ()

    @property
    def is_explained_by_model(self) -> bool:
        """Say whether the score asked for more than approval and the outcome is no approval.

        Only then is a model's cause a cause of this outcome, and worth computing (TreeSHAP costs
        six times the score).
        """
        return self.outcome is not Outcome.APPROVE and self.score_outcome is not Outcome.APPROVE

    def with_reasons(self, reasons: Sequence[Reason]) -> Decision:
        """Return this decision with its reasons filled in."""
        return replace(self, reasons=tuple(reasons))
