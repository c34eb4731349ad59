"""What can be wrong with what the offline commands are given?

Invariant: every text names the file, the place in it and what to do, and repeats no value that
could be personal data.
"""

from __future__ import annotations


class OfflineError(Exception):
    """Root of what training/offline raises on purpose."""

    code = "offline_error"


class HistoryUnusable(OfflineError):
    """A file is no history, or not in the order of acceptance."""

    code = "history_unusable"


class EventsUnusable(OfflineError):
    """A file of raw events cannot be read, or holds what the API would refuse."""

    code = "events_unusable"


class OutputUnusable(OfflineError):
    """The result cannot be written where it was asked for."""

    code = "output_unusable"
