"""What can go wrong when an event is decided, apart from the event itself being invalid.

Domain errors know no HTTP; `service/api/problems.py` is the only table from `code` to a status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class DecisionError(Exception):
    """An event could not be answered. Every leaf has a stable `code`."""

    code = "decision_error"


class EventConflict(DecisionError):
    """The `event_id` was used before with another body."""

    code = "event_conflict"


class Overloaded(DecisionError):
    """More requests are under way than the service lets in."""

    code = "overloaded"


class RecordUnavailable(DecisionError):
    """The answer could not be recorded (or the first answer not be read): no record, no reply."""

    code = "record_unavailable"


class UnknownDecision(DecisionError):
    """There is no decision with this id."""

    code = "unknown_decision"


class DecisionErased(DecisionError):
    """The person was erased, or the decision is past its retention: nothing is left to read."""

    code = "decision_erased"


class DecisionRestricted(DecisionError):
    """Nobody may read this decision while somebody's request about the person is open."""

    code = "decision_restricted"


class TooManyTokens(DecisionError):
    """More tokens for the collector script are asked for than the settings allow."""

    code = "too_many_tokens"


class Refused(Exception):
    """A request of people or tools that cannot be carried out; nothing was changed.

    Every leaf has a stable `code` of the table in `service/api/problems.py`. `detail` is a sentence
    for the caller, without values of a body that may be personal; `problems` are pointer, code and
    detail of each thing that is wrong.
    """

    code = "refused"

    def __init__(
        self, detail: str | None = None, problems: Sequence[Mapping[str, str]] | None = None
    ) -> None:
        self.detail = detail
        self.problems = problems
        super().__init__(detail or self.code)


class NotAPerson(Refused):
    """Only people may do this, and the key belongs to none."""

    code = "not_a_person"
