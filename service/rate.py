"""How often may something happen in this process?"""

from __future__ import annotations

from service.clock import monotonic


class Rate:
    """Lets `per_second` through on average, and as many at once after a quiet second.

    >>> rate = Rate(per_second=2)
    >>> rate.allows(at=10.0), rate.allows(at=10.0), rate.allows(at=10.0), rate.allows(at=10.5)
    (True, True, False, True)
    """

    def __init__(self, per_second: int) -> None:
        self._per_second = per_second
        self._left = float(per_second)
        self._at = 0.0

    def allows(self, at: float | None = None) -> bool:
        """Take one and return true, or return false; `at` is in seconds of the monotonic clock."""
        seconds = monotonic() if at is None else at
        gained = (seconds - self._at) * self._per_second
        self._left = min(self._left + gained, self._per_second)
        self._at = seconds
        if self._left < 1:
            return False
        self._left -= 1
        return True
