"""How does a text for people count? "1 entry", "2 entries".

A field of a text says both forms: `{:# entry|# entries}`. Invariant: a text without such fields is
filled as by `str.format`.
"""

from __future__ import annotations


class _Counted(int):
    """A number that chooses between the two forms of its format."""

    def __format__(self, form: str) -> str:
        one, both, many = form.partition("|")
        if not both:
            return int(self).__format__(form)
        return (one if self == 1 else many).replace("#", str(int(self)))


def filled(text: str, *details: object) -> str:
    """Return the text with its fields filled, whole numbers by their forms.

    >>> filled("{:# entry waits|# entries wait}, {} of {}", 1, 2, "x")
    '1 entry waits, 2 of x'
    >>> filled("{:# entry waits|# entries wait}", 0)
    '0 entries wait'
    """
    return text.format(*(_Counted(detail) if type(detail) is int else detail for detail in details))
