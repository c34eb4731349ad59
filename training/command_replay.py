"""What does `touchstone replay` do? Opens a source, sends it, shows the figures."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from itertools import islice

from rich.console import Console

from service.cli.api_client import ApiClient, ApiRefused
from service.settings import load_settings
from training.console import bar
from training.replay.client import KeyRefused, ReplayError
from training.replay.figures import Figures
from training.replay.labels import LabelSender
from training.replay.run import Replay
from training.replay.tables import show
from training.sources import open_source

WRONG_CLOCK_TEXT = (
    "[yellow]The service's clock does not follow the data:[/] its windows mean nothing here. "
    "Start it with TOUCHSTONE_CLOCK=event."
)


def replay_source(  # noqa: PLR0913 - the options of a command
    results: Console,
    messages: Console,
    *,
    source: str,
    url: str,
    key: str,
    limit: int | None = None,
    concurrency: int = 1,
    seed: int = 1,
    with_labels: bool = False,
) -> Figures:
    """Replay a source and print its tables; what was answered before an error is printed too.

    `with_labels`: tell the service what the events were. Raises `UnknownSource`, `DataMissing`,
    `ReplayError` and `ApiRefused`.
    """
    if not key:
        raise KeyRefused(
            "an API key is needed: --key, or TOUCHSTONE_API_KEY; "
            "`touchstone keys create --name replay --scopes score` makes one"
        )
    run = f"r{secrets.token_hex(3)}"
    stream = open_source(source, events=limit, seed=seed, until=datetime.now(UTC), run=run)
    figures = Figures(source)
    replay = Replay(url, key, concurrency=concurrency)
    labels = LabelSender(ApiClient(load_settings(), url, key)) if with_labels else None
    total = stream.count if limit is None else min(limit, stream.count)
    try:
        with bar(messages, f"Replaying {source}", total) as done:
            replay.run(islice(stream.events, limit), figures, done, labels)
    except (ReplayError, ApiRefused):
        if figures.events:
            show(results, figures)
        raise
    if labels is not None:
        messages.print(f"{labels.sent:,} labels sent", highlight=False)
    if not replay.follows_data:
        messages.print(WRONG_CLOCK_TEXT)
    show(results, figures)
    return figures
