"""What does a feature look like over a data set? `touchstone features plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.options import Var

if TYPE_CHECKING:
    from training.plot.distribution import Distribution, Numbers

MOST = 200  # features in one page


def plot(
    names: Annotated[
        list[str], typer.Argument(metavar="FEATURE...", help="Names, or `all` for every column")
    ],
    data: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Parquet file made by `touchstone features compute`"),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Directory for the pictures")] = Path(
        "plots"
    ),
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column that tells groups apart. Default: `label` where there is one, "
            "else `event.type`; `-` for no groups",
        ),
    ] = None,
    var: Var = None,
) -> None:
    """Draw the distribution of features: a PNG each, and one HTML page with all of them."""
    from features.catalog import DEFAULT_PATH, Catalog
    from service.settings import load_settings
    from training.plot.distribution import distribution_of
    from training.plot.page import page_of
    from training.plot.picture import draw

    settings = load_settings(var)
    catalog = Catalog.load(settings.catalog or DEFAULT_PATH)
    texts = {entry.name: entry.text for entry in catalog.entries}
    table = _read(data)
    chosen = _chosen(names, table)
    groups = _groups(table, by)
    out.mkdir(parents=True, exist_ok=True)
    pictures: list[tuple[Distribution, bytes]] = []
    for name in chosen:
        distribution = distribution_of(name, _columns(table, name, groups))
        (out / f"{name}.png").write_bytes(draw(distribution, "png"))
        pictures.append((distribution, draw(distribution, "svg")))
    page = out / "index.html"
    page.write_text(page_of(f"Distributions over {data.name}", pictures, texts), encoding="utf-8")
    typer.echo(f"{len(chosen)} pictures of {table.height:,} events in {out}; open {page}")


def _read(data: Path) -> Any:
    import polars as pl

    try:
        return pl.read_parquet(data)
    except FileNotFoundError:
        raise typer.BadParameter(
            f"{data} does not exist; `touchstone features compute --out {data}` makes it"
        ) from None
    except (pl.exceptions.PolarsError, OSError) as error:
        text = str(error).splitlines()[0]
        raise typer.BadParameter(f"{data} is not a Parquet file: {text}") from None


def _chosen(names: list[str], table: Any) -> list[str]:
    from features.problems import did_you_mean

    drawable = [name for name, kind in table.schema.items() if _is_drawable(name, kind)]
    if names == ["all"]:
        return drawable[:MOST]
    for name in names:
        if name in table.columns and name not in drawable:
            raise typer.BadParameter(f"{name} is neither a number nor true or false")
        if name not in drawable:
            hint = did_you_mean(name, drawable)
            raise typer.BadParameter(f"the file has no feature {name}.{hint}")
    return list(dict.fromkeys(names))


def _is_drawable(name: str, kind: Any) -> bool:
    return name not in ("position", "observed_ms", "occurred_ms") and (
        kind.is_numeric() or str(kind) == "Boolean"
    )


def _groups(table: Any, by: str | None) -> dict[str, Any]:
    """Map each group to the mask of its rows."""
    if by is None:
        by = next((name for name in ("label", "event.type") if name in table.columns), "-")
    if by == "-":
        return {"all events": None}
    if by not in table.columns:
        raise typer.BadParameter(f"--by: the file has no column {by}")
    column = table[by].cast(str).fill_null("(none)")
    values = column.unique().sort().to_list()
    if len(values) > 8:
        raise typer.BadParameter(f"--by: {by} has {len(values)} values; 8 are the most to compare")
    words = {"0": "honest", "1": "abusive", "0.0": "honest", "1.0": "abusive", "(none)": "no label"}
    said = words if by == "label" else {}
    return {said.get(value, value): column == value for value in values}


def _columns(table: Any, name: str, groups: dict[str, Any]) -> dict[str, Numbers]:
    import numpy as np
    import polars as pl

    column = table[name].cast(pl.Float64)
    return {
        group: np.asarray((column if mask is None else column.filter(mask)).fill_null(np.nan))
        for group, mask in groups.items()
    }
