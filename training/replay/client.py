"""How is one event sent to the service, and what if it is not taken?

A keep-alive client on the standard library's `http.client`: a fifth of the time of a full HTTP
package for one request after another. Repeats are safe, as `event_id` makes them count once.
"""

from __future__ import annotations

import http.client
import time
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import orjson

from training.labelled import Json

TIMEOUT_SECONDS = 10.0
BUSY_TRIES = 20  # answers of 503 or 429 to one event before giving up
LONGEST_WAIT_SECONDS = 5.0
BROKEN_TRIES = 10  # connections lost in a row, half a second apart: a restart of the service
BROKEN_WAIT_SECONDS = 0.5


class ReplayError(Exception):
    """The replay cannot go on; the text says why, and what may help."""

    code = "replay_failed"


class Unreachable(ReplayError):
    """Nothing answers at the URL."""

    code = "service_unreachable"


class KeyRefused(ReplayError):
    """The API key is unknown, revoked, or lacks the scope."""

    code = "key_refused"


class EventRefused(ReplayError):
    """The service does not take an event; the text holds every problem that it named."""

    code = "event_refused"


class Reply(NamedTuple):
    """The service's answer and what it took, retries left out."""

    body: dict[str, Any]
    seconds: float


class ScoreClient:
    """Sends events over one connection. Not thread-safe: one client for each thread."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Unreachable(f"{url!r} is not a URL such as http://127.0.0.1:8000")
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._url = url
        self._connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
        self._path = parts.path.rstrip("/") + "/v1/score"
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._has_answered = False

    def score(self, event: Json) -> Reply:
        """Have one event decided.

        Waits and repeats while the service is busy or restarts, a bounded number of times. Raises
        `Unreachable`, `KeyRefused`, `EventRefused` and `ReplayError`.
        """
        body = orjson.dumps(event)
        busy = 0
        while True:
            started = time.perf_counter()
            status, wait, answer = self._send(body)
            seconds = time.perf_counter() - started
            if status == 200:
                return Reply(_parsed(answer), seconds)
            if status not in (429, 503):
                raise _refusal(status, answer, event)
            busy += 1
            if busy == BUSY_TRIES:
                raise ReplayError(
                    f"the service answered {status} {busy} times to event "
                    f"{event.get('event_id')}: {_problem_text(answer)}"
                )
            time.sleep(min(wait, LONGEST_WAIT_SECONDS))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _send(self, body: bytes) -> tuple[int, float, bytes]:
        """Return status, seconds to wait if busy, and body; reconnects after a lost connection."""
        broken = 0
        while True:
            try:
                self._connection.request("POST", self._path, body, self._headers)
                response = self._connection.getresponse()
                answer = response.read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                broken += 1
                if not self._has_answered or broken == BROKEN_TRIES:
                    raise Unreachable(
                        f"no answer from {self._url} ({str(error) or type(error).__name__}); "
                        "is the service running? `touchstone serve` starts it"
                    ) from None
                if broken > 1:  # the first time a keep-alive connection may just have been idle
                    time.sleep(BROKEN_WAIT_SECONDS)
                continue
            self._has_answered = True
            return response.status, _seconds(response.getheader("Retry-After")), answer


def _seconds(retry_after: str | None) -> float:
    try:
        return max(float(retry_after or 1), 0.05)
    except ValueError:
        return 1.0


def _parsed(answer: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(answer)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict) or "outcome" not in body:
        raise ReplayError("the answer is no decision; is this the URL of a Touchstone service?")
    return body


def _refusal(status: int, answer: bytes, event: Json) -> ReplayError:
    text = _problem_text(answer)
    if status in (401, 403):
        return KeyRefused(
            f"the service refuses the API key ({status}: {text}); "
            "`touchstone keys create --name replay --scopes score` makes one"
        )
    if status == 404:
        return ReplayError("there is no /v1/score here; is this the URL of a Touchstone service?")
    return EventRefused(
        f"event {event.get('event_id')} ({event.get('type')}) was refused ({status}): {text}"
    )


def _problem_text(answer: bytes) -> str:
    """Return the sentences of an `application/problem+json` body."""
    try:
        body = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return answer[:200].decode(errors="replace")
    if not isinstance(body, dict):
        return str(body)[:200]
    text = str(body.get("detail") or body.get("title") or "no details")
    for problem in body.get("problems") or ():
        text += f"\n  {problem.get('pointer') or '/'}: {problem.get('detail')}"
    return text
