"""Which part of the shop may a caller touch?

Limits narrow what roles allow: to event types, business lines and regions. Invariant: what does not
say that it lies inside is outside; an event without a business line is refused to a caller who is
limited to some, and so is a rule for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from service.errors import Refused

Names = frozenset[str] | None


class OutsideLimits(Refused):
    """The event, the rule or the file lies outside the caller's limits."""

    code = "outside_limits"


class ScopedRule(Protocol):
    """What limits look at in a rule. An empty tuple of business lines or regions means all."""

    @property
    def id(self) -> str:
        """The rule's id."""

    @property
    def event_types(self) -> tuple[str, ...]:
        """The event types that the rule is asked about."""

    @property
    def business_lines(self) -> tuple[str, ...]:
        """The business lines that the rule is for, empty for all."""

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that the rule is for, empty for all."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a caller is limited to; None is no limit.

    >>> Limits(event_types=frozenset({"checkout"})).allow_event("checkout", None, "cn_east")
    >>> Limits(business_lines=frozenset({"grocery"})).allow_event("checkout", None, None)
    Traceback (most recent call last):
    service.people.limits.OutsideLimits: The key is limited to the business lines grocery.
    """

    event_types: Names = None
    business_lines: Names = None
    regions: Names = None

    @property
    def is_everything(self) -> bool:
        """True where nothing is limited."""
        return self.event_types is None and self.business_lines is None and self.regions is None

    def within(self, other: Limits) -> Limits:
        """Return what both allow.

        >>> pair = Limits(regions=frozenset("ab")).within(Limits(regions=frozenset("bc")))
        >>> pair.regions
        frozenset({'b'})
        """
        return Limits(
            _both(self.event_types, other.event_types),
            _both(self.business_lines, other.business_lines),
            _both(self.regions, other.regions),
        )

    def lists(self) -> tuple[list[str] | None, list[str] | None, list[str] | None]:
        """Return event types, business lines and regions as a table has them."""
        return _sorted(self.event_types), _sorted(self.business_lines), _sorted(self.regions)

    def allow_event(self, event_type: str, business_line: str | None, region: str | None) -> None:
        """Raise `OutsideLimits` unless the caller may send this event; names no value of it."""
        if self.is_everything:  # nearly every caller, on the way of every decision
            return
        problems = []
        for pointer, noun, allowed, value in (
            ("/type", "event types", self.event_types, event_type),
            ("/business_line", "business lines", self.business_lines, business_line),
            ("/region", "regions", self.regions, region),
        ):
            if allowed is not None and value not in allowed:
                problems.append(
                    _problem(pointer, f"The key is limited to the {_of(noun, allowed)}")
                )
        if problems:
            raise OutsideLimits(" ".join(problem["detail"] for problem in problems), problems)

    def allow_rules(self, rules: Iterable[ScopedRule]) -> None:
        """Raise `OutsideLimits` with every rule that the caller may not add, change or remove.

        Give a changed rule as it was and as it shall be: both must lie inside.
        """
        problems = []
        for rule in rules:
            for noun, allowed, named in (
                ("event types", self.event_types, rule.event_types),
                ("business lines", self.business_lines, rule.business_lines),
                ("regions", self.regions, rule.regions),
            ):
                if allowed is None or (named and allowed.issuperset(named)):
                    continue
                asked = f"is for the {_of(noun, named)}" if named else f"is for all {noun}."
                problem = _problem(
                    f"/rules/{rule.id}",
                    f"The rule {asked} You are limited to the {_of(noun, allowed)}",
                )
                if problem not in problems:
                    problems.append(problem)
        if problems:
            raise OutsideLimits(None, problems)

    def allow_everything(self, what: str) -> None:
        """Raise `OutsideLimits` for a limited caller who touches what is for the whole shop.

        `what` names it in the error: a policy, a series, a list.
        """
        if not self.is_everything:
            raise OutsideLimits(
                f"{what}: this is for the whole shop, and you are limited to a part of it."
            )


EVERYTHING = Limits()


def limits_of(
    event_types: Iterable[str] | None,
    business_lines: Iterable[str] | None,
    regions: Iterable[str] | None,
) -> Limits:
    """Return limits of lists as a table or a request has them; None is no limit."""

    def names(given: Iterable[str] | None) -> Names:
        return None if given is None else frozenset(given)

    limits = Limits(names(event_types), names(business_lines), names(regions))
    return EVERYTHING if limits.is_everything else limits


def _both(one: Names, other: Names) -> Names:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _sorted(names: Names) -> list[str] | None:
    return None if names is None else sorted(names)


def _of(noun: str, names: Iterable[str]) -> str:
    return f"{noun} {', '.join(sorted(names)) or 'of an empty list'}."


def _problem(pointer: str, detail: str) -> dict[str, str]:
    return {"pointer": pointer, "code": "outside_limits", "detail": detail}
