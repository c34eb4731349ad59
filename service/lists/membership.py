"""Which entities of an event are on which lists?

Every worker holds all entries that are in force; a look-up is a dict access.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rules.listed import Listed


class Lists:
    """The lists as this worker knows them."""

    def facts(
        self, listed: Iterable[Listed], tags: Mapping[str, str], at_ms: int
    ) -> dict[str, bool]:
        """Return the fact of each list: true when the event's entity of that kind is on it.

        False for an event without such an entity and for a list that does not exist; absent while
        the lists were never read, so that rules answer `unknown`. An entry counts from its start
        until just before its expiry, in Unix milliseconds.
        """
        return {}
