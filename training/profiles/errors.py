"""What can go wrong with profiles? Each has a stable code and a text for whoever runs it."""

from __future__ import annotations

from collections.abc import Sequence


class NoBuild(Exception):
    """There is no build to work on."""

    code = "profiles_no_build"


class HistoryUnusable(Exception):
    """The file is no history of events, or holds nothing before the time asked for."""

    code = "profiles_history_unusable"


class GatesFailed(Exception):
    """Profiles did not pass their gates; `failures` says in words which, one line each."""

    code = "profiles_gates_failed"

    def __init__(self, build: str, failures: Sequence[str]) -> None:
        lines = "\n".join(f"  - {failure}" for failure in failures)
        super().__init__(f"build {build} is not fit to be used, nothing was materialised:\n{lines}")
        self.failures = tuple(failures)


class StoreAway(Exception):
    """The online store did not take the profiles; decisions go on reading those of before."""

    code = "profiles_store_away"
