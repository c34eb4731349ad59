"""What would somebody send who means harm, or a program with a fault?

Bodies that are nearly right, by the schema in the OpenAPI document, with something hostile in some
place; and bytes that are no body at all. `MARK` stands for somebody's data: no answer to a request
that was refused repeats it.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import strategies as st

MARK = "mark-4012888888881881@planted.example"
TEXTS = [
    MARK,
    f"{MARK}\0",
    "\0",
    "a\0b",
    "\ud800",
    "a\udfffb",
    "\N{REPLACEMENT CHARACTER}",
    "\u202e\u0000",
    "x" * 9_000,
    "",
    " ",
    "live",
    "-1",
    "9" * 400,
    "NaN",
    "=1+1",
    "..%2f..%5cetc",
    "'; DROP TABLE person; --",
    "{{ 1 }}",
    "%00",
]
TIMES = [
    "2026-10-01T00:00:00Z",
    "2026-10-01T00:00:00",
    "0001-01-01T00:00:00+14:00",
    "0001-01-01T00:00:00",
    "9999-12-31T23:59:59-14:00",
    "9999-12-31T23:59:59.999999Z",
    "1e300",
    "-99999999999999",
    0,
    -62135596800,
    253402300799,
    10**30,
]
NUMBERS: list[float] = [
    -1, 0, 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**400, 0.5, -0.0, 1e-320, 1e308,
    float("inf"), float("-inf"), float("nan"),
]  # fmt: skip


def _nested(depth: int, inner: Any = 0) -> Any:
    for _ in range(depth):
        inner = [inner]
    return inner


HOSTILE: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(TEXTS),
    st.sampled_from(NUMBERS),
    st.sampled_from(TIMES),
    st.sampled_from([None, True, [], {}, [None], {"\0": 1}, {"\ud800": 1}, {MARK: 1}]),
    st.just(_nested(80)),
    st.text(max_size=20),
)
BYTES: list[bytes] = [
    b"",
    b" ",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe\x00",
    b"\xef\xbb\xbf{}",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"1" * 5_000,
    b'{"a": ' + b"9" * 5_000 + b"}",
    b"1e999",
    b"NaN",
    b'{"\\u0000": "\\u0000"}',
    b'{"\\ud800": "\\ud800"}',
    b'{"a": 1, "a": 2}',
    b"<x/>",
    MARK.encode(),
]
MEDIA_TYPES = [
    "application/json",
    "application/json; charset=utf-16",
    "text/csv",
    "text/plain",
    "multipart/form-data",
    "application/x-www-form-urlencoded",
    "\xff",
]


def values(
    schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int = 0
) -> st.SearchStrategy[Any]:
    """Return values that fit a JSON schema, but for about one place in eight."""
    return st.integers(0, 7).flatmap(
        lambda roll: HOSTILE if roll == 0 else _fitting(schema, schemas, depth)
    )


def properties(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    """Return the names of the members of an object."""
    found = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return list(found.get("properties", ()))


def _fitting(
    schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int
) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return _fitting(schemas[schema["$ref"].rpartition("/")[2]], schemas, depth)
    if "anyOf" in schema:
        return st.one_of([_fitting(one, schemas, depth) for one in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "object":
            return _objects(schema, schemas, depth)
        case "array" if depth < 6:
            item = values(schema.get("items", {}), schemas, depth + 1)
            return st.lists(item, min_size=min(schema.get("minItems", 0), 3), max_size=3)
        case "string":
            return _texts(schema)
        case "integer":
            return st.integers(schema.get("minimum", -5), schema.get("maximum", 100))
        case "number":
            return st.floats(schema.get("minimum", -5), schema.get("maximum", 100))
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    return HOSTILE


def _objects(
    schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int
) -> st.SearchStrategy[Any]:
    if "properties" not in schema:
        of = schema.get("additionalProperties")
        inner = values(of if isinstance(of, Mapping) else {}, schemas, depth + 1)
        names = ["packs/a.yaml", "policy.yaml", "reasons.yaml", "../a", "a\0b", "\ud800"]
        return st.dictionaries(st.sampled_from(names), inner, max_size=4)
    members = {
        name: values(of, schemas, depth + 1) for name, of in schema["properties"].items()
    }  # fmt: skip
    required = set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: of for name, of in members.items() if name in required},
        optional={
            **{name: of for name, of in members.items() if name not in required},
            MARK: HOSTILE,
        },
    )


def _texts(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if schema.get("format") == "date-time":
        return st.sampled_from(TIMES)
    if schema.get("format") == "uuid":
        return st.uuids().map(str)
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True)
    return st.sampled_from(["live", "user", "device", "planted", "u-1", "chargeback", *TEXTS])


def json_bytes(value: Any) -> bytes:
    """Write a value as JSON, with all that Python's reader takes: NaN and half characters too."""
    return json.dumps(value).encode()


def csv_bytes(columns: Iterable[str]) -> st.SearchStrategy[bytes]:
    """Return CSV files with these columns, or a part of them, and hostile cells."""
    names = list(columns)
    cells = st.one_of(
        st.sampled_from(["user", "device", "u-1", "chargeback", "honest", ""]),
        st.sampled_from([text for text in TEXTS if text.isprintable() or "\0" in text]),
        st.sampled_from([str(time) for time in TIMES]),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    )

    def written(drawn: tuple[list[str], list[list[str]]]) -> bytes:
        header, rows = drawn
        text = io.StringIO()
        csv.writer(text).writerows([header, *(row[: len(header)] for row in rows)])
        return text.getvalue().encode()

    headers = st.one_of(
        st.just(names), st.lists(st.sampled_from([*names, MARK]), min_size=1, max_size=len(names))
    )
    rows = st.lists(st.lists(cells, min_size=len(names), max_size=len(names)), max_size=4)
    return st.tuples(headers, rows).map(written)
