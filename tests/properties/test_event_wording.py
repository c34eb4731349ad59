"""Whatever an offer says, its words and papers have an answer."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from features.event import InvalidEvent, parse_event
from features.event_features import EVENT_FUNCTIONS, Stated
from features.event_types import EVENT_TYPES
from features.fields import fields_of
from features.money import CurrencyTable
from features.signals import agreement, qualification, wording

CURRENCIES = CurrencyTable("CNY", {}, {})
TYPES = {"int": int, "double": float, "bool": bool, "string": str}
texts = st.text(max_size=60)
terms = st.sampled_from(["国家级", "最高级", "最佳", "顶级", "the best", "根治", "最佳食用期"])
marks = st.sampled_from(["", " ", "·", "*", "-", "\u200b", "　"])
amounts = st.none() | st.integers(0, 10**15)
papers = st.none() | st.lists(
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["ccc", "food_business_licence", "other"])},
        optional={
            "is_own": st.booleans(),
            "is_verified": st.booleans(),
            "valid_until": st.sampled_from(["2026-01-01T00:00:00Z", "2030-01-01T00:00:00Z"]),
        },
    ),
    max_size=3,
)


@given(texts, texts)
def test_any_text_has_claims_of_known_kinds(title: str, description: str) -> None:
    """No text raises, and no claim is there twice."""
    for kind, found in wording.claims(title, description).items():
        assert kind in {
            "statutory", "absolute", "disease", "guarantee", "state", "yield", "breast_milk",
        }  # fmt: skip
        assert found
        assert len(set(found)) == len(found)


@given(texts.filter(lambda text: not text.strip("0123456789abcdefghijklmnopqrstuvwxyz ")), texts)
def test_a_statutory_term_is_found_wherever_it_stands(before: str, after: str) -> None:
    """What stands around one of the law's own terms hides it only by making another word of it."""
    for term in ("国家级", "最高级"):
        assert term in wording.claims(f"{before}{term}", after).get("statutory", ())


@given(st.sampled_from(["国家级", "最高级", "顶级", "根治"]), st.data())
def test_marks_between_characters_hide_nothing(term: str, data: st.DataObject) -> None:
    """Blanks, joiners, stars and zero-width characters change no claim."""
    hidden = "".join(part for one in term for part in (one, data.draw(marks)))
    assert dict(wording.claims(f"好茶{hidden}", "")) == dict(wording.claims(f"好茶{term}", ""))


@given(texts | terms)
def test_a_plain_text_is_its_own_plain_text(text: str) -> None:
    """Making a text plain twice changes nothing."""
    assert wording.plain(wording.plain(text)) == wording.plain(text)


@given(texts)
def test_any_category_has_a_group_or_none(category: str) -> None:
    """No category raises."""
    group = qualification.group_of(category)
    assert group is None or group in qualification.groups()
    assert qualification.is_prohibited(category) in {True, False}


@given(st.lists(amounts, max_size=4))
def test_a_gap_is_a_share(flows: list[int | None]) -> None:
    """0 when all agree, 1 at most, and unknown without two amounts."""
    found = agreement.gap(flows)
    known = [amount for amount in flows if amount is not None]
    if found is None:
        assert len(known) < 2
    else:
        assert 0 <= found <= 1
        assert (found == 0) == (len(set(known)) == 1)


@given(
    texts.filter(bool), texts.filter(bool), texts, papers, papers,
    st.fixed_dictionaries({}, optional={"price_minor": st.integers(0, 10**9),
                                        "was_price_minor": st.integers(0, 10**9)}),
)  # fmt: skip
def test_every_function_answers_on_any_offer(
    category: str,
    title: str,
    description: str,
    licences: list[object] | None,
    certificates: list[object] | None,
    prices: dict[str, int],
) -> None:
    """On any offer each function gives a value of its declared type, or None."""
    body = EVENT_TYPES["listing_submitted"].example | {
        "merchant": {"id": "m", "licences": licences},
        "listing": {
            "id": "l", "category": category, "title": title, "description": description,
            "certificates": certificates, **prices,
        },
    }  # fmt: skip
    try:
        event = parse_event(orjson.dumps(body), CURRENCIES)
    except InvalidEvent:  # a text that looks like a card number
        return
    stated = Stated(event, fields_of(event, CURRENCIES), CURRENCIES)
    for name, row in EVENT_FUNCTIONS.items():
        value = row.function(stated)
        assert value is None or type(value) is TYPES[row.type], name


@given(st.fixed_dictionaries({"order": amounts, "money": amounts, "invoice": amounts,
                              "goods": amounts, "refunded": amounts}))  # fmt: skip
def test_every_function_answers_on_any_settlement(given_: dict[str, int | None]) -> None:
    """Whatever flowed, each function gives a value of its declared type, or None."""
    flows = {
        name: {"amount_minor": given_[name]}
        for name in ("money", "invoice", "goods")
        if given_[name] is not None
    }
    body = EVENT_TYPES["settlement"].example | {
        "settlement": {
            "id": "s",
            "order_amount_minor": given_["order"] or 0,
            "refunded_minor": given_["refunded"],
            **flows,
        }
    }
    event = parse_event(orjson.dumps(body), CURRENCIES)
    stated = Stated(event, fields_of(event, CURRENCIES), CURRENCIES)
    for name, row in EVENT_FUNCTIONS.items():
        value = row.function(stated)
        assert value is None or type(value) is TYPES[row.type], name
