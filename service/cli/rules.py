"""Are the rules right? `touchstone rules check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.options import Var

rules_app = typer.Typer(help="Rule packs.", no_args_is_help=True)


@rules_app.command("check")
def check(
    directory: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            help="Directory of rule packs. Default: TOUCHSTONE_RULES_DIR, else the shipped ones",
        ),
    ] = None,
    var: Var = None,
) -> None:
    """Check rules, policy and reason texts, and run the examples of every rule."""
    import rules
    from features.catalog import DEFAULT_PATH, Catalog
    from features.event_types import EVENT_TYPES
    from features.known_facts import known_facts
    from rules.check import check_rules, render
    from rules.ruleset import RuleSet
    from service.settings import load_settings

    settings = load_settings(var)
    shipped = Path(rules.__file__).parent
    root = directory or settings.rules_dir or shipped
    packs = root / "packs"
    catalog = Catalog.load(settings.catalog or DEFAULT_PATH)
    problems = check_rules(
        packs,
        catalog.fact_types,
        event_types=EVENT_TYPES,
        reasons=shipped / "reasons.yaml",
        policy=root / "policy.yaml"
        if (root / "policy.yaml").is_file()
        else shipped / "policy.yaml",
        available={name: known_facts(catalog, name) for name in EVENT_TYPES},
    )
    if problems:
        typer.echo(render(problems), err=True, nl=False)
        raise typer.Exit(1)
    ruleset = RuleSet.load(packs)
    typer.echo(f"{len(ruleset.rules)} rules, no problems (rule set {ruleset.version[:16]})")
