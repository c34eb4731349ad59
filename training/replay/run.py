"""How is a stream replayed through the HTTP API?

In time order, one event after another by default. The service must run with
`TOUCHSTONE_CLOCK=event`, or its windows follow the wall clock and mean nothing for old data.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from training.labelled import Json, Labelled
from training.replay.client import Reply, ScoreClient
from training.replay.figures import Figures
from training.replay.labels import LabelSender
from training.replay.lanes import in_lanes

Progress = Callable[[int], None]
"""Called with the number of events answered so far."""

WRONG_CLOCK = timedelta(hours=1)


class Replay:
    """One replay; `stop` ends it early, from any thread."""

    def __init__(self, url: str, key: str, *, concurrency: int = 1) -> None:
        self._url = url
        self._key = key
        self._concurrency = concurrency
        self._stopping = threading.Event()
        self._local = threading.local()
        self._clients: list[ScoreClient] = []
        self.follows_data = True
        """False once the service's clock was seen to be far from the data's."""

    def run(
        self,
        stream: Iterable[Labelled],
        figures: Figures,
        progress: Progress | None = None,
        labels: LabelSender | None = None,
    ) -> Figures:
        """Send every event of the stream and add its answer to the figures.

        With `labels` the service is told what each event was. Raises `ReplayError` and
        `ApiRefused`; the figures then hold what was answered until then.
        """
        try:
            pairs: Iterator[tuple[Labelled, Reply]]
            if self._concurrency == 1:
                pairs = ((item, self._send(item.event)) for item in stream)
            else:
                pairs = in_lanes(stream, self._send, self._concurrency)
            for done, (item, reply) in enumerate(pairs, start=1):
                if done == 1:
                    self._check_clock(item, reply)
                figures.add(item, reply)
                if labels is not None:
                    labels.add(item)
                if progress is not None:
                    progress(done)
                if self._stopping.is_set():
                    break
            if labels is not None:
                labels.flush()
        finally:
            for client in self._clients:
                client.close()
        return figures

    def stop(self) -> None:
        """End the replay after the event that is under way."""
        self._stopping.set()

    def _send(self, event: Json) -> Reply:
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = ScoreClient(self._url, self._key)
            self._clients.append(client)
        return client.score(event)

    def _check_clock(self, item: Labelled, reply: Reply) -> None:
        seen = datetime.fromisoformat(reply.body["observed_at"])
        told = datetime.fromisoformat(item.event["occurred_at"])
        self.follows_data = abs(seen - told) < WRONG_CLOCK
