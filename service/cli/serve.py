"""How is the service started by hand? `touchstone serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.options import Var


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port, 0 for any free one", show_default="8000"),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Worker processes")] = 1,
    var: Var = None,
) -> None:
    """Run the service until Ctrl-C, with its own Valkey and PostgreSQL unless URLs are set."""
    from service.serve import Serving
    from service.serve import serve as run
    from service.settings import load_settings

    settings = load_settings(var)
    changed = {"host": host, "port": port}
    http = settings.http.model_copy(
        update={name: value for name, value in changed.items() if value is not None}
    )

    def ready(serving: Serving) -> None:
        plural = "" if workers == 1 else "s"
        typer.echo(f"Touchstone listens on {serving.url} ({workers} worker{plural}). Ctrl-C stops.")

    if not run(settings.model_copy(update={"http": http}), workers=workers, on_ready=ready):
        raise typer.Exit(1)
