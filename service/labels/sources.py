"""Who may say what an event turned out to be? The sources of `label_delays.yaml`.

Invariant: a source has a declared delay and a reason for it; there is no label without a source.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml

SOURCES_FILE = Path(__file__).with_name("label_delays.yaml")
DAY_MS = 86_400_000
LONGEST_DAYS = 730
LABELS: Mapping[str, int] = MappingProxyType({"abusive": 1, "honest": 0})
SHOWN = 20


class SourcesUnusable(Exception):
    """A file of sources cannot be used; the text lists what is wrong, a line each."""

    code = "labels_unusable"


class Source(NamedTuple):
    """One source of labels.

    - `delay_ms`: from the event until its label is known, where nobody wrote down when it was.
    - `default`: the label when none is stated; `always`: the only one that it can be.
    """

    name: str
    delay_ms: int
    why: str
    default: int | None = None
    always: int | None = None


@cache
def shipped_sources() -> Mapping[str, Source]:
    """Return the sources that the service knows."""
    return MappingProxyType(read_sources(SOURCES_FILE))


def read_sources(path: Path) -> dict[str, Source]:
    """Read a file of sources. Raises `SourcesUnusable` with every problem."""
    try:
        rows = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise SourcesUnusable(f"{path} cannot be read: {reason}") from None
    if not isinstance(rows, dict):
        raise SourcesUnusable(f"{path} must hold a row `source: {{days: 7, why: ...}}` each")
    problems = [f"- {text}" for name, row in rows.items() if (text := _wrong(name, row))]
    if problems:
        more = [f"- and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        lines = "\n".join([*problems[:SHOWN], *more])
        raise SourcesUnusable(f"{path} has {len(problems)} problem(s):\n{lines}")
    return {
        name: Source(
            name,
            round(row["days"] * DAY_MS),
            row["why"],
            LABELS.get(row.get("default", row.get("always"))),
            LABELS.get(row.get("always")),
        )
        for name, row in rows.items()
    }


def _wrong(name: object, row: Any) -> str | None:
    if not isinstance(row, dict) or not {"days", "why"} <= set(row):
        return f"`{name}` needs exactly the keys `days` and `why`"
    if others := sorted(str(key) for key in set(row) - {"days", "why", "default", "always"}):
        return f"`{name}` needs exactly the keys `days` and `why`, not `{others[0]}`"
    days = row["days"]
    if isinstance(days, bool) or not isinstance(days, int | float) or not 0 <= days <= LONGEST_DAYS:
        return f"`days` of `{name}` must be a number from 0 to {LONGEST_DAYS}"
    for key in ("default", "always"):
        if key in row and row[key] not in LABELS:
            return f"`{key}` of `{name}` must be {' or '.join(LABELS)}"
    return None if isinstance(row["why"], str) and row["why"] else f"`{name}` must say `why`"
