"""Which commands make profiles? `touchstone profiles build | validate | …`.

What they need is imported when they run: Feast takes four seconds, Great Expectations three.
Invariant: nothing is materialised that has not passed its gates in the same command.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.options import Var

if TYPE_CHECKING:
    from features.catalog import ProfileFeature
    from service.settings import Settings
    from training.labels import Labels
    from training.profiles.layout import Build, Layout

profiles_app = typer.Typer(
    help="Profiles: what is known of users and devices in the long run.", no_args_is_help=True
)

_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]

BuildName = Annotated[
    str | None,
    typer.Option("--build", metavar="NAME", help="Which build", show_default="the newest"),
]
GatesFile = Annotated[
    Path | None,
    typer.Option("--gates", exists=True, dir_okay=False, help="Your own limits, in YAML"),
]
Now = Annotated[
    datetime | None,
    typer.Option("--now", formats=_TIMES, help="Judge freshness as of this time (UTC)"),
]


@profiles_app.command()
def build(
    history: Annotated[
        Path,
        typer.Option(
            exists=True, help="Events of the past: Parquet of `touchstone features extract`"
        ),
    ],
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=_TIMES,
            help="Only what was observed before it (UTC)",
            show_default="the last midnight",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Labels; those of chargebacks are counted"),
    ] = None,
    label_delays: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Your own delays of labels, in YAML"),
    ] = None,
    var: Var = None,
) -> None:
    """Make a build from a history; decisions do not see it before `materialize`."""
    from training.console import bar, messages, results
    from training.profiles.build import build_profiles

    now = datetime.now(UTC)
    settings, layout = _opened(var)
    known = None if labels is None else _labels(settings, labels, label_delays)
    with bar(messages(), "Building profiles", 2) as done:
        made = build_profiles(
            layout,
            history,
            as_of=_utc(as_of) or now.replace(hour=0, minute=0, second=0, microsecond=0),
            created=now,
            labels=known,
            progress=done,
        )
    out = results()
    out.print(f"Build {made.name}, {made.events} events", highlight=False)
    for name, counts in made.views.items():
        out.print(
            f"  {name}: {counts.profiles} profiles, {counts.rows} rows for training",
            highlight=False,
        )


@profiles_app.command()
def validate(
    name: BuildName = None, gates: GatesFile = None, now: Now = None, var: Var = None
) -> None:
    """Check a build against its gates; fails with the list of those that it does not pass."""
    layout = _opened(var)[1]
    _validated(layout, _chosen(layout, name), gates, now)


@profiles_app.command()
def materialize(
    name: BuildName = None, gates: GatesFile = None, now: Now = None, var: Var = None
) -> None:
    """Check a build, then make it the one that decisions read, all of it at once."""
    from training.console import bar, messages, results
    from training.profiles.materialize import materialize as write

    settings, layout = _opened(var)
    chosen = _chosen(layout, name)
    _validated(layout, chosen, gates, now)
    with _online_url(settings) as url, bar(messages(), "Writing profiles", 2) as done:
        hours = settings.profiles.max_age_hours
        marker = write(layout, chosen, url, max_age_hours=hours, progress=done)
    count = sum(marker.rows.values())
    results().print(f"Decisions read {marker.generation}: {count} profiles", highlight=False)


@profiles_app.command()
def join(
    history: Annotated[
        Path, typer.Option(exists=True, help="The history that the build was made of")
    ],
    out: Annotated[Path, typer.Option(dir_okay=False, help="Parquet file to write")],
    name: BuildName = None,
    var: Var = None,
) -> None:
    """Write the profiles that each event of a history would have met when it was decided."""
    from training.console import bar, messages, results
    from training.profiles.join import join_history

    settings, layout = _opened(var)
    chosen = _chosen(layout, name)
    with bar(messages(), f"Joining {chosen.name}", 1) as done:
        rows = join_history(history, layout.directory(chosen.name), _wanted(settings), out)
        done(1)
    results().print(f"Profiles of {rows} events: {out}", highlight=False, soft_wrap=True)


@profiles_app.command()
def status(var: Var = None) -> None:
    """Show which build decisions read, how old it is, and what else there is."""
    from training.console import results
    from training.profiles.status import show_status

    settings, layout = _opened(var)
    with _online_url(settings) as url:
        hours = settings.profiles.max_age_hours
        show_status(results(), layout, url, datetime.now(UTC), hours)


def _validated(layout: Layout, chosen: Build, gates: Path | None, now: datetime | None) -> None:
    """Run the gates, write their page, and raise `GatesFailed` unless all were kept."""
    from training.console import bar, messages, results
    from training.profiles.errors import GatesFailed
    from training.profiles.gates import DEFAULT_GATES, check_gates, failures
    from training.profiles.report import write_report

    path = gates or DEFAULT_GATES
    with bar(messages(), f"Checking {chosen.name}", 3) as done:
        findings = check_gates(layout, chosen, _utc(now) or datetime.now(UTC), path, done)
    page = write_report(layout, chosen, findings, path)
    messages().print(f"What was found: {page}", highlight=False, soft_wrap=True)
    failed = failures(findings)
    if failed:
        raise GatesFailed(chosen.name, failed)
    results().print(f"{chosen.name}: all {len(findings)} gates passed", highlight=False)


def _opened(var: Path | None) -> tuple[Settings, Layout]:
    from service.settings import load_settings
    from training.profiles.layout import Layout

    settings = load_settings(var)
    return settings, Layout(settings.var)


def _labels(settings: Settings, path: Path, delays: Path | None) -> Labels:
    from features.tags import Tagger, derive_tag_keys
    from service.secrets_files import ensure_keys, read_keys
    from training.labels import read_delays, read_labels

    ensure_keys(settings)
    tagger = Tagger(derive_tag_keys(read_keys(settings).tag))
    return read_labels(path, tagger, read_delays(delays) if delays else read_delays())


def _wanted(settings: Settings) -> tuple[ProfileFeature, ...]:
    from training.command_train import catalog_of

    return catalog_of(settings).profiles


def _chosen(layout: Layout, name: str | None) -> Build:
    return layout.newest() if name is None else layout.load(name)


@contextmanager
def _online_url(settings: Settings) -> Iterator[str]:
    """Yield where the online store is; a server that is started for a command ends with it."""
    from service.embedded import attach_or_start
    from training.profiles.errors import StoreAway

    if settings.valkey.url is not None:
        yield settings.valkey.url
        return
    with attach_or_start(settings.var, postgres=False) as urls:
        if urls.valkey_url is None:
            raise StoreAway(
                f"the service on {settings.var} uses a Valkey of its own: "
                "set TOUCHSTONE_VALKEY__URL as it does"
            )
        yield urls.valkey_url


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.replace(tzinfo=UTC)
