"""What can go wrong when somebody looks into the record?"""

from __future__ import annotations

from service.errors import Refused


class UnknownEntry(Refused):
    """There is no entry with this id, or none of this kind."""

    code = "unknown_entry"


class EntryErased(Refused):
    """The person was erased, or the data are past their retention: nothing is left to show."""

    code = "entry_erased"


class EntryRestricted(Refused):
    """Nobody may read about this person at present."""

    code = "entry_restricted"


class SearchTooWide(Refused):
    """The search would look at too much of the record."""

    code = "search_too_wide"
