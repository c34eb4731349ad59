"""A card number is found wherever it is planted, and never said aloud."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.card_numbers import has_card_number, is_card_number, may_hold_card_number
from features.event import InvalidEvent, parse_event
from features.event_types import EVENT_TYPES

# (prefix, length): one or two of each scheme.
SCHEMES = [
    ("4", 16), ("4", 13), ("4", 19), ("51", 16), ("2221", 16), ("2720", 16), ("34", 15), ("37", 15),
    ("6011", 16), ("65", 16), ("3528", 16), ("62", 16), ("62", 19), ("81", 16), ("50", 13),
    ("6759", 18), ("300", 14), ("36", 14), ("2200", 16), ("2204", 19),
]  # fmt: skip


@st.composite
def card_numbers(draw: st.DrawFn) -> str:
    prefix, length = draw(st.sampled_from(SCHEMES))
    rest = length - len(prefix) - 1
    body = prefix + draw(st.text("0123456789", min_size=rest, max_size=rest))
    return next(body + last for last in "0123456789" if is_card_number(body + last))


@st.composite
def written(draw: st.DrawFn) -> str:
    """A card number in groups, between other texts."""
    number, gap = draw(card_numbers()), draw(st.sampled_from(["", " ", "-", " -", ".", "\u00a0"]))
    cuts = sorted(draw(st.sets(st.integers(1, len(number) - 1), max_size=4)))
    groups = [number[a:b] for a, b in zip([0, *cuts], [*cuts, len(number)], strict=True)]
    digits = draw(st.sampled_from(["0123456789", "０１２３４５６７８９", "٠١٢٣٤٥٦٧٨٩"]))
    text = gap.join(groups).translate(
        {ord("0") + place: digit for place, digit in enumerate(digits)}
    )
    around = st.sampled_from(["", "card:", "pay ", "卡号", "x", "(", '"', "\\"])
    return draw(around) + text + draw(around)


@given(written())
def test_a_card_number_is_seen_however_it_is_written(text: str) -> None:
    assert has_card_number(text)
    assert may_hold_card_number(json.dumps(text, ensure_ascii=False).encode())


@given(card_numbers(), st.integers(0, 12), st.integers(1, 9))
def test_a_changed_digit_is_no_card_number(number: str, place: int, by: int) -> None:
    changed = str((int(number[place]) + by) % 10)
    assert not is_card_number(number[:place] + changed + number[place + 1 :])


@given(st.text(max_size=60))
def test_the_quick_look_misses_nothing_that_the_full_look_finds(text: str) -> None:
    if has_card_number(text):
        assert may_hold_card_number(json.dumps(text, ensure_ascii=False).encode())


@given(st.uuids(version=4), st.sampled_from(["hex", "text", "prefixed"]), card_numbers())
def test_an_id_is_no_card_number_whatever_its_digits(uuid: UUID, form: str, number: str) -> None:
    digits = (number + uuid.hex)[:28] + "beef"  # a card number's digits inside a hexadecimal id
    texts = {"hex": digits, "text": str(uuid), "prefixed": f"checkout-{uuid.hex[:-2]}ab"}
    assert not has_card_number(texts[form])


def places(node: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(node, dict):
        return [found for key in node for found in places(node[key], (*path, key))]
    if isinstance(node, list):
        return [found for key, child in enumerate(node) for found in places(child, (*path, key))]
    return [path]


@pytest.mark.parametrize("kind", EVENT_TYPES)
@given(data=st.data())
def test_a_card_number_is_refused_wherever_it_is_planted_and_never_echoed(
    kind: str, data: st.DataObject
) -> None:
    text, escapes = data.draw(written()), data.draw(st.booleans())
    body = deepcopy(EVENT_TYPES[kind].example)
    path = data.draw(st.sampled_from(places(body)))
    node: Any = body
    for step in path[:-1]:
        node = node[step]
    how = data.draw(st.sampled_from(["value", "key", "deep"]))
    if how == "value" or isinstance(node, list):
        node[path[-1]] = text
    elif how == "key":
        node[text] = 1
    else:
        node["unknown"] = [{"deeper": [text]}]
    with pytest.raises(InvalidEvent) as caught:
        parse_event(json.dumps(body, ensure_ascii=escapes).encode())
    problems = caught.value.problems
    assert "card_number" in {problem.code for problem in problems}
    assert text not in str(problems)
    digits = "".join(character for character in text if character.isdecimal())
    shown = "".join(character for character in str(problems) if character.isdecimal())
    assert digits not in shown
