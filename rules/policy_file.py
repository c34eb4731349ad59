"""How does `policy.yaml` become a table?

Invariant: reading never raises; every problem is a diagnostic with its place, and a table is
only returned when there is none.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from rules.decision import STEP_UP_METHODS, Outcome
from rules.diagnostic import Diagnostic, did_you_mean
from rules.document import Node, check_keys, read

ROW_KEYS = ("challenge_at", "review_at", "decline_at", "step_up", "when_missing")
THRESHOLDS = ("challenge_at", "review_at", "decline_at")
# What a row may set a floor for: knowledge that may be missing, and rules that failed.
FLOOR_KEYS = ("velocity", "profiles", "model", "rules")


def read_policy(name: str, text: str) -> tuple[dict[str, dict[str, Any]] | None, list[Diagnostic]]:
    """Return event type -> row values, with "default" among them, or None and every problem."""
    root, problems = read(name, text)
    if root is None:
        return None, problems
    part = check_keys(root, ("default", "types"), "the policy", problems)
    table: dict[str, dict[str, Any]] = {}
    if "default" in part:
        table["default"] = _row(part["default"], "the default row", problems)
    elif isinstance(root.value, dict):
        problems.append(root.diagnose("missing-key", "the policy has no 'default' row"))
    types = part.get("types")
    if types is not None and not isinstance(types.value, dict):
        problems.append(types.diagnose("shape", "'types' must map event types to rows"))
    elif types is not None:
        for key, node in types.value.items():
            if key == "default":
                message = "'default' is no event type; the default row stands beside 'types'"
                problems.append(node.diagnose("shape", message))
                continue
            table[key] = _row(node, f"the row of '{key}'", problems)
    return (None if problems else table), problems


def event_type_places(name: str, text: str) -> dict[str, Node]:
    """Return the place of each event type that the policy has a row for."""
    root, _ = read(name, text)
    types = root.value.get("types") if root is not None and isinstance(root.value, dict) else None
    return dict(types.keys or {}) if types is not None and isinstance(types.value, dict) else {}


def _row(node: Node, what: str, problems: list[Diagnostic]) -> dict[str, Any]:
    part = check_keys(node, ROW_KEYS, what, problems)
    values: dict[str, Any] = {}
    reached: list[tuple[str, float]] = []
    for key in THRESHOLDS:
        if key not in part:
            if isinstance(node.value, dict):
                message = f"{what} has no '{key}'"
                problems.append(node.diagnose("missing-key", message, "write null for never"))
            continue
        value = part[key].value
        if value is None:
            values[key] = None
        elif type(value) in (int, float) and 0 < value <= 1:
            values[key] = float(value)
            reached.append((key, float(value)))
        else:
            message = f"'{key}' must be a probability above 0 and up to 1, or null for never"
            problems.append(part[key].diagnose("bad-threshold", message))
    for (low, first), (high, second) in pairwise(reached):
        if second < first:
            message = f"'{high}' is lower than '{low}', so '{low}' would never apply"
            problems.append(part[high].diagnose("bad-threshold", message))
    _step_up(part, node, what, values, problems)
    values["when_missing"] = _floors(part.get("when_missing"), what, problems)
    return values


def _step_up(
    part: dict[str, Node],
    node: Node,
    what: str,
    values: dict[str, Any],
    problems: list[Diagnostic],
) -> None:
    if "step_up" not in part:
        if isinstance(node.value, dict):
            problems.append(node.diagnose("missing-key", f"{what} has no 'step_up'"))
        return
    value = part["step_up"].value
    if isinstance(value, str) and value in STEP_UP_METHODS:
        values["step_up"] = value
        return
    message = f"'step_up' must be one of {', '.join(STEP_UP_METHODS)}"
    hint = did_you_mean(str(value), STEP_UP_METHODS)
    problems.append(part["step_up"].diagnose("bad-step-up", message, hint))


def _floors(node: Node | None, what: str, problems: list[Diagnostic]) -> dict[str, Outcome]:
    if node is None:
        return {}
    part = check_keys(node, FLOOR_KEYS, f"when_missing of {what}", problems)
    floors: dict[str, Outcome] = {}
    for gap, found in part.items():
        try:
            floors[gap] = Outcome(found.value)
        except ValueError:
            message = f"'{gap}' must be one of {', '.join(o.value for o in Outcome)}"
            problems.append(found.diagnose("bad-outcome", message))
    return floors
