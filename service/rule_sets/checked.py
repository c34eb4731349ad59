"""What does the check say of a rule set, and what do its rules answer to their examples?

Plain values, as JSON has them. Invariant: a set with `passed` true loads with the catalog that it
was checked against.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from features.catalog import Catalog, CatalogError
from features.entities import ENTITY_KINDS
from features.event_types import EVENT_TYPES
from features.known_facts import known_facts
from rules.check import check_files, examples_of, render
from rules.diagnostic import Diagnostic
from rules.errors import ContentError
from rules.files import SERIES, RuleSetFiles
from rules.ruling import Ruling
from service.rule_sets.parts import read_rules

Answer = dict[str, Any]


def catalog_of(base: Catalog, files: RuleSetFiles) -> Catalog:
    """Return the catalog that a rule set is checked against; raise `CatalogError` for its series.

    It is the shop's own catalog and the set's own series, whatever else is deployed.
    """
    return base if files.series is None else base.extended([files.series])


def diagnostics(
    files: RuleSetFiles, base: Catalog, lists: Collection[str] | None
) -> tuple[Catalog, list[Diagnostic]]:
    """Return what the set is checked against, and every problem and warning.

    `lists` are the names of the lists that there are, None where that is not known.
    """
    catalog, problems = base, []
    try:
        catalog = catalog_of(base, files)
    except CatalogError as error:
        problems += [_of_series(files, found.line, str(found)) for found in error.problems]
    problems += check_files(
        files,
        catalog.fact_types,
        event_types=EVENT_TYPES,
        available={name: known_facts(catalog, name) for name in EVENT_TYPES},
        entity_kinds=ENTITY_KINDS,
        lists=lists,
    )
    if not any(found.is_error for found in problems):
        try:
            Ruling.load(files, catalog.fact_types)
        except ContentError as error:  # what passes must load, whatever the check overlooks
            problems += error.diagnostics
    return catalog, sorted(set(problems))


def check(files: RuleSetFiles, base: Catalog, lists: Collection[str] | None) -> Answer:
    """Return what `diagnostics` finds, with what there was to check."""
    catalog, problems = diagnostics(files, base, lists)
    rules = read_rules(files).values()
    by_subject = {rule.made_by or rule.id: rule for rule in rules}
    return {
        "catalog": catalog.version,
        "passed": not any(found.is_error for found in problems),
        "rules": len(rules),
        "examples": sum(len(rule.examples) for rule in by_subject.values()),
        "problems": [plain(found) for found in problems],
    }


def answers(files: RuleSetFiles, base: Catalog) -> list[Answer]:
    """Return what the rules answer to their examples; raise `ContentError` if they do not load."""
    numbers: dict[str, int] = {}
    found = []
    for run in examples_of(files, catalog_of(base, files).fact_types):
        numbers[run.subject] = numbers.get(run.subject, 0) + 1
        found.append(
            {
                "rule": run.subject,
                "number": numbers[run.subject],
                "note": run.example.note,
                "facts": dict(run.example.facts),
                "expect": run.example.expect,
                "answer": run.answer,
                "passed": run.is_passed,
                "missing": list(run.missing),
                "problems": [plain(problem) for problem in run.problems],
            }
        )
    return found


def plain(found: Diagnostic) -> Answer:
    """Return a diagnostic as JSON has it; `text` is how a terminal shows it."""
    return {**asdict(found), "text": render([found]).rstrip("\n").rpartition("\n")[0].rstrip()}


def _of_series(files: RuleSetFiles, line: int, detail: str) -> Diagnostic:
    lines = (files.series or "").split("\n")
    source = lines[line - 1] if 0 < line <= len(lines) else ""
    message = detail.partition(": ")[2] or detail
    return Diagnostic(SERIES, max(line, 1), 1, "series", message, "", source)
