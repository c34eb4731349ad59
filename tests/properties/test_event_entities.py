"""One thing is one entity: normal forms are normal, and rows always fit the model."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from math import isnan

import orjson
from hypothesis import given
from hypothesis import strategies as st

from features.catalog import Catalog
from features.entities import folded, normal_email, normal_ip, normal_phone
from features.event import parse_event
from features.event_fields import _email, _phone
from features.event_types import EVENT_TYPES
from features.money import CurrencyTable
from features.signals.mail import is_alias
from features.vector import assemble

CURRENCIES = CurrencyTable("CNY", {}, {})
local_parts = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=20).filter(
    lambda text: not set(text) & set('@<>()[],;:\\"') and folded(text)
)
domains = st.sampled_from(["gmail.com", "GoogleMail.com", "example.com", "qq.com", "Ünï.example"])


@cache
def catalog() -> Catalog:
    return Catalog.load()


@given(local_parts, domains)
def test_a_normal_mailbox_is_its_own_normal_form(local: str, domain: str) -> None:
    once = normal_email(f"{local}@{domain}")
    assert normal_email(once) == once
    assert not is_alias(once)


@given(local_parts.filter(lambda text: "+" not in text), domains, st.text("abc123", max_size=6))
def test_an_alias_is_the_mailbox(local: str, domain: str, tag: str) -> None:
    if folded(local) == local:  # no character that becomes a plus
        assert normal_email(f"{local}+{tag}@{domain}") == normal_email(f"{local}@{domain}")


@given(st.from_regex(r"\+?[0-9(][0-9 ().\-/]{3,30}", fullmatch=True))
def test_a_normal_phone_is_its_own_normal_form(phone: str) -> None:
    once = normal_phone(phone)
    assert normal_phone(once) == once


@given(st.ip_addresses())
def test_a_normal_ip_is_its_own_normal_form(address: object) -> None:
    once = normal_ip(str(address))
    assert normal_ip(once) == once


@given(st.text(max_size=80))
def test_light_validation_accepts_or_says_why(text: str) -> None:
    for check in (_email, _phone):
        try:
            answer = check(text)
        except ValueError as error:
            answer = str(error)
        assert answer == text or answer.startswith("Must be")


@given(st.sampled_from(sorted(EVENT_TYPES)), st.data())
def test_a_row_has_one_number_or_nan_for_each_model_feature_in_order(
    kind: str, data: st.DataObject
) -> None:
    body = deepcopy(EVENT_TYPES[kind].example)
    for part in data.draw(st.sets(st.sampled_from(["device", "network", "business_line"]))):
        body.pop(part, None)
    event = parse_event(orjson.dumps(body))
    known = {
        name: data.draw(st.integers(0, 10**15))
        for of_kind in catalog().plan(kind).entities.values()
        for series in of_kind
        for name in series.features
        if not name.endswith("_seconds")
    }
    facts = assemble(event, known, catalog(), CURRENCIES)
    row = facts.row()
    assert len(row) == len(catalog().model_features)
    for name, value in zip(catalog().model_features, row, strict=True):
        if name in facts.values:
            assert value == facts.values[name]
        elif facts.values.get(name.replace("_first_seen_seconds", "_is_new")) is True:
            assert value == 0  # known for no time at all
        else:
            assert isnan(value)
