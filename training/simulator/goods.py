"""What does the simulated shop sell, and what does a basket look like?"""

from __future__ import annotations

from random import Random

from training.labelled import Json

# Category, lowest and highest unit price in minor units of CNY, share of honest baskets.
GOODS = (
    ("grocery", 590, 12_900, 0.30),
    ("clothing", 3_900, 59_900, 0.25),
    ("beauty", 2_900, 45_900, 0.14),
    ("home", 1_900, 89_900, 0.13),
    ("toys", 1_900, 39_900, 0.08),
    ("phone", 99_900, 899_900, 0.05),
    ("gift_card", 10_000, 100_000, 0.05),
)
_SHARES = [row[3] for row in GOODS]
_BY_NAME = {row[0]: row for row in GOODS}


def basket(rng: Random, category: str | None = None, most_items: int = 4) -> list[Json]:
    """Return one to `most_items` order lines; prices lean to the cheap end of a category."""
    lines: list[Json] = []
    for _ in range(min(most_items, 1 + int(rng.expovariate(1.1)))):
        chosen = rng.choices(GOODS, _SHARES)[0] if category is None else _BY_NAME[category]
        name, low, high, _share = chosen
        price = int(low + (high - low) * rng.random() ** 3) // 10 * 10
        lines.append(
            {
                "sku": f"{name}-{rng.randrange(400):03d}",
                "category": name,
                "quantity": 1 if rng.random() < 0.85 else rng.randint(2, 4),
                "unit_price_minor": price,
            }
        )
    return lines


def total(lines: list[Json]) -> int:
    """Return the sum of quantity times price.

    >>> total([{"quantity": 2, "unit_price_minor": 150}, {"quantity": 1, "unit_price_minor": 99}])
    399
    """
    return sum(line["quantity"] * line["unit_price_minor"] for line in lines)
