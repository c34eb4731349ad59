"""The page on rules: functions, keys, bounds, examples, commands and files are the code's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer

from features.catalog import Catalog
from features.entities import ENTITY_KINDS
from features.event import parse_event
from features.event_types import EVENT_TYPES
from features.known_facts import known_facts
from features.money import CurrencyTable
from features.vector import assemble
from rules import limits
from rules.cel_problems import FUNCTIONS
from rules.check import check_files, render
from rules.files import RuleSetFiles
from rules.parameters import KEYS
from rules.rule_entry import RULE_KEYS
from rules.ruling import Ruling
from service.cli import build_app

HERE = Path(__file__).parents[2] / "rules"
PAGE = (HERE / "README.md").read_text("utf-8")
CATALOG = Catalog.load()
ROWS = re.findall(r"^\| `(\w+)` \| [^|]+ \| `(.+)` \|$", PAGE, re.MULTILINE)
PACKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^touchstone ((?:\w+) (?:[\w-]+))", PAGE, re.MULTILINE)


def files_of(pack: str) -> RuleSetFiles:
    texts = {name: (HERE / name).read_text("utf-8") for name in ("policy.yaml", "reasons.yaml")}
    return RuleSetFiles.of({**texts, "packs/readme.yaml": "owner: readme\n" + pack})


def test_every_function_is_explained_and_no_other() -> None:
    """The table of functions is that of the code."""
    assert sorted(name for name, _ in ROWS) == sorted(FUNCTIONS)


@pytest.mark.parametrize(("name", "condition"), ROWS)
def test_the_example_of_each_function_is_true(name: str, condition: str) -> None:
    """Each example uses its function and holds for the checkout in the API's documentation."""
    assert f"{name}(" in condition
    rule = f"""rules:
  - id: example
    description: an example
    event_types: [checkout]
    when: {json.dumps(condition)}
    outcome: review
    reason: COUPON_TOO_MANY
    threshold: {{source: a, false_alarms: b}}
"""
    ruling = Ruling.load(files_of(rule), CATALOG.fact_types)
    event = parse_event(json.dumps(EVENT_TYPES["checkout"].example).encode())
    facts = dict(assemble(event, {}, CATALOG, CurrencyTable("CNY", {}, {})).values)
    facts.update({listed.fact: False for listed in ruling.engine.listed})
    assert [hit.status for hit in ruling.engine.evaluate("checkout", facts)] == ["hit"]


@pytest.mark.parametrize("pack", PACKS, ids=lambda pack: pack.partition(":")[0])
def test_each_example_of_yaml_is_right(pack: str) -> None:
    """Every piece of YAML on the page passes the check, its examples included."""
    problems = check_files(
        files_of(pack),
        CATALOG.fact_types,
        event_types=EVENT_TYPES,
        available={name: known_facts(CATALOG, name) for name in EVENT_TYPES},
        entity_kinds=tuple(ENTITY_KINDS),
    )
    in_pack = [each for each in problems if each.file == "readme.yaml" and each.is_error]
    assert not in_pack, render(in_pack)


def test_every_key_of_a_rule_is_explained() -> None:
    """No key is left out of the table, and none is in it that there is not."""
    section = PAGE.partition("| key of a rule |")[2].partition("\n\n")[0]
    named = {
        name
        for line in section.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert named == set(RULE_KEYS) - {"business_lines", "regions"}
    assert all(f"`{key}`" in section for key in ("business_lines", "regions"))
    assert all(re.search(rf"\b{key}\b", section) for key in KEYS)


def test_every_bound_is_that_of_the_code() -> None:
    """A number on the page is the number that is kept."""
    bounds = re.findall(r"`(MAX_\w+)` ([\d,]+)", PAGE)
    assert len(bounds) >= 10
    for name, number in bounds:
        assert getattr(limits, name) == int(number.replace(",", "")), name


def test_every_command_of_the_page_is_one() -> None:
    """What the ten minutes ask to type is there."""
    assert len(COMMANDS) >= 10
    for line in [*COMMANDS, *re.findall(r"`((?:rules|lists) [a-z-]+)", PAGE)]:
        group, name = line.split()
        commands = typer.main.get_command(build_app([group])).commands  # type: ignore[attr-defined]
        assert name in commands[group].commands, line


def test_every_file_is_found_by_its_question() -> None:
    """The table of files names all of the folder, and nothing else."""
    section = PAGE.partition("## Find your way")[2]
    named = set(re.findall(r"`([a-z_]+\.py)`", section))
    assert named == {path.name for path in HERE.glob("*.py")} - {"__init__.py"}
