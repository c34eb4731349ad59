"""The API as a payment engineer meets it: answers, repeats, and every refusal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from service.api.answers import EventAnswer, ProblemAnswer, ReadyAnswer, ScoreAnswer
from service.api.problems import PROBLEMS
from service.embedded import EmbeddedServers
from tests.events import event
from tests.http_client import Answer, Client
from tests.keeping import checkpointed
from tests.running import Here, service_here, settings_on

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAN = "4111 1111 1111 1111"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Here]:
    """A service in this process on servers of its own."""
    base = tmp_path_factory.mktemp("api")
    with EmbeddedServers.start(base / "servers") as servers:
        async with service_here(settings_on(servers, base, patient_ms=10_000)) as here:
            yield here


def assert_problem(answer: Answer, code: str) -> Any:
    """Check the one shape that every refusal has, and return its body."""
    assert answer.status == PROBLEMS[code].status, answer.content
    assert answer.headers["content-type"] == "application/problem+json"
    problem = ProblemAnswer.model_validate_json(answer.content)
    assert problem.code == code
    assert problem.status == answer.status
    assert problem.title
    assert problem.detail
    if answer.status == 503:
        assert int(answer.headers["retry-after"]) > 0
    return answer.json


async def _post(here: Here, content: bytes, **headers: str) -> Answer:
    return await here.client.post("/v1/score", content, headers)


async def test_every_documented_example_is_answered(here: Here) -> None:
    """The example of each event type in the OpenAPI document gets the documented answer."""
    document = (await here.client.get("/openapi.json")).json
    body = document["paths"]["/v1/score"]["post"]["requestBody"]["content"]["application/json"]
    assert len(body["examples"]) >= 6
    for example in body["examples"].values():
        answer = await here.client.score(example["value"])
        assert answer.status == 200, answer.content
        scored = ScoreAnswer.model_validate_json(answer.content)
        assert scored.event_id == example["value"]["event_id"]
        assert scored.degraded == []
        assert scored.versions.bundle is not None


async def test_a_decision_is_read_back_as_it_was_answered(here: Here) -> None:
    """What `GET /v1/decisions/{id}` returns is the answer, byte for byte."""
    answer = await here.client.score(event("checkout"))
    again = await here.client.get(f"/v1/decisions/{answer.json['decision_id']}")
    assert (again.status, again.content) == (200, answer.content)
    unknown = await here.client.get(f"/v1/decisions/{'0' * 32}")
    assert_problem(unknown, "unknown_decision")
    assert_problem(await here.client.get("/v1/decisions/no-such-id"), "unknown_decision")


async def test_a_repeat_gets_the_first_answer(here: Here) -> None:
    """The same event again: the same bytes; another body under its id: 409."""
    first = event("login", login={"succeeded": False, "method": "password"})
    answer = await here.client.score(first)
    assert (await here.client.score(first)).content == answer.content
    other = first | {"user": {"id": "somebody else"}}
    assert_problem(await here.client.score(other), "event_conflict")
    assert_problem(await here.client.score(first, "/v1/events"), "event_conflict")


async def test_an_event_without_decision_teaches_the_velocities(here: Here) -> None:
    """Ten failed logins reported to `/v1/events` change what the next login is told."""
    user = {"id": "u-brute"}
    failed = {"succeeded": False, "method": "password"}
    for _ in range(10):
        answer = await here.client.score(event("login", user=user, login=failed), "/v1/events")
        assert answer.status == 202
        EventAnswer.model_validate_json(answer.content)
    told = (await here.client.score(event("login", user=user))).json
    assert told["outcome"] != "approve"
    assert any(reason["source"].startswith("rule:") for reason in told["reasons"])
    for reason in told["reasons"]:
        assert reason["text"]["en"]
        assert reason["text"]["zh"]


async def test_every_problem_of_a_body_is_named_at_once(here: Here) -> None:
    """Unknown field, bad amount, missing part, unknown currency: one answer lists them all."""
    bad = event("checkout", order={"id": "o", "amount_minor": -1, "currency": "XXX", "colour": 1})
    bad["device"] = {"screeen": "1x1"}
    problem = assert_problem(await here.client.score(bad), "invalid_event")
    pointers = {entry["pointer"] for entry in problem["problems"]}
    assert {
        "/order/amount_minor",
        "/order/currency",
        "/order/colour",
        "/device/screeen",
    } <= pointers


@pytest.mark.parametrize("pan", [PAN, PAN.replace(" ", "-"), PAN.replace(" ", "")])
async def test_a_card_number_is_refused_and_not_echoed(here: Here, pan: str) -> None:
    """A card number in a text field gets 422, and the answer does not repeat it."""
    bad = event("checkout", user={"id": f"card {pan}"})
    answer = await here.client.score(bad)
    problem = assert_problem(answer, "invalid_event")
    assert [entry["pointer"] for entry in problem["problems"]] == ["/user/id"]
    assert pan.encode() not in answer.content


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b"[" * 20_000, b"1e999"]
)
async def test_no_body_breaks_the_service(here: Here, body: bytes) -> None:
    """Whatever is sent in place of an event gets 422 with a problem."""
    assert_problem(await _post(here, body), "invalid_event")


async def test_a_body_over_the_limit_is_refused(here: Here) -> None:
    """More than 64 KiB: 413, with and without a declared length."""
    assert_problem(await _post(here, b" " * 65_537), "body_too_large")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1024

    answer = await here.client.post("/v1/score", chunks(), {})
    assert_problem(answer, "body_too_large")


async def test_keys_and_scopes(here: Here) -> None:
    """No key, a wrong key, a key without the scope: 401, 401, 403."""
    for header, code in (
        (None, "missing_key"),
        ("Basic dTpw", "missing_key"),
        ("Bearer ts_aaaa_bbbb", "invalid_key"),
        ("Bearer nonsense", "invalid_key"),
    ):
        headers = {} if header is None else {"Authorization": header}
        async with Client(None, transport=here.transport) as client:
            answer = await client.post("/v1/score", b"{}", headers)
        assert_problem(answer, code)
        assert answer.headers["www-authenticate"] == "Bearer"
    key = await here.new_key("events:write")
    async with Client(key, transport=here.transport) as client:
        refused = assert_problem(await client.score(event("login")), "missing_scope")
        assert refused["detail"] == "This call needs the scope score: use a key that has it."
        assert (await client.score(event("login"), "/v1/events")).status == 202


async def test_unknown_paths_and_methods(here: Here) -> None:
    """A wrong path or method gets a problem too."""
    assert_problem(await here.client.get("/v1/nothing"), "not_found")
    assert_problem(await here.client.get("/v1/score"), "method_not_allowed")


async def test_too_many_at_once_are_refused_early(here: Here) -> None:
    """Beyond the limit of requests under way: 503 with Retry-After, and nothing is counted."""
    gate = here.runtime.gate
    gate.under_way += here.settings.http.max_in_flight
    try:
        assert_problem(await here.client.score(event("login")), "overloaded")
    finally:
        gate.under_way -= here.settings.http.max_in_flight
    assert (await here.client.score(event("login"))).status == 200


async def test_health_and_metrics(here: Here) -> None:
    """`/livez`, `/readyz` and `/metrics` need no key and say what they should."""
    await here.client.score(event("signup"))
    assert here.settings.postgres.url is not None
    log_name = here.settings.ledger.log_name
    await checkpointed(here.settings.postgres.url, here.settings.signer_dir, log_name)
    await here.runtime.record_watch.look()
    async with Client(None, transport=here.transport) as client:
        assert (await client.get("/livez")).json == {"live": True}
        ready = await client.get("/readyz")
        assert ready.status == 200
        states = ReadyAnswer.model_validate_json(ready.content).resources
        assert {name for name, state in states.items() if not state.ok} == set()
        text = (await client.get("/metrics")).content.decode()
    assert 'touchstone_decisions_total{outcome="approve",type="signup"}' in text
    assert "touchstone_decision_seconds_bucket" in text


async def test_every_problem_code_is_documented(here: Here) -> None:
    """Each code of the table stands in the OpenAPI document with an example."""
    document = (await here.client.get("/openapi.json")).json
    examples: set[str] = set()
    for path in document["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                content = response.get("content", {}).get("application/problem+json", {})
                examples |= set(content.get("examples", {}))
    assert set(PROBLEMS) - {"not_found", "method_not_allowed"} == examples


@pytest.mark.parametrize("path", ["/v1/score", "/v1/events"])
async def test_internal_errors_tell_nothing(here: Here, path: str) -> None:
    """An error of ours is a 500 problem without details of what happened."""
    velocity = here.runtime.decider
    broken = velocity._clock
    velocity._clock = None  # type: ignore[assignment]  # breaks the decider on purpose
    try:
        answer = await here.client.score(event("login"), path)
    finally:
        velocity._clock = broken
    assert_problem(answer, "internal_error")
