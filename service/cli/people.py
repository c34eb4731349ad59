"""Who may do what? `touchstone people init | me | list | request | requests | approve | ...`.

`init` works on the machine, once; everything else goes through the API with a key of one's own, as
nobody decides alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.api_client import Key, Url
from service.cli.limit_options import BusinessLines, EventTypes, Regions, limits_text, names_of
from service.cli.options import Var

if TYPE_CHECKING:
    from service.cli.api_client import ApiClient

people_app = typer.Typer(help="People, their roles and limits.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(metavar="ID", help="The number that `requests` shows")]


@people_app.command("init")
def init(
    admins: Annotated[
        list[str], typer.Argument(metavar="ADMIN ADMIN...", help="Two admins or more")
    ],
    var: Var = None,
) -> None:
    """Make the first people, all of them admins; works once, where there is nobody yet.

    Make each a key then, `touchstone keys create --person NAME`: they let everybody else in. With
    three admins one can leave.
    """
    from service.actions import Actions
    from service.cli.recording import on_this_machine, with_actions
    from service.people.first import first_people
    from service.settings import load_settings

    async def act(actions: Actions) -> None:
        who = {**on_this_machine(), "people": ",".join(admins)}
        async with actions.action("people.first", who, roles=["admin"]) as action:
            await first_people(action.connection, {admin: ["admin"] for admin in admins})

    with_actions(load_settings(var), act, begins=True)
    typer.echo(f"admins: {', '.join(admins)}. Next: touchstone keys create --person {admins[0]}")


@people_app.command("me")
def me(key: Key = "", url: Url = None, var: Var = None) -> None:
    """Show whose key this is, and what it may do."""
    known = _client(key, url, var).get("/v1/me")
    for name in ("actor", "key_id"):
        typer.echo(f"{name.partition('_')[0]:8}{known[name]}")
    typer.echo(f"{'roles':8}{', '.join(known['roles']) or '-'}")
    typer.echo(f"{'scopes':8}{', '.join(known['scopes']) or '-'}")
    typer.echo(f"{'limits':8}{limits_text(known['limits'])}")


@people_app.command("roles")
def roles(key: Key = "", url: Url = None, var: Var = None) -> None:
    """Show the roles and what each allows."""
    rows = _client(key, url, var).get("/v1/roles")
    _show(
        ("role", "who", "scopes"),
        ((row["name"], row["description"]["en"], ", ".join(row["scopes"])) for row in rows),
    )


@people_app.command("list")
def list_(key: Key = "", url: Url = None, var: Var = None) -> None:
    """Show everybody with roles, limits and how many good keys they have."""
    rows = _client(key, url, var).get("/v1/people")
    _show(
        ("person", "roles", "limits", "keys"),
        (
            (row["id"], ", ".join(row["roles"]) or "-", limits_text(row["limits"]), row["keys"])
            for row in rows
        ),
    )


@people_app.command("request")
def request(  # noqa: PLR0913  the options of a command
    person: Annotated[str, typer.Argument(help="Whose roles; who is not there yet is made")],
    reason: Annotated[str, typer.Option(help="Why")],
    role: Annotated[
        list[str] | None,
        typer.Option(help="A role the person shall have; again for more. None: all are taken away"),
    ] = None,
    event_types: EventTypes = None,
    business_lines: BusinessLines = None,
    regions: Regions = None,
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Ask for all roles and limits that a person shall have; another admin approves."""
    body = {
        "person": person,
        "roles": role or [],
        "reason": reason,
        "limits": {
            "event_types": names_of(event_types),
            "business_lines": names_of(business_lines),
            "regions": names_of(regions),
        },
    }
    asked = _client(key, url, var).post("/v1/role-requests", body)
    typer.echo(
        f"request {asked['id']}: another admin runs `touchstone people approve {asked['id']}`"
    )


@people_app.command("requests")
def requests(
    is_all: Annotated[bool, typer.Option("--all", help="Also those that were decided")] = False,
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Show the requests that wait for a decision, newest first."""
    found = _client(key, url, var).get("/v1/role-requests", open=not is_all)
    _show(
        ("id", "person", "roles", "limits", "asked by", "state", "why"),
        (
            (
                row["id"],
                row["person"],
                ", ".join(row["roles"]) or "none",
                limits_text(row["limits"]),
                row["requested_by"],
                row["state"] + (f" by {row['decided_by']}" if row["decided_by"] else ""),
                row["reason"],
            )
            for row in found
        ),
    )


@people_app.command("approve")
def approve(number: Number, key: Key = "", url: Url = None, var: Var = None) -> None:
    """Approve what another admin asked for, and what does not concern yourself."""
    _decide(_client(key, url, var), number, "approve")


@people_app.command("refuse")
def refuse(number: Number, key: Key = "", url: Url = None, var: Var = None) -> None:
    """Refuse what another admin asked for."""
    _decide(_client(key, url, var), number, "refuse")


@people_app.command("withdraw")
def withdraw(number: Number, key: Key = "", url: Url = None, var: Var = None) -> None:
    """Take back what you asked for yourself."""
    _decide(_client(key, url, var), number, "withdraw")


def _decide(client: ApiClient, number: int, decision: str) -> None:
    decided = client.post(f"/v1/role-requests/{number}/{decision}")
    roles = ", ".join(decided["roles"]) or "no roles"
    typer.echo(f"{decided['state']}: {decided['person']}, {roles}")


def _client(key: str, url: str | None, var: Any) -> ApiClient:
    from service.cli.api_client import ApiClient
    from service.settings import load_settings

    return ApiClient(load_settings(var), url, key)


def _show(columns: tuple[str, ...], rows: Any) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))  # no markup in what people wrote
    Console(soft_wrap=True).print(table)
