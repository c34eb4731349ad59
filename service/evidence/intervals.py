"""How sure is a share that was counted?

Intervals of 95 % for one share and for the difference of two. Invariant: pure; always within what
a share or a difference can be, and wide where little was counted.

Wilson, JASA 22 (1927); Newcombe, Statistics in Medicine 17 (1998), method 10: both keep about their
95 % where shares are close to 0 or 1 and counts are small, as with fraud; the textbook
interval (share ± 1.96 standard errors) does not.
"""

from __future__ import annotations

from math import sqrt

Z = 1.959963984540054  # the 97.5 % point of the normal distribution


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Return the interval of a share: `successes` of `n`. Nothing counted says nothing.

    >>> [round(bound, 4) for bound in wilson(81, 263)]  # Newcombe's first example
    [0.2553, 0.3662]
    >>> [round(bound, 4) for bound in wilson(0, 20)]
    [0.0, 0.1611]
    >>> wilson(0, 0)
    (0.0, 1.0)
    """
    if n <= 0:
        return 0.0, 1.0
    share = successes / n
    spread = Z * sqrt(Z * Z + 4 * successes * (1 - share))
    middle, scale = 2 * successes + Z * Z, 2 * (n + Z * Z)
    low = 0.0 if successes <= 0 else max(0.0, (middle - spread) / scale)
    high = 1.0 if successes >= n else min(1.0, (middle + spread) / scale)
    return low, high


def difference(s1: int, n1: int, s2: int, n2: int) -> tuple[float, float]:
    """Return the interval of the first share less the second, of independent samples.

    >>> [round(bound, 4) for bound in difference(56, 70, 48, 80)]  # Newcombe's example (a)
    [0.0524, 0.3339]
    >>> [round(bound, 4) for bound in difference(10, 10, 0, 20)]  # his example (f)
    [0.6791, 1.0]
    >>> difference(0, 0, 5, 10)[0] < -0.2
    True
    """
    share1 = s1 / n1 if n1 > 0 else 0.5
    share2 = s2 / n2 if n2 > 0 else 0.5
    low1, high1 = wilson(s1, n1)
    low2, high2 = wilson(s2, n2)
    below = sqrt((share1 - low1) ** 2 + (high2 - share2) ** 2)
    above = sqrt((high1 - share1) ** 2 + (share2 - low2) ** 2)
    return max(-1.0, share1 - share2 - below), min(1.0, share1 - share2 + above)


def paired_difference(both: int, first: int, second: int, neither: int) -> tuple[float, float]:
    """Return the interval of a first share less a second one of the same n things.

    `both`, `first` and `second` (only) and `neither` say how many of them each counted. Newcombe,
    Statistics in Medicine 17 (1998) 2635, method 10.

    >>> [round(bound, 4) for bound in paired_difference(36, 12, 2, 0)]  # his table II
    [0.0569, 0.3404]
    >>> paired_difference(0, 0, 0, 0)
    (-1.0, 1.0)
    """
    n = both + first + second + neither
    if n <= 0:
        return -1.0, 1.0
    share1, share2 = (both + first) / n, (both + second) / n
    low1, high1 = wilson(both + first, n)
    low2, high2 = wilson(both + second, n)
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    cross: float = both * neither - first * second
    if cross > 0:
        cross = max(cross - n / 2, 0)
    phi = cross / sqrt(margins) if margins else 0.0
    middle = share1 - share2

    def spread(one: float, other: float) -> float:
        return sqrt(max(0.0, one * one - 2 * phi * one * other + other * other))

    below = spread(share1 - low1, high2 - share2)
    above = spread(high1 - share1, share2 - low2)
    return max(-1.0, middle - below), min(1.0, middle + above)
