"""What is held about a person? `touchstone subject export`, for a request of the person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.cli.api_client import Key, Url
from service.cli.options import Var
from service.cli.persons import HELP, Purpose, read_identifiers

subject_app = typer.Typer(help="What is held about a person.", no_args_is_help=True)


@subject_app.callback()
def about() -> None:
    """What is held about a person."""


@subject_app.command("export", help=f"Write everything that is held about a person. {HELP}")
def export(
    purpose: Purpose,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write")],
    page: Annotated[
        bool, typer.Option("--html", help="A page for the person, instead of JSON")
    ] = False,
    language: Annotated[str, typer.Option(help="Of the page: en or zh")] = "en",
    despite_restriction: Annotated[
        bool,
        typer.Option(
            "--despite-restriction",
            help="The person asks for it although reading about them is restricted",
        ),
    ] = False,
    *,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    import contextlib
    import os

    from service.cli.ledger_erase import client_of

    body = {
        "identifiers": read_identifiers(),
        "purpose": purpose,
        "format": "html" if page else "json",
        "language": language,
        "despite_restriction": despite_restriction,
    }
    fresh = out.with_name(f"{out.name}.writing")
    try:
        # Before it is asked for, which is recorded. Of nobody else's business on this machine.
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            answer = client_of(url, key, var).call("POST", "/v1/audit/subjects/export", body=body)
            file.write(answer)
        fresh.replace(out)
    except OSError as error:
        raise typer.BadParameter(f"{out} cannot be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
    typer.echo(f"{out} has what is held about the person: {len(answer)} bytes")
