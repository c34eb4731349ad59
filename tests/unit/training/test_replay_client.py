"""The replay's client: repeats what may pass, and says plainly what will not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from training.replay.client import (
    EventRefused,
    KeyRefused,
    ReplayError,
    ScoreClient,
    Unreachable,
)

EVENT = {"event_id": "e-1", "type": "login"}
DECISION = {"outcome": "approve", "score": 0.1, "reasons": [], "rule_hits": [], "degraded": []}


class Answers:
    """A small HTTP server that gives prepared answers in turn, and the last one for ever."""

    def __init__(self, *answers: tuple[int, dict[str, str], Any]) -> None:
        self.answers = list(answers)
        self.seen: list[tuple[str, str, Any]] = []
        self.connections: set[tuple[str, int]] = set()

    @contextmanager
    def serving(self) -> Iterator[str]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer.connections.add(self.client_address)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                key = self.headers["Authorization"]
                outer.seen.append((self.path, key, json.loads(body)))
                more = len(outer.answers) > 1
                status, headers, answer = outer.answers.pop(0) if more else outer.answers[0]
                if status == 0:  # the connection breaks before an answer
                    self.close_connection = True
                    return
                raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Stay quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def test_one_connection_serves_many_events() -> None:
    """Path, key and body are right, and the connection is kept."""
    answers = Answers((200, {}, DECISION))
    with answers.serving() as url, ScoreClient(url + "/", "ts_key") as client:
        replies = [client.score(EVENT) for _ in range(5)]
    assert [reply.body for reply in replies] == [DECISION] * 5
    assert all(0 < reply.seconds < 5 for reply in replies)
    assert answers.seen == [("/v1/score", "Bearer ts_key", EVENT)] * 5
    assert len(answers.connections) == 1


def test_busy_service_is_asked_again() -> None:
    """503 with Retry-After is waited for, and the answer after it counts."""
    busy = (503, {"Retry-After": "0.05"}, {"detail": "busy"})
    answers = Answers(busy, busy, (200, {}, DECISION))
    with answers.serving() as url, ScoreClient(url, "k") as client:
        assert client.score(EVENT).body == DECISION
    assert len(answers.seen) == 3


def test_patience_with_a_busy_service_ends() -> None:
    """A service that stays busy ends the replay with its own words."""
    answers = Answers((503, {"Retry-After": "0"}, {"detail": "the ledger is down"}))
    with (
        answers.serving() as url,
        ScoreClient(url, "k") as client,
        pytest.raises(ReplayError, match=r"503 20 times to event e-1: the ledger is down"),
    ):
        client.score(EVENT)
    assert len(answers.seen) == 20


def test_lost_connection_is_opened_again() -> None:
    """A restart of the service in the middle loses nothing."""
    answers = Answers((200, {}, DECISION), (0, {}, b""), (200, {}, DECISION))
    with answers.serving() as url, ScoreClient(url, "k") as client:
        client.score(EVENT)
        assert client.score(EVENT).body == DECISION


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (401, KeyRefused, "refuses the API key.*keys create"),
        (403, KeyRefused, "refuses the API key"),
        (404, ReplayError, "no /v1/score here"),
        (409, EventRefused, r"e-1 \(login\) was refused \(409\): Not like that"),
        (500, EventRefused, "refused .500."),
    ],
)
def test_refusals_are_said_at_once(status: int, error: type[Exception], message: str) -> None:
    """What a repeat cannot mend is not repeated."""
    answers = Answers((status, {}, {"detail": "Not like that"}))
    with (
        answers.serving() as url,
        ScoreClient(url, "k") as client,
        pytest.raises(error, match=message),
    ):
        client.score(EVENT)
    assert len(answers.seen) == 1


def test_every_problem_of_a_refused_event_is_shown() -> None:
    """422 lists the pointers."""
    problems = [
        {"pointer": "/user", "code": "missing", "detail": "Must be there."},
        {"pointer": "", "code": "x", "detail": "Odd."},
    ]
    answers = Answers((422, {}, {"detail": "2 problems", "problems": problems}))
    with (
        answers.serving() as url,
        ScoreClient(url, "k") as client,
        pytest.raises(EventRefused) as caught,
    ):
        client.score(EVENT)
    assert "\n  /user: Must be there.\n  /: Odd." in str(caught.value)


@pytest.mark.parametrize("answer", [b"hello", {"live": True}])
def test_another_service_is_recognised(answer: Any) -> None:
    """An answer that is no decision is not counted as one."""
    answers = Answers((200, {}, answer))
    with (
        answers.serving() as url,
        ScoreClient(url, "k") as client,
        pytest.raises(ReplayError, match="no decision"),
    ):
        client.score(EVENT)


def test_nobody_there() -> None:
    """A closed port and a URL that is none are said with what may help."""
    with Answers((200, {}, DECISION)).serving() as url:
        closed = url
    with ScoreClient(closed, "k") as client, pytest.raises(Unreachable, match="touchstone serve"):
        client.score(EVENT)
    with pytest.raises(Unreachable, match="is not a URL"):
        ScoreClient("localhost:8000", "k")
