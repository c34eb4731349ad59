"""What does `touchstone train` do? A source to a table, that to a bundle, the bundle made live."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

import features.catalog
from features.catalog import Catalog
from features.geo import GeoTable
from features.money import CurrencyTable
from service.native_model import open_library
from service.settings import Settings, ShopSettings
from training.bundle_writer import make_current, write_bundle
from training.console import bar
from training.dataset import Table, build_table
from training.sources import LABELLED, Stream, UnknownSource, open_source
from training.train import TREES, Trained, train


def currencies_of(shop: ShopSettings) -> CurrencyTable:
    """Return the table that the service would use with these settings."""
    return CurrencyTable(shop.base_currency, shop.units_of_minor(), shop.rates_to_base())


def catalog_of(settings: Settings) -> Catalog:
    """Load the catalog that the service would use with these settings."""
    return Catalog.load(settings.catalog or features.catalog.DEFAULT_PATH)


def train_bundle(
    settings: Settings, console: Console, *, source: str, events: int | None, seed: int,
    until: datetime,
) -> tuple[Trained, Path]:  # fmt: skip
    """Train on a source, write the bundle under the settings' `var` and make it current.

    Raises `UnknownSource`, `DataMissing`, `TooFewEvents`, `ModelUnusable` and the catalog's errors.
    """
    if source not in LABELLED:
        raise UnknownSource(
            f"{source!r} has no labels to train on; there are: {', '.join(LABELLED)}"
        )
    open_library()  # says what is missing before minutes of reading, and more clearly
    catalog = catalog_of(settings)
    stream = open_source(source, events=events, seed=seed, until=until)
    table = table_of(stream, settings, catalog, console)
    with bar(console, "Growing trees", TREES) as grown:
        trained = train(table, catalog, source=source, seed=seed, progress=grown)
    directory = write_bundle(settings.var, trained)
    make_current(settings.var, directory)
    return trained, directory


def table_of(stream: Stream, settings: Settings, catalog: Catalog, console: Console) -> Table:
    """Walk a stream with a progress bar."""
    with bar(console, f"Reading {stream.name}", stream.count) as done:
        currencies = currencies_of(settings.shop)
        geo = GeoTable.open(**settings.geo_paths())
        return build_table(stream.events, catalog, currencies, done, geo)


def show_training(console: Console, trained: Trained, directory: Path) -> None:
    """Print what was learned from what, and how well it did on the later slice."""
    metrics: dict[str, Any] = trained.manifest.metrics
    table = RichTable(box=box.SIMPLE_HEAD, title=f"Model from {metrics['source']}")
    for column in ("part", "from", "to"):
        table.add_column(column)
    for column in ("events", "abusive"):
        table.add_column(column, justify="right")
    for part in ("train", "calibrate", "test"):
        row = metrics[part]
        table.add_row(
            part,
            str(row.get("from", "-"))[:10],
            str(row.get("to", "-"))[:10],
            str(row["events"]),
            str(row["abusive"]),
        )
    console.print(table)
    test = metrics["test"]
    console.print(
        f"On the later part: AUC {_shown(test['auc'])}, PR-AUC {_shown(test['pr_auc'])}, "
        f"Brier {_shown(test['brier'])}, "
        f"recall at 1 % false positives {_shown(test['recall_at_1pct_fpr'])}",
        highlight=False,
        soft_wrap=True,
    )
    shown = os.path.relpath(directory.parent)
    if shown.startswith(os.pardir):
        shown = str(directory.parent)
    console.print(f"Bundle {directory.name} is current in {shown}", highlight=False, soft_wrap=True)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
