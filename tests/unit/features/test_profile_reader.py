"""Values of Feast's online store, read as decisions do and as Feast does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.profiles import feast_module

HOLDERS = {"int": "int64_val", "double": "double_val", "string": "string_val", "bool": "bool_val"}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    "string": st.text(max_size=20),
    "bool": st.booleans(),
}


@pytest.fixture(scope="module")
def online() -> Any:
    return feast_module("features.profiles.online_store")


@given(st.data())
def test_a_row_is_read_as_feast_reads_it(online: Any, data: st.DataObject) -> None:
    """Every value of every type, 0, false and null included, is what Feast's own class gives."""
    kinds = data.draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=8))
    values = [data.draw(st.none() | VALUES[kind]) for kind in kinds]
    proto = online.ValueProto
    raw = [
        (proto() if value is None else proto(**{HOLDERS[kind]: value})).SerializeToString()
        for kind, value in zip(kinds, values, strict=True)
    ]
    names = [f"f{place}" for place in range(len(kinds))]
    ours: dict[str, Any] = {}
    online.Reader(list(zip(names, kinds, strict=True))).read([*raw, b"time"], ours)
    _, theirs = online.ProfileOnlineStore()._get_features_for_entity(
        [*raw, None], "view", [*names, "_ts:view"]
    )
    kept = {name: one for name, one in theirs.items() if one.WhichOneof("val") is not None}
    assert ours == {name: getattr(one, one.WhichOneof("val")) for name, one in kept.items()}
    assert {name: type(value) for name, value in ours.items()} == {
        name: type(getattr(one, one.WhichOneof("val"))) for name, one in kept.items()
    }


def test_a_value_of_another_type_is_unknown_and_never_0(online: Any) -> None:
    """What an older schema wrote under a name is left out where its type is another one."""
    raw = online.ValueProto(double_val=2.5).SerializeToString()
    found: dict[str, Any] = {}
    online.Reader([("feature", "int")]).read([raw, b"time"], found)
    assert found == {}
