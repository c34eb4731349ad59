"""How is a rule stopped in an emergency? `touchstone rules stop | confirm | lift | stops`."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.api_client import Key, Url
from service.cli.options import Var
from service.cli.rules_lifecycle import say_stop
from service.cli.rules_versions import client_of, moment

Rule = Annotated[str, typer.Argument(metavar="RULE", help="The id of a rule")]


def stop(
    rule: Rule,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why; no personal data")],
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Take the effect from a rule at once, in whatever version runs. A second person confirms."""
    body = {"rule": rule, "reason": reason}
    say_stop(client_of(key, url, var).post("/v1/rule-stops", body))


def confirm(rule: Rule, key: Key = "", url: Url = None, var: Var = None) -> None:
    """Confirm what somebody else stopped: it holds until it is lifted."""
    from service.cli.api_client import path

    say_stop(client_of(key, url, var).post(path("v1", "rule-stops", rule, "confirm")))


def lift(rule: Rule, key: Key = "", url: Url = None, var: Var = None) -> None:
    """Let a stopped rule have its effect again."""
    from service.cli.api_client import path

    client_of(key, url, var).post(path("v1", "rule-stops", rule, "lift"))
    typer.echo(f"{rule} has its effect again.")


def stops(key: Key = "", url: Url = None, var: Var = None) -> None:
    """Show the emergency stops that there were, newest first."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("rule", "state", "stopped (UTC)", "by", "confirmed", "lifted", "why", box=None)
    for one in client_of(key, url, var).get("/v1/rule-stops"):
        cells = (
            one["rule"],
            one["state"],
            moment(one["stopped_at"]),
            one["actor"],
            one["confirmed_by"] or "-",
            one["lifted_by"] or "-",
            one["reason"],
        )
        table.add_row(*(Text(cell) for cell in cells))
    Console(soft_wrap=True).print(table)
