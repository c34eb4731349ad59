"""How did each rule do? From what was counted by the hour, and from labelled decisions.

Invariant: pure. A rule is measured against the decisions in which it was asked: those of its event
types by rule sets that have it, so that a rule of yesterday is not silent before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from service.evidence.intervals import difference
from service.evidence.labelled import Labelled
from service.evidence.performance_report import URGENT, Drift, Flag, RuleDay, RulePerformance
from service.evidence.rule_hours import HOUR, HourTally, RuleTally
from service.evidence.shares import Share

# So many hits were to be expected: none at all then has a chance below 1 % (e^-5).
EXPECTED = 5
# A rule fires suddenly when it hits three times as often as before, surely more often, and not just
# now and then: a choice, as everybody's traffic has its peaks.
SUDDEN_RATIO, SUDDEN_HITS = 3.0, 10
# Abuse comes in bursts. Only a rule that hit in most stretches before, as long as the last one,
# can go silent; and what fires suddenly does so more often than in any of them.
USUAL = 0.8
# Judged only after so many decisions, and so many stretches.
ENOUGH, STRETCHES = 1_000, 3
OFTEN_UNKNOWN = 0.2

Asked = Mapping[str, Mapping[str, frozenset[str]]]
"""Rule set -> rule id -> event types of the rules that it asks. Unknown rule sets are missing."""

# Rule set and event type -> labelled decisions, honest and abusive.
_Groups = dict[tuple[str, str], list[int]]


@dataclass(slots=True)
class _Rule:
    types: set[str] = field(default_factory=set)
    total: RuleTally = field(default_factory=RuleTally)
    evaluated: dict[date, int] = field(default_factory=dict)
    hits: dict[date, int] = field(default_factory=dict)
    # Stretch -> decisions and hits; 0 is the recent one, 1 the one before it.
    stretches: dict[int, list[int]] = field(default_factory=dict)

    def earlier(self) -> list[float]:
        """Return the hit rate of each earlier stretch with decisions."""
        return [hits / of for number, (of, hits) in self.stretches.items() if number and of]


def figures_of(
    hours: Sequence[tuple[datetime, HourTally]],
    labelled: Sequence[Labelled],
    asked: Asked,
    live: str,
    recent: tuple[datetime, int],
) -> list[RulePerformance]:
    """Return the figures of every rule that was asked or hit, what needs attention first.

    `recent`: since when, and of how many hours a stretch is that is compared with it.
    """
    recent_since, stretch_hours = recent
    rules: dict[str, _Rule] = {name: _Rule() for name in asked.get(live, {})}
    for known in asked.values():
        for name, types in known.items():
            rules.setdefault(name, _Rule()).types |= types
    for _, tally in hours:
        for name in tally.rules:
            rules.setdefault(name, _Rule())
    for hour, tally in hours:
        stretch = max(0, -((hour - recent_since) // (stretch_hours * HOUR)))
        _count_hour(rules, hour, tally, asked, stretch)
    by_rule, groups = _labelled_hits(labelled), _groups(labelled)
    figures = [
        _figures(name, rule, groups, by_rule.get(name, []), asked, live)
        for name, rule in rules.items()
    ]
    return sorted(figures, key=_by_urgency)


def _by_urgency(one: RulePerformance) -> tuple[bool, int, str]:
    return not URGENT.intersection(one.flags), -one.hit_rate.count, one.rule_id


def _count_hour(
    rules: Mapping[str, _Rule], hour: datetime, tally: HourTally, asked: Asked, stretch: int
) -> None:
    day = hour.date()
    for name, rule in rules.items():
        evaluated = sum(
            count
            for version, types in tally.decisions.items()
            for event_type, count in types.items()
            if _is_asked(asked, version, name, rule, event_type)
        )
        did = tally.rules.get(name)
        hits = 0 if did is None else did.all_hits
        if did is not None:
            rule.total.add(did)
        # Hits of sets that are not known any more: the rule was asked at least then.
        evaluated = max(evaluated, hits)
        if evaluated:
            rule.evaluated[day] = rule.evaluated.get(day, 0) + evaluated
            rule.hits[day] = rule.hits.get(day, 0) + hits
        counts = rule.stretches.setdefault(stretch, [0, 0])
        counts[0] += evaluated
        counts[1] += hits


def _is_asked(asked: Asked, version: str, name: str, rule: _Rule, event_type: str) -> bool:
    known = asked.get(version)
    if known is None:
        return event_type in rule.types
    return event_type in known.get(name, frozenset())


def _labelled_hits(labelled: Sequence[Labelled]) -> dict[str, list[Labelled]]:
    found: dict[str, list[Labelled]] = {}
    for one in labelled:
        for name in one.hits:
            found.setdefault(name, []).append(one)
    return found


def _groups(labelled: Sequence[Labelled]) -> _Groups:
    groups: _Groups = {}
    for one in labelled:
        counts = groups.setdefault((one.rule_set, one.event_type), [0, 0])
        counts[one.is_abusive] += 1
    return groups


def _figures(
    name: str,
    rule: _Rule,
    groups: _Groups,
    hit: Sequence[Labelled],
    asked: Asked,
    live: str,
) -> RulePerformance:
    total = rule.total
    evaluated = sum(rule.evaluated.values())
    abusive = [one for one in hit if one.is_abusive]
    honest = [one for one in hit if not one.is_abusive]
    all_honest, all_abusive = 0, 0
    for (version, event_type), counts in groups.items():
        if _is_asked(asked, version, name, rule, event_type):
            all_honest += counts[False]
            all_abusive += counts[True]
    # As with decisions: what it hit, it was asked about.
    all_abusive, all_honest = max(all_abusive, len(abusive)), max(all_honest, len(honest))
    drift = _drift(rule, evaluated)
    is_live = name in asked.get(live, {})
    return RulePerformance(
        rule_id=name,
        is_live=is_live,
        event_types=sorted(rule.types),
        flags=_flags(rule, drift, evaluated) if is_live else [],
        evaluated=evaluated,
        hits=dict(total.hits),
        unknown=total.unknown,
        errors=total.errors,
        hit_rate=Share.counted(total.all_hits, evaluated),
        last_hit_at=None if total.last_ms is None else _time(total.last_ms),
        amount_minor=total.amount_minor,
        declined=total.declined,
        declined_amount_minor=total.declined_amount_minor,
        precision=Share.counted(len(abusive), len(hit)),
        recall=Share.counted(len(abusive), all_abusive),
        caught_alone=sum(not one.live - {name} for one in abusive),
        false_alarms=Share.counted(len(honest), all_honest),
        abusive_amount_minor=sum(one.amount_minor for one in abusive),
        honest_amount_minor=sum(one.amount_minor for one in honest),
        drift=drift,
        days=_days(rule, abusive, honest),
    )


def _drift(rule: _Rule, evaluated: int) -> Drift:
    of, hits = rule.stretches.get(0, (0, 0))
    recent, before = (hits, of), (rule.total.all_hits - hits, evaluated - of)
    low, high = difference(*recent, *before)
    shares = Share.counted(*recent), Share.counted(*before)
    ratio = None
    if shares[0].share is not None and shares[1].share:
        ratio = shares[0].share / shares[1].share
    return Drift(
        recent=shares[0], before=shares[1], ratio=ratio, difference_low=low, difference_high=high
    )


def _flags(rule: _Rule, drift: Drift, evaluated: int) -> list[Flag]:
    flags: list[Flag] = []
    recent, before, earlier = drift.recent, drift.before, rule.earlier()
    usual = sum(rate > 0 for rate in earlier) >= USUAL * len(earlier) >= USUAL * STRETCHES
    if usual and recent.count == 0 and (before.share or 0) * recent.of >= EXPECTED:
        flags.append("silent")
    if (
        before.of >= ENOUGH
        and recent.count >= SUDDEN_HITS
        and (recent.share or 0) >= SUDDEN_RATIO * (before.share or 0)
        and (recent.share or 0) > max(earlier, default=0)
        and drift.difference_low > 0
    ):
        flags.append("sudden")
    if rule.total.all_hits == 0 and evaluated >= ENOUGH:
        flags.append("never_hit")
    if evaluated >= ENOUGH and rule.total.unknown >= OFTEN_UNKNOWN * evaluated:
        flags.append("often_unknown")
    return flags


def _days(rule: _Rule, abusive: Sequence[Labelled], honest: Sequence[Labelled]) -> list[RuleDay]:
    counts: dict[bool, dict[date, int]] = {True: {}, False: {}}
    for one in (*abusive, *honest):
        day = _time(one.observed_ms).date()
        counts[one.is_abusive][day] = counts[one.is_abusive].get(day, 0) + 1
    return [
        RuleDay(
            day=day,
            evaluated=evaluated,
            hits=rule.hits.get(day, 0),
            abusive=counts[True].get(day, 0),
            honest=counts[False].get(day, 0),
        )
        for day, evaluated in sorted(rule.evaluated.items())
    ]


def _time(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
