"""How do the rules do over time? `touchstone rules performance`, through the API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from service.cli.api_client import Key, Url
from service.cli.options import Var

# As in service/evidence/performance_report.py: somebody should look.
URGENT = frozenset({"silent", "sudden", "often_unknown"})
WIDTH = 170


def performance(  # noqa: PLR0913 - options of a command
    rule: Annotated[
        str | None, typer.Argument(metavar="[RULE]", help="One rule, day by day. Default: all")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=90, help="How far back")] = 30,
    recent_hours: Annotated[
        int, typer.Option(min=1, help="Drift: these last hours against the time before")
    ] = 24,
    *,
    flagged: Annotated[
        bool, typer.Option("--flagged", help="Only rules that need attention; fails if any do")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="Rules without a hit, too")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead")] = False,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Hits, precision, recall, money and false alarms of each rule, and which ones drift."""
    import json

    from service.cli.api_client import ApiClient
    from service.cli.reports import read_report
    from service.settings import load_settings

    client = ApiClient(load_settings(var), url, key)
    found = read_report(
        client, "/v1/rules/performance", rule=rule, days=days, recent_hours=recent_hours
    )
    if flagged:
        found["rules"] = [one for one in found["rules"] if URGENT.intersection(one["flags"])]
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    elif flagged and not found["rules"]:
        typer.echo("No rule needs attention.")
    elif rule is not None and found["rules"]:
        _print_rule(found)
    else:
        _print_all(found, every=every)
    if flagged and found["rules"]:
        raise typer.Exit(1)


def _print_all(found: dict[str, Any], *, every: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{found['decisions']:,} decisions since {_day(found['since'])} (UTC); of those with a "
        f"label {found['labelled_abusive']:,} abusive, {found['labelled_honest']:,} honest"
        + (" (the latest)" if found["is_cut"] else "")
    )
    rules = [
        one
        for one in found["rules"]
        if every or URGENT.intersection(one["flags"]) or one["hit_rate"]["count"]
    ]
    left = len(found["rules"]) - len(rules)
    if not rules:
        console.print(f"Nothing to show; {left} rules without a hit." if left else "No rules.")
        return
    for one in rules:
        if URGENT.intersection(one["flags"]):
            console.print(f"! {one['rule_id']} {_attention(one)}")
    table = Table(
        "rule", "hits", "hit rate", "last hit", "precision", "recall", "alone", "false alarms",
        "money", "drift", box=None, pad_edge=False,
    )  # fmt: skip
    table.columns[0].no_wrap = True
    money = _money_of(found)
    for one in rules:
        table.add_row(
            one["rule_id"] + _standing(one),
            f"{sum(one['hits'].values()):,}",
            _share(one["hit_rate"], of=False),
            _day(one["last_hit_at"])[:10],
            _share(one["precision"]),
            _share(one["recall"]),
            f"{one['caught_alone']:,}" if one["recall"]["of"] else "",
            _share(one["false_alarms"]),
            money(one["amount_minor"]),
            _drift(one["drift"]),
        )
    wide = Console(highlight=False, width=None if console.is_terminal else WIDTH)
    wide.print(table)
    console.print(
        "Shares with their 95 % interval, of how many. recall: its part of all labelled abuse; "
        "alone: abuse that no other live rule hit.\n"
        f"drift: hit rate since {_day(found['recent_since'])} over that before. "
        f"Money in {found['currency']}."
    )
    if left:
        console.print(f"{left} more rules had no hit; --all shows them.")


def _print_rule(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    [one], currency, money = found["rules"], found["currency"], _money_of(found)
    about = ", ".join(one["event_types"])
    console.print(f"{one['rule_id']}{_standing(one)} ({about}) {_attention(one)}")
    declined = f"declined {money(one['declined_amount_minor'])} in {one['declined']:,} decisions"
    abusive, honest = money(one["abusive_amount_minor"]), money(one["honest_amount_minor"])
    rows = (
        ("hits", f"{sum(one['hits'].values()):,} of {one['evaluated']:,} decisions"),
        ("last hit", _day(one["last_hit_at"])),
        ("unknown", f"{one['unknown']:,}, errors {one['errors']:,}"),
        ("money of hits", f"{money(one['amount_minor'])} {currency}, {declined}"),
        ("precision", _share(one["precision"])),
        ("recall", f"{_share(one['recall'])}, {one['caught_alone']:,} by it alone"),
        ("false alarms", _share(one["false_alarms"])),
        ("money with a label", f"{abusive} abusive, {honest} honest"),
        ("drift", _drift(one["drift"])),
    )
    for name, text in rows:
        console.print(f"  {name:<20}{text}")
    table = Table("day (UTC)", "decisions", "hits", "abusive", "honest", box=None)
    for day in one["days"]:
        table.add_row(
            day["day"], f"{day['evaluated']:,}", f"{day['hits']:,}", f"{day['abusive']:,}",
            f"{day['honest']:,}",
        )  # fmt: skip
    console.print(table)


def _standing(one: dict[str, Any]) -> str:
    return "" if one["is_live"] else " (not live)"


def _attention(one: dict[str, Any]) -> str:
    recent, before = one["drift"]["recent"], one["drift"]["before"]
    texts = {
        "silent": f"went silent: no hit in the last {recent['of']:,} decisions, "
        f"{(before['share'] or 0) * recent['of']:.0f} were to be expected",
        "sudden": f"suddenly fires: {recent['count']:,} hits in the last {recent['of']:,} "
        f"decisions, {before['count']:,} in {before['of']:,} before",
        "never_hit": f"never hit in {one['evaluated']:,} decisions",
        "often_unknown": f"is often unknown: {one['unknown']:,} of {one['evaluated']:,} decisions",
    }
    return "; ".join(texts[flag] for flag in one["flags"])


def _share(share: dict[str, Any], *, of: bool = True) -> str:
    """Return a share for people.

    >>> _share({"count": 5, "of": 100, "share": 0.05, "low": 0.022, "high": 0.112})
    '5.0 % (2.2-11.2) /100'
    """
    if share["share"] is None:
        return ""
    if not of:
        return f"{share['share'] * 100:.2f} %"
    low, high = share["low"] * 100, share["high"] * 100
    return f"{share['share'] * 100:.1f} % ({low:.1f}-{high:.1f}) /{share['of']:,}"


def _drift(drift: dict[str, Any]) -> str:
    if drift["ratio"] is None:
        return "new" if drift["recent"]["count"] else ""
    return f"{drift['ratio']:.1f} times"


def _money_of(found: dict[str, Any]) -> Callable[[int], str]:
    """Return how amounts are written: whole units of the base currency."""
    unit = 10 ** found["minor_units"]
    return lambda minor: f"{minor / unit:,.0f}"


def _day(at: str | None) -> str:
    if at is None:
        return "never"
    return datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M")
