"""What would a version in shadow have done, and what does a candidate do for its share?

`touchstone rules shadow-report`, `touchstone rules rollout-report`.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from service.cli.api_client import Key, Url
from service.cli.options import Var
from service.cli.rule_files import Version, short
from service.cli.rules_lifecycle import candidate_of
from service.cli.rules_versions import client_of

WIDTH = 140
SHOWN_RULES = 20

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead")]


def shadow_report(
    version: Version,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Whole hours from here")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Whole hours to here")] = None,
    *,
    as_json: Json = False,
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Compare what a version in shadow would have decided with what was decided."""
    from service.cli.api_client import path

    client = client_of(key, url, var)
    where = path("v1", "rule-sets", version, "shadow-report")
    found = client.get(where, since=since, until=until)
    if as_json:
        _print_json(found)
    else:
        _print_shadow(found)


def rollout_report(
    version: Annotated[
        str | None,
        typer.Argument(metavar="[VERSION]", help="Default: the candidate of the moment"),
    ] = None,
    *,
    as_json: Json = False,
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Compare what a candidate decided for its share with what the live version decided."""
    from service.cli.api_client import path
    from service.cli.reports import read_report

    client = client_of(key, url, var)
    chosen = version or candidate_of(client)
    found = read_report(client, path("v1", "rule-sets", chosen, "rollout-report"))
    if as_json:
        _print_json(found)
    else:
        _print_rollout(found)


def _print_json(found: dict[str, Any]) -> None:
    import json

    typer.echo(json.dumps(found, ensure_ascii=False, indent=2))


def _print_shadow(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    asked, failed, dropped = found["decisions"], found["failed"], found["dropped"]
    console.print(
        f"{short(found['version'])} in shadow: {asked:,} decisions, {failed:,} failed, "
        f"{dropped:,} not looked at; {share(found['changed'])} would have another outcome"
    )
    if not asked:
        return
    console.print(
        f"declined instead: {_money(found['declined_more'])}, no longer declined: "
        f"{_money(found['declined_less'])} (minor units, {found['currency']})"
    )
    table = Table("type", "live", "shadow", "decisions", "amount", "examples", box=None)
    for kind in found["event_types"]:
        for one in kind["transitions"]:
            examples = "" if one["live"] == one["shadow"] else " ".join(one["examples"][:1])
            table.add_row(
                kind["event_type"], one["live"], one["shadow"], f"{one['decisions']:,}",
                _money(one["amount"]), examples,
            )  # fmt: skip
    _wide().print(table)
    rules = Table("rule", "type", "hits live", "in shadow", "both", "changed", "unknown", box=None)
    for one in found["rules"][:SHOWN_RULES]:
        rules.add_row(
            one["rule_id"], one["event_type"],
            *(f"{one[name]:,}" for name in
              ("live_hits", "shadow_hits", "both_hits", "changed", "unknown")),
        )  # fmt: skip
    _wide().print(rules)


def _print_rollout(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    until = "goes on" if found["is_under_way"] else "ended"
    console.print(
        f"{short(found['version'])} for {found['share_percent']:g} % against "
        f"{short(found['baseline'])}: {found['decisions']:,} decisions since {found['since'][:16]} "
        f"(UTC), it {until}" + (", the latest only" if found["is_cut"] else "")
    )
    console.print(f"subjects with the candidate: {share(found['subjects'])}")
    if not found["is_share_expected"]:
        console.print(
            "The groups differ in size more than chance explains: do not trust what follows."
        )
    table = Table("type", "measure", "candidate", "live", "difference", "", box=None)
    for kind in found["event_types"]:
        for one in kind["differences"]:
            is_rule = one["measure"].startswith("rule:")
            if one["difference"] is None or (is_rule and not one["is_clear"]):
                continue
            table.add_row(
                kind["event_type"] or "all",
                one["measure"],
                share(one["candidate"]),
                share(one["live"]),
                f"{one['difference'] * 100:+.2f} ({one['low'] * 100:+.2f} to "
                f"{one['high'] * 100:+.2f})",
                "clear" if one["is_clear"] else "",
            )
    _wide().print(table)
    console.print(
        "Differences in percentage points with their 95 % interval; clear: not by chance."
    )


def share(one: dict[str, Any]) -> str:
    """Return a share for people.

    >>> share({"count": 5, "of": 100, "share": 0.05, "low": 0.022, "high": 0.112})
    '5.00 % (2.20 to 11.20, n=100)'
    """
    if one["share"] is None:
        return "none"
    low, high = one["low"] * 100, one["high"] * 100
    return f"{one['share'] * 100:.2f} % ({low:.2f} to {high:.2f}, n={one['of']:,})"


def _money(minor: int) -> str:
    return f"{minor:,}"


def _wide() -> Any:
    from rich.console import Console

    return Console(highlight=False, width=None if Console().is_terminal else WIDTH)
