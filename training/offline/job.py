"""How is one run of `touchstone features compute` carried out?

Raw events become a history, the history becomes features. Invariant: a run that fails leaves no
output file behind, and an existing one untouched.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rich.console import Console

from features.catalog import Catalog
from features.tags import MASTER_KEY_BYTES, Tagger, derive_tag_keys
from service.clock import epoch_ms
from service.secrets_files import read_key
from service.settings import Settings
from training.command_train import catalog_of, currencies_of
from training.console import bar
from training.labels import Labels, LabelsUnusable, read_delays, read_labels
from training.offline.errors import OutputUnusable
from training.offline.events import convert_events
from training.offline.history_file import HistoryFile, open_history
from training.offline.own_features import read_own_features
from training.offline.point_in_time import PointInTime
from training.offline.run import Computed, compute_features


@dataclass(frozen=True, slots=True)
class Job:
    """What to compute; one of `events` and `history` is given."""

    out: Path
    events: tuple[Path, ...] = ()
    history: Path | None = None
    catalog: Path | None = None
    labels: Path | None = None
    label_delays: Path | None = None
    own_features: Path | None = None
    as_of: datetime | None = None
    with_fields: bool = False
    keep_history: Path | None = None
    skip_refused: bool = False
    chunk_rows: int = 250_000


def run_job(job: Job, settings: Settings, results: Console, messages: Console) -> Computed:
    """Compute and say what was done.

    Raises `EventsUnusable`, `HistoryUnusable`, `LabelsUnusable`, `FeaturesUnusable`, `LabelLeak`,
    `OutputUnusable`, and the catalog's and the key file's errors.
    """
    for path in (job.out, job.keep_history):
        if path is not None and not path.parent.is_dir():
            raise OutputUnusable(f"there is no directory {path.parent} to write {path.name} into")
    catalog = Catalog.load(job.catalog) if job.catalog is not None else catalog_of(settings)
    tag_key = tag_key_of(settings)
    beside = _beside(job, Tagger(derive_tag_keys(tag_key)), catalog)
    with tempfile.TemporaryDirectory(dir=job.out.parent, prefix=".compute-") as folder:
        path = job.history or job.keep_history or Path(folder) / "history.parquet"
        if job.history is None:
            _convert(job, path, settings, tag_key, results, messages)
        history = open_history(path, job.chunk_rows)
        if beside.labels is not None:
            _check_names(beside.labels, history)
        with bar(messages, "Computing features", history.rows) as done:
            computed = compute_features(
                history,
                job.out,
                catalog,
                with_fields=job.with_fields,
                until_ms=None if job.as_of is None else epoch_ms(job.as_of),
                beside=beside,
                progress=done,
            )
    labelled = f", {beside.labelled} of them labelled" if beside.labels is not None else ""
    _say(results, f"{computed.features} features of {computed.rows} events{labelled}: {job.out}")
    return computed


def tag_key_of(settings: Settings) -> bytes:
    """Return the service's tag key where there is one.

    Else a fixed one: features only compare tags, so any key gives the same features.
    """
    path = settings.tag_key_path
    return read_key(path) if path.exists() else bytes(MASTER_KEY_BYTES)


def _convert(
    job: Job, path: Path, settings: Settings, tag_key: bytes, results: Console, messages: Console
) -> None:
    with bar(messages, "Reading events", None) as done:
        converted = convert_events(
            job.events,
            path,
            currencies_of(settings.shop),
            tag_key,
            skip_refused=job.skip_refused,
            progress=done,
        )
    _say(results, f"{converted.rows} events read")
    if converted.repeats:
        other = f", {converted.other} of them with another body" if converted.other else ""
        _say(results, f"{converted.repeats} repeats of an event_id left out{other}")
    if converted.refused:
        _say(results, f"{converted.refused} events left out that the API would refuse")


def _beside(job: Job, tagger: Tagger, catalog: Catalog) -> PointInTime:
    labels = own = None
    if job.labels is not None:
        delays = read_delays() | (read_delays(job.label_delays) if job.label_delays else {})
        labels = read_labels(job.labels, tagger, delays)
    if job.own_features is not None:
        own = read_own_features(job.own_features, tagger, catalog)
    return PointInTime(job.as_of, labels, own)


def _check_names(labels: Labels, history: HistoryFile) -> None:
    """Refuse labels of other events altogether: most likely their tags have another key."""
    if labels.rows.height and not history.names_any(labels.rows["event_tag"]):
        raise LabelsUnusable(
            f"{labels.path}: none of the {labels.rows.height} labels names an event of "
            f"{history.path}. If that was made by a service, give its data directory with --var: "
            "event ids are compared as tags under its key."
        )


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)
