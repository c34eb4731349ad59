"""What can go wrong with lists, apart from rows that are not right?"""

from __future__ import annotations

from service.errors import Refused


class UnknownList(Refused):
    """There is no list of this name."""

    code = "unknown_list"


class ListExists(Refused):
    """There is a list of this name already."""

    code = "list_exists"


class ListsFull(Refused):
    """The lists would hold more entries than every worker may keep in memory."""

    code = "lists_full"
