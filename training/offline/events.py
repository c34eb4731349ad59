"""How do files of raw events become a history?

Each body goes through the code of the service: parsed, tagged, its fields read. Invariant: a row is
what the service would have kept for that event, had it run with a clock that follows the events;
they are in the order of `occurred_at` (ties as in the files), and an event_id counts once.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import polars as pl

from features.entities import entities_of
from features.event import InvalidEvent, parse_event
from features.fields import fields_of
from features.history import HistoryEvent
from features.money import CurrencyTable
from features.tags import Tagger, derive_tag_keys
from service.clock import epoch_ms
from training.offline.errors import EventsUnusable
from training.offline.history_file import SCHEMA
from training.offline.raw_files import BATCH_ROWS, Body, bodies_in, place_of

MOST_PROBLEMS = 100  # named in one error; nobody reads more before correcting the first
_AHEAD = 4  # batches given to each process before the oldest is waited for
_PARALLEL_FROM = 3 * BATCH_ROWS  # below it, starting processes takes longer than they save

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Converted:
    """What became of some files.

    - `rows`: events in the history; `repeats`: bodies left out because their event_id came before,
      `other`: those of them that say something else (the API answers 409 to such a body).
    - `refused`: bodies left out because the API would refuse them.
    """

    rows: int
    repeats: int
    other: int
    refused: int


class _Batch(NamedTuple):
    frame: pl.DataFrame
    problems: list[tuple[int, str]]


class _Reader:
    """Makes rows of bodies; one in each process."""

    def __init__(self, currencies: CurrencyTable, tag_key: bytes) -> None:
        self._currencies = currencies
        self._tagger = Tagger(derive_tag_keys(tag_key))

    def read(self, bodies: Sequence[Body]) -> _Batch:
        """Give the rows of some bodies, and the problems of those that are no events."""
        rows, occurred, same, problems = [], [], [], []
        for body in bodies:
            try:
                event = parse_event(body.json(), self._currencies)
            except InvalidEvent as error:
                texts = [f"{p.pointer or 'the body'}: {p.detail}" for p in error.problems]
                problems.append((body.place, " ".join(texts)))
                continue
            tagger = self._tagger
            at_ms = epoch_ms(event.occurred_at)
            history = HistoryEvent(
                position=body.place,
                observed_ms=at_ms,
                occurred_ms=at_ms,
                event_tag=tagger.tag("event", event.event_id),
                outcome=None,
                tags=entities_of(event, tagger),
                fields=fields_of(event, self._currencies),
                facts={},
            )
            rows.append(history.row())
            occurred.append(event.occurred_at)
            same.append(tagger.tag("body", event.model_dump_json()))
        frame = pl.DataFrame(rows, schema=SCHEMA).with_columns(
            pl.Series(_AT, occurred, dtype=pl.Datetime("us", "UTC")),
            pl.Series(_BODY, same, dtype=pl.String),
        )
        return _Batch(frame, problems)


# Columns that exist only while a history is made: the exact time, and what tells bodies apart.
_AT, _BODY = "occurred_at", "body_tag"
_reader: _Reader | None = None


def convert_events(
    paths: Sequence[Path],
    out: Path,
    currencies: CurrencyTable,
    tag_key: bytes,
    *,
    skip_refused: bool = False,
    processes: int = 2,
    progress: Progress | None = None,
) -> Converted:
    """Write the history of some files of raw events to a Parquet file.

    Raises `EventsUnusable` with every problem of every row (up to `MOST_PROBLEMS`), unless
    `skip_refused`. Needs memory for the history's own rows (about 0.5 kB each).
    """
    problems: list[str] = []
    refused = read = 0
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        for number, (path, batch) in enumerate(_read(paths, currencies, tag_key, processes)):
            refused += len(batch.problems)
            problems += [f"{place_of(path, place)}: {text}" for place, text in batch.problems]
            if len(problems) >= MOST_PROBLEMS and not skip_refused:
                break
            batch.frame.write_parquet(Path(folder) / f"{number:08}.parquet")
            read += batch.frame.height + len(batch.problems)
            if progress is not None:
                progress(read)
        if problems and not skip_refused:
            raise EventsUnusable(_listed(problems))
        if read == refused:
            raise EventsUnusable(f"there are no events in {', '.join(map(str, paths))}")
        rows = pl.concat(
            [pl.read_parquet(part) for part in sorted(Path(folder).iterdir())], rechunk=True
        )
    ordered = rows.sort(_AT, maintain_order=True)
    kept = ordered.unique("event_tag", keep="first", maintain_order=True)
    other = ordered.select("event_tag", _BODY).unique().height - kept.height
    kept.with_columns(position=pl.int_range(1, pl.len() + 1, dtype=pl.Int64)).select(
        *SCHEMA
    ).write_parquet(out)
    return Converted(kept.height, ordered.height - kept.height, other, refused)


def _read(
    paths: Sequence[Path], currencies: CurrencyTable, tag_key: bytes, processes: int
) -> Iterator[tuple[Path, _Batch]]:
    """Yield what each batch of bodies gave, in order; several processes work side by side."""
    batches = ((path, batch) for path in paths for batch in bodies_in(path))
    first = list(islice(batches, _PARALLEL_FROM // BATCH_ROWS))
    reader = _Reader(currencies, tag_key)
    if processes < 2 or len(first) < _PARALLEL_FROM // BATCH_ROWS:
        for path, bodies in (*first, *batches):
            yield path, reader.read(bodies)
        return
    context = multiprocessing.get_context("spawn")  # Polars' threads do not survive a fork
    with ExitStack() as stack:
        pool = stack.enter_context(
            ProcessPoolExecutor(processes, context, _start, (currencies, tag_key))
        )
        stack.callback(pool.shutdown, cancel_futures=True)
        waiting: list[tuple[Path, Future[_Batch]]] = []
        for path, bodies in _chained(first, batches):
            waiting.append((path, pool.submit(_work, bodies)))
            if len(waiting) > processes * _AHEAD:
                done, future = waiting.pop(0)
                yield done, future.result()
        for path, future in waiting:
            yield path, future.result()


def _chained(
    first: Iterable[tuple[Path, list[Body]]], rest: Iterator[tuple[Path, list[Body]]]
) -> Iterator[tuple[Path, list[Body]]]:
    yield from first
    yield from rest


def _start(currencies: CurrencyTable, tag_key: bytes) -> None:
    global _reader  # noqa: PLW0603 - one for each process, made once
    _reader = _Reader(currencies, tag_key)


def _work(bodies: list[Body]) -> _Batch:
    assert _reader is not None
    return _reader.read(bodies)


def _listed(problems: Sequence[str]) -> str:
    shown = "\n".join(f"- {problem}" for problem in problems[:MOST_PROBLEMS])
    more = " at least" if len(problems) >= MOST_PROBLEMS else ""
    return (
        f"{len(problems)}{more} event(s) that the API would refuse:\n{shown}\n"
        "Correct them, or leave them out with --skip-refused."
    )
