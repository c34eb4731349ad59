"""Two groups of decisions, and how sure their difference is."""

from __future__ import annotations

import random

from service.evidence.groups import Decided, design_effect, differences, is_share_expected, total


def decided(subjects: int, each: int, declined: float, seed: int) -> Decided:
    """Subjects of whom a share has every decision declined, and the others none."""
    chance, found = random.Random(seed), Decided()
    for number in range(subjects):
        outcome = "decline" if chance.random() < declined else "approve"
        for _ in range(each):
            found.add(f"s-{number}", outcome, 100, None, ["a"] if outcome == "decline" else [])
    return found


def test_the_interval_counts_subjects_not_their_repetitions() -> None:
    """Deciding the same subjects again makes the interval no narrower."""
    once = differences(decided(400, 1, 0.2, 1), decided(400, 1, 0.1, 2))[0]
    often = differences(decided(400, 10, 0.2, 1), decided(400, 10, 0.1, 2))[0]
    assert once.difference == often.difference
    width, width_often = once.high - once.low, often.high - often.low
    assert 0.95 < width_often / width < 1.05


def test_the_interval_holds_the_truth() -> None:
    """Of 300 rollouts without a difference about 95 % have zero in the interval."""
    misses = 0
    for seed in range(300):
        chance = random.Random(seed)
        sides = []
        for _ in range(2):
            side = Decided()
            for subject in range(150):
                rate = chance.choice((0.0, 0.1, 0.6))
                for _ in range(chance.randint(1, 8)):
                    outcome = "decline" if chance.random() < rate else "approve"
                    side.add(str(subject), outcome, None, None, ())
            sides.append(side)
        misses += differences(*sides)[0].is_clear
    assert 3 <= misses <= 30


def test_labels_and_money_are_by_outcome() -> None:
    """Precision of what was declined, and abuse among what was approved, come from labels alone."""
    side = Decided()
    side.add("a", "decline", 500, 1, ["r"])
    side.add("b", "decline", 300, 0, ["r"])
    side.add("c", "decline", None, None, [])
    side.add("c", "approve", 200, 1, [])
    found = {one.measure: one for one in differences(side, Decided())}
    assert (
        found["abusive_of_declined"].candidate.count,
        found["abusive_of_declined"].candidate.of,
    ) == (1, 2)
    assert found["abusive_of_approved"].candidate.share == 1.0
    assert found["rule:r"].candidate.count == 2
    assert found["declined"].difference is None
    assert side.group().amounts == {"approve": 200, "challenge": 0, "review": 0, "decline": 800}
    assert (side.group().subjects, side.group().labelled) == (3, 3)


def test_types_add_up() -> None:
    """A subject of two event types is one subject."""
    one, other = Decided(), Decided()
    one.add("a", "approve", 1, None, ["x"])
    other.add("a", "decline", 2, 1, ["x", "y"])
    every = total({"login": one, "checkout": other})
    assert (every.decisions, len(every.subjects), every.rules) == (2, 1, {"x": 2, "y": 1})


def test_a_share_that_is_off_is_noticed() -> None:
    """Groups whose sizes do not fit the share are told apart from chance."""
    assert is_share_expected(0, 0, 0.5)
    assert is_share_expected(5_100, 4_900, 0.5)
    assert not is_share_expected(5_300, 4_700, 0.5)
    assert design_effect([]) == 1.0
