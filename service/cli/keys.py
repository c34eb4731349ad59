"""Who may call the API? `touchstone keys create | list | revoke`; for key files: `key_files.py`.

Works on the machine of the service. Whoever may run this can act as anybody, so what is done here
is in the ledger, with the machine's user.
"""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.key_files import files, new_file
from service.cli.limit_options import (
    LIMITS,
    BusinessLines,
    EventTypes,
    Regions,
    limits_text,
    names_of,
)
from service.cli.options import Var

keys_app = typer.Typer(help="API keys, and files of keys.", no_args_is_help=True)
keys_app.command("new-file")(new_file)
keys_app.command("files")(files)


@keys_app.command("create")
def create(
    name: Annotated[
        str | None, typer.Option(help="What the key is for. Default: the person")
    ] = None,
    scopes: Annotated[
        str,
        typer.Option(
            help="What it may do: score,events:write,decisions:read. "
            "Default for a person: what the person's roles allow",
        ),
    ] = "",
    person: Annotated[
        str | None, typer.Option(help="Whose key it is; without, it is a program's")
    ] = None,
    event_types: EventTypes = None,
    business_lines: BusinessLines = None,
    regions: Regions = None,
    var: Var = None,
) -> None:
    """Make an API key and print it, alone, on standard output. It cannot be shown again."""
    from features.event_types import EVENT_TYPES
    from service.actions import Actions
    from service.api_key import ApiKeyError, KeyHash, check_scopes, create_key
    from service.cli.recording import on_this_machine, with_actions
    from service.people.limits import limits_of
    from service.secrets_files import ensure_keys, read_keys
    from service.settings import load_settings

    settings = load_settings(var)
    wanted = names_of(scopes) or []
    if wanted or person is None:
        check_scopes(wanted)
    limits = limits_of(names_of(event_types), names_of(business_lines), names_of(regions))
    for event_type in limits.event_types or ():
        if event_type not in EVENT_TYPES:
            raise ApiKeyError(f"there is no event type {event_type}: {', '.join(EVENT_TYPES)}")
    ensure_keys(settings)
    hashed = KeyHash(read_keys(settings).tag)

    async def act(actions: Actions) -> str:
        async with actions.action("keys.create", on_this_machine()) as action:
            made, key = await create_key(
                action.connection,
                hashed,
                name or person or "",
                wanted,
                person=person,
                limits=limits,
            )
            action.who |= {"name": made.name, "person": made.person}
            action.what |= {"key": made.key_id, "scopes": wanted, "limits": limits.lists()}
        return key

    typer.echo(with_actions(settings, act, begins=True))


@keys_app.command("list")
def list_(var: Var = None) -> None:
    """Show every API key: id, name, whose, scopes at the moment, limits, whether it is revoked."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from service.api_key import list_keys
    from service.cli.database import with_database
    from service.settings import load_settings

    table = Table("id", "name", "person", "scopes", "limits", "created (UTC)", "state", box=None)
    for key in with_database(load_settings(var), list_keys):
        table.add_row(
            key.key_id,
            Text(key.name),
            key.person or "-",
            ",".join(sorted(key.scopes)) or "-",
            limits_text(dict(zip(LIMITS, key.limits.lists(), strict=True))),
            f"{key.created_at:%Y-%m-%d %H:%M}",
            f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "good",
        )
    Console(soft_wrap=True).print(table)


@keys_app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id that `keys list` shows")],
    var: Var = None,
) -> None:
    """Revoke an API key for good; running services refuse it within two seconds."""
    from service.actions import Actions
    from service.api_key import key_id_of, revoke_key
    from service.cli.recording import on_this_machine, with_actions
    from service.settings import load_settings

    # People paste the whole key too.
    chosen = key_id_of(key_id) or key_id

    async def act(actions: Actions) -> None:
        async with actions.action("keys.revoke", on_this_machine()) as action:
            await revoke_key(action.connection, chosen)
            action.what["key"] = chosen

    with_actions(load_settings(var), act)
    typer.echo(f"revoked {chosen}")
