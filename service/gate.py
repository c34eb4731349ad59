"""How many events may be under way at once? Beyond that: refuse early, never a growing queue."""

from __future__ import annotations

from types import TracebackType

from service.errors import Overloaded


class Gate:
    """Counts what is under way in this process; entering beyond the limit raises `Overloaded`.

    >>> gate = Gate(limit=1)
    >>> with gate:
    ...     gate.under_way
    1
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.under_way = 0

    def __enter__(self) -> None:
        if self.under_way >= self._limit:
            raise Overloaded
        self.under_way += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.under_way -= 1
