"""What velocity answers must be, by re-scanning everything ever recorded.

As slow and as plain as possible: no index, no trimming, no early end. Also the series plans and the
short-hand that the velocity tests share.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from features.velocity.observation import EntityObservation, Observation, SeriesPlan, SeriesRead

REPEAT_MS = 120_000
MOST_VALUES = 16_384
START_MS = 1_760_000_000_000

Answer = dict[str, int | float]
Log = list[tuple[int, int | str]]


class Plan(NamedTuple):
    """A series plan, as small as the stores allow."""

    name: str
    measure: str
    windows_ms: tuple[int, ...]
    features: tuple[str, ...]
    retention_ms: int


def plan(measure: str, *windows_ms: int, name: str | None = None) -> Plan:
    """A series of the given measure; its features are named after it and its windows."""
    name = name or measure
    if measure in ("first_seen", "last_seen"):
        return Plan(name, measure, windows_ms, (f"{name}_seconds",), max(windows_ms))
    features = tuple(f"{name}_{window_ms}" for window_ms in windows_ms)
    return Plan(name, measure, windows_ms, features, max(windows_ms))


def observation(
    event_tag: str, at_ms: int, *reads: tuple[Plan, int | str | None], tag: str, kind: str = "user"
) -> Observation:
    """One event at one entity, `at_ms` after the start of the test."""
    series = tuple(SeriesRead(a_plan, value) for a_plan, value in reads)
    return Observation(event_tag, START_MS + at_ms, (EntityObservation(kind, tag, series),))


class VelocityOracle:
    """Answers an observation by looking at every earlier one."""

    def __init__(self) -> None:
        self._logs: defaultdict[tuple[str, str, str], Log] = defaultdict(list)
        self._replies: dict[tuple[str, str, str], tuple[int, Answer]] = {}

    def observe(self, observation: Observation) -> Answer:
        answer: Answer = {}
        for kind, tag, series in observation.entities:
            key = (observation.event_tag, kind, tag)
            if key in self._replies:
                first_ms, first_answer = self._replies[key]
                if observation.observed_ms - first_ms < REPEAT_MS:
                    answer |= first_answer
                    continue
            part: Answer = {}
            for a_plan, value in series:
                log = self._logs[kind, tag, a_plan.name]
                t = max([observation.observed_ms, *[at for at, _ in log]])
                part |= _read(a_plan, log, t)
                if value is not None:
                    log.append((t, value))
            self._replies[key] = (observation.observed_ms, part)
            answer |= part
        return answer


def _read(a_plan: SeriesPlan, log: Log, t: int) -> Answer:
    if a_plan.measure in ("first_seen", "last_seen"):
        first: int | None = None
        last: int | None = None
        for at, _ in log:
            if last is None or at - last >= a_plan.retention_ms:
                first = at
            last = at
        if first is None or last is None or t - last >= a_plan.retention_ms:
            return {}
        since = first if a_plan.measure == "first_seen" else last
        return {a_plan.features[0]: (t - since) / 1000}
    answer: Answer = {}
    for window_ms, name in zip(a_plan.windows_ms, a_plan.features, strict=True):
        inside = [value for at, value in log if t - window_ms < at <= t]
        match a_plan.measure:
            case "count":
                answer[name] = len(inside)
            case "sum":
                answer[name] = sum(int(value) for value in inside)
            case "distinct":
                answer[name] = min(len(set(inside)), MOST_VALUES)
            case "mean" if inside:
                answer[name] = sum(int(value) for value in inside) / len(inside)
            case "min" if inside:
                answer[name] = min(int(value) for value in inside)
            case "max" if inside:
                answer[name] = max(int(value) for value in inside)
    return answer
