"""Reports of a backtest: complete in both languages, and nothing in them runs."""

from __future__ import annotations

import io
import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from service.backtest import words
from service.backtest.order import FactsTable, Order
from service.backtest.page import page
from service.backtest.run import run
from service.backtest.terminal import terminal
from service.backtest.words import LANGUAGES, Language, word
from service.settings import Settings
from tests.bench.backtest_bench import rule_set, write_facts

EVIL = "<script>alert(1)</script>[bold]\"'&"
TEXTS = yaml.safe_load(Path(words.__file__).with_name("words.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A result with everything in it."""
    folder = tmp_path_factory.mktemp("facts")
    write_facts(folder / "facts.parquet", 3000, seed=2)
    order = Order(
        Settings(var=folder),
        dict(rule_set(20, shift=-3).texts),
        dict(rule_set(20).texts),
        FactsTable(folder / "facts.parquet"),
        processes=1,
    )
    return run(order, lambda done, total: None)


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "rect", "line", "circle", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "line", "circle", "polyline"):
            assert self.open.pop() == tag


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_whole_and_runs_and_loads_nothing(
    result: dict[str, Any], language: Language
) -> None:
    """Every tag is closed; no script, no handler, no address; the plots are there."""
    tags = Tags()
    tags.feed(page(result, language))
    assert tags.open == []
    names = [name for name, _ in tags.found]
    assert not {"script", "link", "img", "iframe", "object", "a"} & set(names)
    for _, attributes in tags.found:
        assert not [name for name in attributes if name.startswith("on") or name in ("href", "src")]
    assert names.count("svg") == 4
    assert names.count("section") == 7


def test_what_comes_from_outside_is_shown_and_not_read(result: dict[str, Any]) -> None:
    """Rule ids, values of segments, names of events and files are text, in page and terminal."""
    overlaps = [{"rule": EVIL, "both": 1, "share": 0.5}]
    rules = [{**row, "rule": EVIL, "overlaps": overlaps, "finding": ""} for row in result["rules"]]
    segments = {EVIL: [{**row, "value": EVIL} for row in result["segments"]["event.type"]]}
    examples = {
        name: [{**row, "event": EVIL, "type": EVIL, "because": [EVIL]} for row in rows]
        for name, rows in result["examples"].items()
    }
    source = {**result["source"], "name": EVIL, "unknown_facts": [EVIL]}
    evil = {
        **result, "rules": rules, "segments": segments, "examples": examples, "source": source,
        "notes": ["unknown_facts"],
    }  # fmt: skip
    text = page(evil)
    assert "<script" not in text
    assert escape(EVIL) in text
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(terminal(evil))
    lines = console.export_text().splitlines()
    assert any(line.count(EVIL) == 2 for line in lines)  # a rule and what it overlaps with
    assert sum(line.count(EVIL) for line in lines) > 10


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_terminal_shows_sums_of_the_result(result: dict[str, Any], language: Language) -> None:
    """The outcome table has both sides; changed rules are named."""
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(terminal(result, language))
    text = console.export_text()
    for outcome, found in result["outcomes"].items():
        numbers = [f"{found[side]['count']:,}" for side in ("baseline", "candidate")]
        pattern = rf"{word(outcome, language)} +{numbers[0]} +{numbers[1]}"
        assert re.search(pattern, text), pattern
    assert "bench-0" in text


def test_every_word_has_both_languages() -> None:
    """No text is missing or empty, and notes name the same figures in both."""
    for table in TEXTS.values():
        for name, texts in table.items():
            assert set(texts) == set(LANGUAGES), name
            assert all(text.strip() for text in texts.values()), name
            slots = [sorted(re.findall(r"\{\w+\}", text)) for text in texts.values()]
            assert slots[0] == slots[1], name


def test_every_word_that_a_report_asks_for_is_there() -> None:
    """What is shown untranslated is a name from outside, not a word that was forgotten."""
    folder = Path(words.__file__).parent
    asked = {
        name
        for path in folder.glob("*.py")
        for name in re.findall(r"""[. ]w\(["'](\w+)["']\)|_w\(["'](\w+)["']\)""", path.read_text())
        for name in name
        if name
    }
    assert len(asked) > 30
    assert asked <= TEXTS["words"].keys()
