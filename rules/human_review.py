"""Whom may a machine alone not turn away?

People on the list `human_review`: what would be declined is reviewed instead, by a human (GDPR
art. 22, PIPL art. 24). Invariant: the cap makes an outcome milder or leaves it, and never touches
one below `decline`.
"""

from __future__ import annotations

from collections.abc import Mapping

from rules.listed import Listed

HUMAN_REVIEW = "human_review"
# What tells a person, or stands for one who shops without an account.
KINDS = ("user", "email", "phone", "device", "payment_instrument")
LISTED: tuple[Listed, ...] = tuple(Listed(HUMAN_REVIEW, kind) for kind in KINDS)
_FACTS = tuple(one.fact for one in LISTED)

# Stands in `Decision.decided_by`, and as the source of the reason.
CAP = f"list:{HUMAN_REVIEW}"
REASON = "HUMAN_REVIEW_ASKED"
# For rule sets whose reason texts do not have the code.
TEXT_EN = "A person looks at this before it is decided, as was asked for."
TEXT_ZH = "已要求人工介入，将由人工审核后再作决定。"


def needs_human(facts: Mapping[str, object]) -> bool:
    """Say whether somebody of the event is on the list, by the facts that were looked up.

    >>> needs_human({"list.human_review.phone": True}), needs_human({})
    (True, False)
    """
    return any(facts.get(fact) is True for fact in _FACTS)
