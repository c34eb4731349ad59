"""Rows of the catalog that name a profile: what they may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.catalog import Catalog, CatalogError
from features.profiles.schema import VIEWS


def problems(tmp_path: Path, **changes: str) -> list[str]:
    row = {"name": "profile_orders", "type": "int", "view": "user_profile", "field": "orders_90d"}
    row |= {
        "missing": "none",
        "missing_zh": "无",
        "description": "Orders",
        "description_zh": "订单",
    }
    row |= changes
    text = "profiles:\n  - {" + ", ".join(f"{key}: {value}" for key, value in row.items()) + "}\n"
    path = tmp_path / "shop.yaml"
    path.write_text(text, "utf-8")
    try:
        Catalog.load(path)
    except CatalogError as error:
        return [str(problem) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"view": "user_profil"}, "Did you mean `user_profile`?"),
        ({"field": "orders_90"}, "Did you mean `orders_90d`?"),
        ({"field": "distinct_users"}, "`field` has the unknown value `distinct_users`"),
        ({"type": "double"}, "the type is int, not double"),
        ({"name": "orders"}, "begin with `profile_`"),
        ({"field": "rfm_segment_name", "type": "string", "model": "true"}, "a text cannot be"),
    ],
)
def test_a_row_that_names_no_profile_is_refused(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    """View, field and type must be those of the schema; what was meant is said."""
    assert problems(tmp_path) == []
    assert [text for text in problems(tmp_path, **changes) if message in text]


def test_the_shipped_rows_say_what_the_schema_says() -> None:
    """Each shipped row has the view and the type of its field, under a name that tells both."""
    rows = Catalog.load().profiles
    assert len(rows) >= 20
    for row in rows:
        view = VIEWS[row.view]
        assert row.name == f"profile_{view.entity}_{row.field}"
        assert row.type == view.field(row.field).type
