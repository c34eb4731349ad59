"""How do rules get into the service and out of it? `touchstone rules pull | push | set | history`.

Through the API, with a key of one's own: the service knows who wrote what.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.api_client import Key, Url
from service.cli.options import Var
from service.cli.rule_files import NoRuleSet, short

if TYPE_CHECKING:
    from service.cli.api_client import ApiClient

FAILED = 1

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Where the files are")]
Note = Annotated[
    str, typer.Option("--note", "-m", help="Why, in a line; kept for ever, no personal data")
]


def client_of(key: str, url: str | None, var: Path | None) -> ApiClient:
    """Return what talks to the service."""
    from service.cli.api_client import ApiClient
    from service.settings import load_settings

    return ApiClient(load_settings(var), url, key)


def pull(
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="A version, live, previous, latest or shipped")
    ],
    directory: Directory,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Also when the directory holds other rules")
    ] = False,
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Write the files of a version into a directory, byte for byte, to be changed and pushed."""
    from rules.files import RuleSetFiles
    from service.cli.api_client import path
    from service.cli.rule_files import SHIPPED_NAME, remember, set_files

    client = client_of(key, url, var)
    files = RuleSetFiles.of(client.get(path("v1", "rule-sets", version, "files"))["files"])
    there = set_files(directory)
    others = [
        name
        for name, place in there.items()
        if files.texts.get(name, "").encode() != place.read_bytes()
    ]
    if others and not overwrite:
        raise NoRuleSet(
            f"{directory} holds other rules ({', '.join(others[:3])}"
            f"{', ...' if len(others) > 3 else ''}): take another directory, or --overwrite"
        )
    for name in there.keys() - files.texts.keys():
        there[name].unlink()
    directory.mkdir(parents=True, exist_ok=True)
    files.write(directory)
    # What comes with the release is not a version of this shop: changes are made to what is live.
    made_from = files.version
    if version == SHIPPED_NAME:
        made_from = client.get(path("v1", "rule-sets", "live", "files"))["version"]
    remember(directory, made_from)
    typer.echo(f"{short(files.version)}: {len(files.texts)} files in {directory}")
    typer.echo(
        f"next: change them, then touchstone rules check {directory}, "
        f"touchstone rules push {directory} -m 'why'"
    )


def push(
    directory: Directory,
    note: Note = "",
    parent: Annotated[
        str | None,
        typer.Option(help="What it was made from. Default: the version pulled, else live"),
    ] = None,
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Store the files of a directory as a version, and check it. Changes nothing that is live."""
    from service.cli.rule_files import files_at, pulled_version, remember
    from service.settings import load_settings

    client = client_of(key, url, var)
    files = files_at(f"{directory}/", load_settings(var), lambda: client)
    made_from = parent or pulled_version(directory) or "live"
    body = {"files": dict(files.texts), "parent": made_from, "note": note}
    pushed = client.post("/v1/rule-sets", body)
    remember(directory, files.version)
    say_pushed(client, pushed, directory=str(directory))


def set_(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="The id of a rule, table or card")],
    parameter: Annotated[str, typer.Argument(metavar="PARAMETER")],
    value: Annotated[str, typer.Argument(metavar="VALUE", help="As YAML writes it")],
    version: Annotated[
        str, typer.Option("--from", help="The version to change, such as latest")
    ] = "live",
    note: Note = "",
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Give a rule's parameter another value, within its bounds: a draft, without an editor."""
    from service.cli.api_client import path

    client = client_of(key, url, var)
    body = {"rule": rule, "parameter": parameter, "value": _value(value), "note": note}
    say_pushed(client, client.post(path("v1", "rule-sets", version, "parameters"), body))


def _value(text: str) -> Any:
    """Return what a word of the command line is: a number, true, false, or a text.

    >>> [_value(text) for text in ("3", "0.5", "true", "DE", '"3"')]
    [3, 0.5, True, 'DE', '3']
    """
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, bool | int | float | str) else text


def say_pushed(client: ApiClient, pushed: dict[str, Any], *, directory: str = "DIR") -> None:
    """Tell what was pushed, what is wrong with it, and what to do next."""
    from service.cli.api_client import path
    from service.cli.rules_local import summary

    found, check = pushed["rule_set"], pushed["check"]
    version = short(found["version"])
    for problem in check["problems"]:
        typer.echo(problem["text"] + "\n", err=True)
    known = "" if pushed["is_new"] else f", pushed before by {found['author']}"
    typer.echo(f"{version}  {found['state']}{known}")
    against = pushed["difference"]
    typer.echo(f"  against {short(against['from_version'])}: {summary(against)}")
    live = pushed["live"]
    if live not in (against["from_version"], found["version"]):
        whole = client.get(path("v1", "rule-sets", found["version"], "diff"), against=live)
        typer.echo(f"  against {short(live)}, which is live: {summary(whole)}")
    if not pushed["is_made_from_live"]:
        typer.echo(
            f"  {short(live)} became live since: this may take back what it changed, look at\n"
            f"  touchstone rules diff live {version}"
        )
    if not check["passed"]:
        typer.echo("It has problems and stays a draft.", err=True)
        mend = (
            f"change {directory}" if directory != "DIR" else f"touchstone rules pull {version} DIR"
        )
        typer.echo(f"next: {mend}, then touchstone rules push {directory}", err=True)
        raise typer.Exit(FAILED)
    if found["state"] == "validated":
        typer.echo(f"next: touchstone rules backtest {version}")


def history(
    version: Annotated[
        str | None,
        typer.Argument(metavar="[VERSION]", help="Everything about one version. Default: all"),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many, the newest first")] = 30,
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Show the versions and their states, or what happened to one of them."""
    client = client_of(key, url, var)
    if version is not None:
        _say_version(client, version)
        return
    rows = client.get("/v1/rule-sets", limit=limit)
    _print(
        ("version", "state", "author", "made (UTC)", "from", "rules", "note"),
        [
            (
                short(row["version"]),
                ", ".join(row["states"]),
                row["author"],
                moment(row["created_at"]),
                short(row["parent"]),
                str(row["rules"]),
                row["note"],
            )
            for row in rows
        ],
    )
    shipped = client.get("/v1/rule-sets/shipped/files")["version"]
    if shipped not in {row["version"] for row in rows} and len(rows) < limit:
        typer.echo(
            f"\nThis release comes with rules that are not here yet ({short(shipped)}):\n"
            "  touchstone rules diff live shipped, touchstone rules pull shipped DIR"
        )


def _say_version(client: ApiClient, version: str) -> None:
    from service.cli.api_client import path

    found = client.get(path("v1", "rule-sets", version))
    typer.echo(f"version   {found['version']}")
    typer.echo(f"state     {', '.join(found['states'])}")
    typer.echo(f"made      {moment(found['created_at'])} by {found['author']}: {found['note']}")
    typer.echo(f"from      {found['parent'] or '-'}")
    if found["authors"]:
        typer.echo(f"authors   {', '.join(found['authors'])} (none of them may approve it)")
    check = found["check"]
    typer.echo(
        "check     "
        + (
            f"touchstone rules check {short(found['version'])}: not made with this catalog"
            if check is None
            else f"{'passed' if check['passed'] else 'failed'}, {check['rules']} rules, "
            f"{check['examples']} examples"
        )
    )
    typer.echo(f"backtest  {found['backtest_id'] or 'none that is done against what is live'}\n")
    _print(
        ("when (UTC)", "what", "who", "note"),
        [(moment(one["at"]), one["what"], one["actor"], one["note"]) for one in found["history"]],
    )


def moment(text: str) -> str:
    """Return a time as people read it, in UTC.

    >>> moment("2026-11-22T08:15:30.412+00:00")
    '2026-11-22 08:15:30'
    """
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"


def _print(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*heads, box=None)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(soft_wrap=True).print(table)
