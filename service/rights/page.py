"""How does what is held about a person look, to programs and to the person?

JSON, and one HTML page in English or 中文 that needs nothing from elsewhere. Both are written part
by part. Invariant: every text of the record is escaped.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, Literal

import orjson
import yaml

from service.rights.access import Part

Language = Literal["en", "zh"]
SECTIONS = ("entries", "labels", "lists", "counters", "profiles", "requests", "problems")
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:62em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;width:100%;margin:.5em 0 1.5em}"
    "td,th{border:1px solid #ccc;padding:.25em .5em;text-align:left;vertical-align:top;"
    "overflow-wrap:anywhere}th{width:14em;font-weight:500;background:#f6f6f6}"
)


async def as_json(parts: AsyncIterator[Part]) -> AsyncIterator[bytes]:
    """Write one JSON object: what the export is about, then a list for each section."""
    held: dict[str, list[Mapping[str, Any]]] = {}
    opened = False
    async for part in parts:
        if part.section == "about":
            yield orjson.dumps(dict(part.content))[:-1] + b',"entries":['
        elif part.section == "entries":
            yield (b",\n" if opened else b"\n") + orjson.dumps(dict(part.content))
            opened = True
        else:  # few, and of small size
            held.setdefault(part.section, []).append(part.content)
    yield b"]"
    for section in SECTIONS[1:]:
        yield b',"%b":' % section.encode() + orjson.dumps(held.get(section, []))
    yield b"}\n"


async def as_html(parts: AsyncIterator[Part], language: Language) -> AsyncIterator[bytes]:
    """Write the page."""
    held: dict[str, list[Mapping[str, Any]]] = {}
    entries = 0
    async for part in parts:
        if part.section == "about":
            yield _head(part.content, language).encode()
        elif part.section == "entries":
            entries += 1
            yield _entry(part.content, language).encode()
        else:
            held.setdefault(part.section, []).append(part.content)
    if not entries:
        yield f"<p>{_w('nothing', language)}</p>".encode()
    for section in SECTIONS[1:]:
        rows = held.get(section, [])
        if rows:
            yield f"<h2>{_w(section, language)}</h2>".encode()
            yield "".join(_table(row, language) for row in rows).encode()
    yield f"<p>{_w('rights', language)}</p></body></html>\n".encode()


def _head(about: Mapping[str, Any], language: Language) -> str:
    title = _w("title", language)
    kinds = ", ".join(_w(f"kind.{kind}", language) for kind in about["identifiers"])
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f"<p>{_w('intro', language)}</p>"
        + _table({"at": about["at"], "identifiers": kinds}, language)
        + f"<h2>{_w('entries', language)}</h2>"
    )


def _entry(entry: Mapping[str, Any], language: Language) -> str:
    answer: Mapping[str, Any] = entry["answer"] or {}
    data: Mapping[str, Any] = entry["data"]
    rows: dict[str, Any] = {"at": entry["at"], "entry": entry["entry"]}
    rows["event_type"] = answer.get("type") or data.get("fields", {}).get("event.type")
    if "outcome" in answer:
        rows["outcome"] = _w(f"outcome.{answer['outcome']}", language)
        rows["score"] = answer.get("score")
        rows["reasons"] = "; ".join(
            str(reason["text"].get(language, "")) for reason in answer["reasons"]
        )
        step_up = answer.get("step_up")
        rows["step_up"] = None if step_up is None else step_up.get("method")
    if not entry["is_readable"]:
        rows["data"] = _w("unreadable", language)
    for name in ("event_id", "occurred_at", "ip_prefix"):
        rows[name] = data.get(name)
    rows["tags"] = data.get("tags")
    rows["facts"] = {**data.get("fields", {}), **data.get("facts", {})}
    return _table(
        {name: value for name, value in rows.items() if value not in (None, "")}, language
    )


def _table(rows: Mapping[str, Any], language: Language) -> str:
    cells = (
        f"<tr><th>{escape(_w(name, language))}</th><td>{_cell(value)}</td></tr>"
        for name, value in rows.items()
        if value is not None
    )
    return f"<table>{''.join(cells)}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return "<br>".join(f"{escape(str(name))}: {_cell(item)}" for name, item in value.items())
    if isinstance(value, datetime):
        return escape(value.strftime("%Y-%m-%d %H:%M:%S UTC"))
    return escape(str(value))


def _w(name: str, language: Language) -> str:
    found = _words().get(name)
    return found[language] if found is not None else name


@cache
def _words() -> dict[str, dict[str, str]]:
    text = Path(__file__).with_name("words.yaml").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, str]] = yaml.safe_load(text)
    return loaded
