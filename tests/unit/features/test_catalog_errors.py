from __future__ import annotations

from pathlib import Path

import pytest

from features.catalog import Catalog, CatalogError

FIELDS = "fields:\n  - {name: event.type, type: string}\n"


def errors(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "shop.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(CatalogError) as caught:
        Catalog.load(path)
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
    return [str(problem) for problem in caught.value.problems]


def series(**changes: str) -> str:
    row = {"name": "user_logins", "entity": "user", "measure": "count", "windows": "[1h]"}
    row |= {"events": "[login]"} | changes
    return "series:\n  - {" + ", ".join(f"{key}: {value}" for key, value in row.items()) + "}\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"entity": "usr"}, "`entity` has the unknown value `usr`. Did you mean `user`?"),
        ({"entity": "ip"}, "the name must be lower_case and begin with `ip_`"),
        ({"measure": "cuont"}, "`measure` has the unknown value `cuont`. Did you mean `count`?"),
        ({"events": "[logins]"}, "`events` has the unknown value `logins`. Did you mean `login`?"),
        ({"windows": "[1 week]"}, "`1 week` is not a window; write 60s, 10m, 24h or 7d"),
        ({"windows": "[60m, 1h]"}, "the same window appears twice"),
        ({"windows": "1h"}, "`windows` must be a list of texts"),
        ({"of": "device"}, "`of` has no meaning for the measure count"),
        (
            {"measure": "distinct", "of": "user"},
            "`of` is the entity itself: there is only ever one user",
        ),
        ({"measure": "sum", "of": "login.method"}, "`of` has the unknown value `login.method`."),
        ({"measure": "first_seen"}, "the name must end with `_first_seen`"),
        ({"read_by": "[login]"}, "`read_by` repeats login: `events` read, too"),
        ({"wher": "x"}, "unknown key `wher`. Did you mean `where`?"),
        ({"where": "login.succeded"}, "Did you mean `login.succeeded`?"),
        ({"where": "'login.succeeded =='"}, "`where` 1:19: Syntax error"),
        ({"where": "login.method"}, "`where` must be a condition (true or false), but is STRING"),
    ],
)
def test_a_bad_series_names_file_line_row_and_what_was_meant(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    (found,) = [e for e in errors(tmp_path, FIELDS + series(**changes)) if message in e]
    assert found.startswith("shop.yaml:4: user_logins: ")


def test_every_problem_is_listed_in_the_order_of_lines(tmp_path: Path) -> None:
    text = """\
serie: []
event_features:
  - {name: event_x, type: bool, function: email_is_alais, missing: no}
  - {name: mail, type: bool, function: email_is_alias, missing: no}
  - {name: event_y, type: int, function: email_is_alias, missing: no}
  - {name: event_y, type: int, function: local_hour, missing: no}
  - just text
fields:
  - {name: order.chanel, type: string}
  - {name: order.channel, type: string, model: true}
  - {name: order.country}
"""
    assert errors(tmp_path, text) == [
        "shop.yaml:1: serie: unknown section. Did you mean `series`?",
        (
            "shop.yaml:3: event_x: `function` has the unknown value `email_is_alais`. "
            "Did you mean `email_is_alias`?"
        ),
        "shop.yaml:4: mail: the name must be lower_case and begin with `event_`",
        "shop.yaml:5: event_y: the type is bool, not int",
        "shop.yaml:6: event_y: this name is taken by the row in line 5",
        "shop.yaml:7: event_features: each row must be a mapping of keys to values",
        (
            "shop.yaml:9: order.chanel: `name` has the unknown value `order.chanel`. "
            "Did you mean `order.channel`?"
        ),
        "shop.yaml:10: order.channel: a text cannot be an input of the model",
        "shop.yaml:11: order.country: `type` is missing",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "must hold the sections"),
        ("a: [\n", "is not YAML"),
        ("fields: 5\n", "must be a list of rows"),
        ("fields: []\nfields: []\n", "`fields` appears twice"),
        ("", "must hold the sections"),
    ],
)
def test_a_file_that_is_no_catalog_says_so(tmp_path: Path, text: str, message: str) -> None:
    assert message in errors(tmp_path, text)[0]


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"absent\.yaml:0: file: cannot be read"):
        Catalog.load(tmp_path / "absent.yaml")


def test_a_ratio_needs_two_velocity_features(tmp_path: Path) -> None:
    text = FIELDS + series() + "derived:\n  - {name: user_x_share, numerator: user_logins_1h, "
    (found,) = errors(tmp_path, text + "denominator: user_login_1h}\n")
    assert found.endswith(
        "user_x_share: `denominator` has the unknown value `user_login_1h`. "
        "Did you mean `user_logins_1h`?"
    )


def test_a_type_that_would_read_too_much_is_refused(tmp_path: Path) -> None:
    rows = "".join(
        f"  - {{name: user_x{n}_y, entity: user, measure: count, windows: [1h], events: [login]}}\n"
        for n in range(7)
    )
    (found,) = errors(tmp_path, "series:\n" + rows)
    assert found == "shop.yaml:8: user_x6_y: login reads 7 series of one user; 6 are the most"
