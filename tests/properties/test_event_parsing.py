"""Whatever bytes come in, an event or a complete, silent refusal comes out."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.event import Event, InvalidEvent, parse_event
from features.event_types import EVENT_TYPES
from features.money import CurrencyTable
from features.problems import Problem

CURRENCIES = CurrencyTable("CNY", {}, {})
ABSENT = object()
FIELDS = {field.alias or name for name, field in Event.model_fields.items()}
WHOLE_BODY = {"invalid_json", "not_utf8", "not_an_object", "too_deep", "more_problems"}

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from(["CNY", "USD", "2026-11-22T08:15:30Z", "login", "ip", "li@example.com"])
)
names = st.text(max_size=12) | st.sampled_from(
    ["event_id", "type", "user", "order", "items", "id", "currency", "return", "a/b", "m~n"]
)
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5)
)


@st.composite
def changed_examples(draw: st.DrawFn) -> dict[str, Any]:
    """A good body in which one to three places were replaced, dropped or added."""
    body = deepcopy(EVENT_TYPES[draw(st.sampled_from(list(EVENT_TYPES)))].example)
    for _ in range(draw(st.integers(1, 3))):
        node: Any = body
        while True:
            step = draw(st.sampled_from(sorted(node)) if isinstance(node, dict) else st.just(0))
            if isinstance(node[step], dict | list) and node[step] and draw(st.booleans()):
                node = node[step]
                continue
            break
        act = draw(st.sampled_from(["replace", "drop", "add"]))
        if act == "replace" or isinstance(node, list):
            node[step] = draw(trees)
        elif act == "drop":
            if len(node) > 1:
                del node[step]
        else:
            node[draw(names)] = draw(trees)
    return body


def parsed(raw: bytes) -> Event | list[Problem]:
    try:
        return parse_event(raw, CURRENCIES)
    except InvalidEvent as refusal:
        return refusal.problems


def at(tree: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(tree, list) and name.isdigit() and int(name) < len(tree):
            tree = tree[int(name)]
        elif isinstance(tree, dict) and name in tree:
            tree = tree[name]
        else:
            return ABSENT
    return tree


def encoded(tree: Any) -> bytes:
    return json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_an_event_or_refused(raw: bytes) -> None:
    assert parsed(raw)


@given(trees)
def test_arbitrary_json_is_an_event_or_refused(tree: Any) -> None:
    assert parsed(encoded(tree))
    assert parsed(json.dumps(tree).encode())


@given(changed_examples())
def test_every_pointer_leads_to_a_place_or_to_a_missing_field(body: dict[str, Any]) -> None:
    raw = encoded(body)
    found = parsed(raw)
    if isinstance(found, Event):
        return
    if found[0].code in WHOLE_BODY:
        assert found[0].pointer == ""
        return
    tree = json.loads(raw)
    for problem in found:
        if problem.code == "missing":
            assert at(tree, problem.pointer) in (ABSENT, None)
            assert at(tree, problem.pointer.rpartition("/")[0]) is not ABSENT
        else:
            assert at(tree, problem.pointer) is not ABSENT, problem


@given(changed_examples())
def test_a_refusal_is_complete(body: dict[str, Any]) -> None:
    """Repairing every place that was named, and nothing else, gives an event."""
    raw = encoded(body)
    found = parsed(raw)
    if isinstance(found, Event) or found[0].code in WHOLE_BODY:
        return
    tree = json.loads(raw)
    if not isinstance(tree.get("type"), str) or tree["type"] not in EVENT_TYPES:
        return  # which parts are required is known when the type is
    named = {problem.pointer.split("/")[1] for problem in found if problem.pointer}
    whole = EVENT_TYPES[tree["type"]].example
    repaired = {name: part for name, part in tree.items() if name not in named}
    if any(problem.pointer == "" for problem in found):
        repaired = {name: part for name, part in repaired.items() if name in FIELDS}
    repaired |= {name: whole[name] for name in named if name in whole}
    assert isinstance(parsed(encoded(repaired)), Event)


@pytest.mark.parametrize("kind", EVENT_TYPES)
@given(data=st.data())
def test_a_planted_secret_is_in_no_problem(kind: str, data: st.DataObject) -> None:
    secret = data.draw(
        st.sampled_from(["Wang Xiaoming", "zq@hidden.example", "19912345678", "198.51.100.77"])
    )
    body = deepcopy(EVENT_TYPES[kind].example)
    part = data.draw(st.sampled_from(sorted(body)))
    if isinstance(body[part], dict) and data.draw(st.booleans()):
        body[part][data.draw(st.sampled_from([secret, *body[part]]))] = [secret]
    else:
        body[part] = {secret: secret}
    found = parsed(encoded(body))
    assert not isinstance(found, Event)
    assert secret not in str(found)
