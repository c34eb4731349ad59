"""Are the rules right, what do they answer to their examples, and what was changed?

`check`, `test` and `diff` need no service for directories. Invariant: what `check` says of a
directory is what the service will say of it, but for the lists, which only the service knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.api_client import Key, Url
from service.cli.options import Var
from service.cli.rule_files import short

if TYPE_CHECKING:
    from rules.files import RuleSetFiles
    from service.cli.api_client import ApiClient
    from service.settings import Settings

FAILED = 1
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}

Target = Annotated[
    str | None,
    typer.Argument(
        metavar="[DIR|VERSION]",
        help="A directory with packs/, or a version. Default: TOUCHSTONE_RULES_DIR, else shipped",
        show_default=False,
    ),
]


def check(target: Target = None, key: Key = "", url: Url = None, var: Var = None) -> None:
    """Check rules, tables, policy and reason texts, and run every example; all problems at once.

    A version is checked by the service, which keeps the result: it counts for `rules submit`.
    """
    from features.catalog import DEFAULT_PATH, Catalog
    from rules.check import render
    from service.cli.api_client import ApiClient, path
    from service.cli.rule_files import is_version
    from service.rule_sets.checked import diagnostics
    from service.rule_sets.parts import read_rules
    from service.settings import load_settings

    settings = load_settings(var)
    if target is not None and is_version(target):
        where = path("v1", "rule-sets", target, "check")
        _say_check(ApiClient(settings, url, key).post(where))
        return
    files = _files(target, settings, url, key)
    base = Catalog.load(settings.catalog or DEFAULT_PATH)
    _, problems = diagnostics(files, base, None)
    is_wrong = any(found.is_error for found in problems)
    if problems:
        typer.echo(render(problems), err=True, nl=False)
    if is_wrong:
        raise typer.Exit(FAILED)
    said = "no problems" if not problems else "no errors"
    typer.echo(f"{len(read_rules(files))} rules, {said} (rule set {files.version[:16]})")


def _say_check(found: dict[str, Any]) -> None:
    for problem in found["problems"]:
        typer.echo(problem["text"] + "\n", err=True)
    errors = sum(problem["severity"] == "error" for problem in found["problems"])
    version = short(found["version"])
    if not found["passed"]:
        typer.echo(f"{errors} problem{'' if errors == 1 else 's'} in {version}", err=True)
        raise typer.Exit(FAILED)
    said = "no problems" if not found["problems"] else "no errors"
    typer.echo(f"{found['rules']} rules, {said}: {version} passed the check")


def examples(
    target: Target = None,
    rule: Annotated[str | None, typer.Option(help="Only examples of this rule or table")] = None,
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Run the examples of every rule and show what is answered to each."""
    from rich.console import Console
    from rich.table import Table

    from features.catalog import DEFAULT_PATH, Catalog
    from service.rule_sets.checked import answers
    from service.settings import load_settings

    settings = load_settings(var)
    files = _files(target, settings, url, key)
    found = answers(files, Catalog.load(settings.catalog or DEFAULT_PATH))
    if rule is not None:
        found = [one for one in found if one["rule"] == rule]
        if not found:
            raise typer.BadParameter(f"there is no example of a rule '{rule}'")
    table = Table("", box=None)
    table.add_column("rule", no_wrap=True, overflow="fold")
    for head in ("#", "expects", "answers", "note"):
        table.add_column(head)
    for one in sorted(
        found, key=lambda one: bool(one["passed"]), reverse=True
    ):  # those that failed stay in view
        answer = one["answer"] or "it is wrong itself: touchstone rules check"
        if one["missing"]:
            answer += f" (no value of {', '.join(one['missing'])})"
        table.add_row(
            "ok" if one["passed"] else "FAILED",
            one["rule"],
            str(one["number"]),
            one["expect"],
            answer,
            one["note"],
            style=None if one["passed"] else "red",
        )
    Console(soft_wrap=True).print(table)
    failed = sum(not one["passed"] for one in found)
    typer.echo(f"{len(found)} examples, {failed or 'none'} failed (rule set {files.version[:16]})")
    if failed:
        raise typer.Exit(FAILED)


def diff(
    old: Annotated[
        str,
        typer.Argument(
            metavar="FROM", help="A directory, a version, live, previous, latest, shipped"
        ),
    ],
    new: Annotated[
        str,
        typer.Argument(
            metavar="TO", help="A directory, a version, live, previous, latest, shipped"
        ),
    ],
    as_files: Annotated[
        bool, typer.Option("--files", help="File by file in place of rule by rule")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead")] = False,
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Show what is different between two rule sets, rule by rule, then the other files."""
    import json

    from service.rule_sets.difference import difference
    from service.settings import load_settings

    settings = load_settings(var)
    found = difference(_files(old, settings, url, key), _files(new, settings, url, key))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        print_difference(found, as_files=as_files)


def print_difference(found: dict[str, Any], *, as_files: bool = False) -> None:
    """Print a difference for people."""
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    rules = [] if as_files else found["rules"]
    for rule in rules:
        keys = f": {', '.join(rule['keys'])}" if rule["keys"] else ""
        console.print(Text(f"rule {rule['id']} {rule['change']}{keys}", style="bold"))
        _print_diff(console, rule["diff"])
    for file in found["files"]:
        is_pack = file["name"].startswith(("packs/", "tables/"))
        if is_pack and rules:
            continue
        note = "" if as_files or not is_pack else ": layout or comments only"
        console.print(Text(f"file {file['name']} {file['change']}{note}", style="bold"))
        _print_diff(console, file["diff"])
    console.print(summary(found))


def _print_diff(console: Any, diff: str) -> None:
    from rich.text import Text

    for line in diff.split("\n"):
        if not line.startswith(("+++", "---")):
            console.print(Text(line, style=_COLOURS.get(line[:1], "")))
    console.print()


def summary(found: dict[str, Any]) -> str:
    """Return a difference in one line.

    >>> summary({"rules": [{"change": "added"}, {"change": "added"}], "files": []})
    '2 rules added'
    """
    counts = [
        (sum(rule["change"] == change for rule in found["rules"]), change)
        for change in ("added", "changed", "removed")
    ]
    parts = [
        f"{count} rule{'' if count == 1 else 's'} {change}" for count, change in counts if count
    ]
    others = [one["name"] for one in found["files"] if not one["name"].startswith("packs/")]
    if others:
        parts.append(f"{', '.join(others)} changed")
    if not parts and found["files"]:
        parts.append("layout or comments only")
    return ", ".join(parts) or "no difference"


def _files(target: str | None, settings: Settings, url: str | None, key: str) -> RuleSetFiles:
    from service.cli.api_client import ApiClient
    from service.cli.rule_files import files_at

    def client() -> ApiClient:
        return ApiClient(settings, url, key)

    return files_at(target, settings, client)
