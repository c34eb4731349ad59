"""Why can a rule set not be stored, approved or deployed?

The rules of the lifecycle stand in the database (`service/migrations/0004_rule_sets.sql`), which
refuses with a sentence and a state of its own; `refusals` turns each into one of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from service.errors import Refused


class UnknownRuleSet(Refused):
    """There is no such version, or the prefix means several."""

    code = "unknown_rule_set"


class RuleSetRejected(Refused):
    """The files make no rule set, or the set has problems; each is one of `problems`."""

    code = "rule_set_invalid"


class ParameterNotSet(Refused):
    """The rule has no such parameter, or it cannot have this value."""

    code = "parameter_refused"


class OwnWork(Refused):
    """A person approves or confirms what is their own."""

    code = "own_work"


class EvidenceMissing(Refused):
    """There is no passed check, or no backtest against what is live."""

    code = "evidence_missing"


class ApprovalLapsed(Refused):
    """The version has no approval that holds for what is live."""

    code = "approval_lapsed"


class UnknownBacktest(Refused):
    """There is no such backtest of the version against what is live."""

    code = "unknown_backtest"


class WrongState(Refused):
    """The action does not fit what runs, or what was decided before."""

    code = "wrong_state"


LOCK_NOT_AVAILABLE = "55P03"
_BY_STATE: dict[str, type[Refused]] = {
    "TS001": OwnWork,
    "TS002": EvidenceMissing,
    "TS003": ApprovalLapsed,
    "TS004": WrongState,
    "TS006": RuleSetRejected,
}


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what the database refuses by its own rules into `Refused`, with its sentence."""
    try:
        yield
    except asyncpg.PostgresError as error:
        state = getattr(error, "sqlstate", None) or ""
        if state == LOCK_NOT_AVAILABLE:
            raise WrongState("Somebody else is at it at this moment: try again.") from None
        kind = _BY_STATE.get(state)
        if kind is None:  # such as TS005, kept for ever: nothing of ours may ask for that
            raise
        raise kind(str(error)) from None
