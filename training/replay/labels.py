"""How does the service learn what the replayed events were?

A source that knows the truth tells it after the decision, through `POST /v1/labels`, as a shop's
own system would; so rules can be judged, and suggested, on what was replayed.
"""

from __future__ import annotations

from service.cli.api_client import ApiClient
from training.labelled import Json, Labelled

SOURCES = {1: "confirmed_abuse", 0: "good_customer"}
BATCH = 500


class LabelSender:
    """Collects the labels of answered events and sends them in batches; `flush` sends the rest."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._waiting: list[Json] = []
        self.sent = 0

    def add(self, item: Labelled) -> None:
        """Note an event that was answered. Raises `ApiRefused` when a batch is refused."""
        if item.label is None:
            return
        self._waiting.append({"event_id": item.event["event_id"], "source": SOURCES[item.label]})
        if len(self._waiting) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Send what waits. Raises `ApiRefused`."""
        if self._waiting:
            self._client.post("/v1/labels", {"labels": self._waiting})
            self.sent += len(self._waiting)
            self._waiting = []
