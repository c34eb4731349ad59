"""Do the amounts and the parties of money, invoice and goods agree?

In Chinese 三流合一: who is paid bills and delivers, and for as much.
Invariant: what is not known contradicts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable


def differ(parties: Iterable[str | None]) -> bool | None:
    """Say whether those who are known are more than one; None when fewer than two are known.

    >>> differ(["m-3", "m-3", None]), differ(["m-3", "m-4"]), differ(["m-3", None]) is None
    (False, True, True)
    """
    known = [party for party in parties if party is not None]
    return len(set(known)) > 1 if len(known) > 1 else None


def gap(amounts: Iterable[int | None]) -> float | None:
    """Give the largest difference of the known amounts over the largest of them.

    None when fewer than two are known; amounts that are all 0 agree.

    >>> gap([12_000, 12_000, 9_000]), gap([12_000, None]) is None, gap([0, 0])
    (0.25, True, 0.0)
    """
    known = [amount for amount in amounts if amount is not None]
    if len(known) < 2:
        return None
    most = max(known)
    return (most - min(known)) / most if most else 0.0


def share(part: int | None, whole: int | None) -> float | None:
    """Give part over whole; None when one is unknown or the whole is 0.

    >>> share(15_000, 12_000), share(1, 0) is None
    (1.25, True)
    """
    return part / whole if part is not None and whole else None
