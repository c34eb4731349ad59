"""Who may call the API? `touchstone keys create | list | revoke`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from service.cli.options import Var

keys_app = typer.Typer(help="API keys.", no_args_is_help=True)


@keys_app.command("create")
def create(
    name: Annotated[str, typer.Option(help="Who the key is for")],
    scopes: Annotated[str, typer.Option(help="What it may do: score,events:write,decisions:read")],
    var: Var = None,
) -> None:
    """Make an API key and print it, alone, on standard output. It cannot be shown again."""
    from service.api_key import KeyHash, check_scopes, create_key
    from service.cli.database import with_database
    from service.secrets_files import ensure_keys, read_keys
    from service.settings import load_settings

    settings = load_settings(var)
    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    check_scopes(wanted)
    ensure_keys(settings)
    hashed = KeyHash(read_keys(settings).tag)

    async def act(connection: Any) -> str:
        return (await create_key(connection, hashed, name, wanted))[1]

    typer.echo(with_database(settings, act))


@keys_app.command("list")
def list_(var: Var = None) -> None:
    """Show every API key: id, name, scopes, when it was made, whether it is revoked."""
    from rich.console import Console
    from rich.table import Table

    from service.api_key import list_keys
    from service.cli.database import with_database
    from service.settings import load_settings

    table = Table("id", "name", "scopes", "created (UTC)", "state", box=None)
    for key in with_database(load_settings(var), list_keys):
        table.add_row(
            key.key_id,
            key.name,
            ",".join(sorted(key.scopes)),
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
    from service.api_key import key_id_of, revoke_key
    from service.cli.database import with_database
    from service.settings import load_settings

    # People paste the whole key too.
    chosen = key_id_of(key_id) or key_id

    async def act(connection: Any) -> None:
        await revoke_key(connection, chosen)

    with_database(load_settings(var), act)
    typer.echo(f"revoked {chosen}")
