"""Every route of the app, also one that is added tomorrow: who may use it, and what breaks it.

The routes are those that the app has; what is not in the short list of open ones needs a key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from service.api.answers import ProblemAnswer
from service.api_key import SCOPES, KeyHash
from service.embedded import EmbeddedServers
from service.people.roles import ROLES
from service.secrets_files import read_keys
from tests.background import Background, service_behind
from tests.hostile import (
    BYTES,
    HOSTILE,
    MARK,
    MEDIA_TYPES,
    csv_bytes,
    json_bytes,
    properties,
    values,
)
from tests.operations import ANY_KEY, OPEN, Operation, operations
from tests.people import person_key
from tests.rule_sets import FIRST
from tests.running import prepared_key, settings_on

OPERATIONS, SCHEMAS = operations()
KEYED = [one for one in OPERATIONS if one.path not in ANY_KEY]
WITH_BODY = [one for one in OPERATIONS if one.method not in ("GET", "HEAD")]
WITH_PARAMETERS = [one for one in OPERATIONS if one.parameters or one.placeholders]
# The largest body that any route takes is an import; what is read beyond a limit is one chunk.
CHUNK = 1 << 18
MOST_BYTES = (16 << 20) + CHUNK
# Tried in every parameter and every member of a body; what else may be there is drawn.
IN_BODIES = ("\0", "\ud800", {"\ud800": "a"}, {"a": "\0"}, 10**400, float("nan"), MARK)
ALWAYS = ("\0", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9" * 400, MARK)

# What is asked in a body, because it names a person or carries its own proof; nothing is changed.
READ_BY_POST = {"/v1/lists/test", "/v1/audit/search", "/v1/audit/cosignatures"}
# Reading that a scope to read does not open.
GUARDED = {
    "/v1/audit/exports/{export_id}/package",
    "/v1/audit/rights-requests",
    "/v1/audit/rights-requests/{request_id}",
}
# A process computes it.
SLOW = {"/v1/rules/performance", "/v1/rule-sets/{version}/rollout-report"}

hostile = settings(
    deadline=None,
    # A failing request is short enough to read as it is, and each one costs a round trip.
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Background]:
    """A service on servers of its own."""
    base = tmp_path_factory.mktemp("routes")
    FIRST.write(base / "rules")
    with EmbeddedServers.start(base / "servers") as servers:
        chosen = settings_on(servers, base, patient_ms=10_000, rules_dir=base / "rules")
        with service_behind(chosen) as running:
            yield running


@pytest.fixture(scope="module")
def key(service: Background) -> str:
    """A key of a person who may do everything."""
    return service.run(prepared_key(service.here.settings))


@pytest.fixture(scope="module")
def keys(service: Background) -> Mapping[str, str]:
    """For each scope a key of a person that has nothing but it; one without a scope: ''."""

    async def made() -> dict[str, str]:
        connection = await asyncpg.connect(service.here.settings.postgres.url)
        hashed = KeyHash(read_keys(service.here.settings).tag)
        try:
            found = {
                scope: await person_key(connection, hashed, "tests", *ROLES, scopes=[scope])
                for scope in SCOPES
            }
            return {**found, "": await person_key(connection, hashed, "nobody")}
        finally:
            await connection.close()

    return service.run(made())


def ask(
    service: Background,
    operation: Operation,
    key: str | None,
    content: bytes | AsyncIterator[bytes] | None = b"{}",
    *,
    url: str | None = None,
    media_type: str = "application/json",
) -> httpx.Response:
    """Send one request."""
    headers = {b"Content-Type": media_type.encode("latin-1")}
    if key is not None:
        headers[b"Authorization"] = f"Bearer {key}".encode()

    async def sent() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=service.here.transport, base_url="http://service", timeout=60
        ) as client:
            return await client.request(
                operation.method, url or operation.url(), content=content, headers=headers
            )

    return service.run(sent())


def problem_of(operation: Operation, answer: httpx.Response) -> str:
    """Check what every refusal is, and return its code."""
    assert answer.status_code < 500, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = ProblemAnswer.model_validate_json(answer.content)
    assert problem.status == answer.status_code
    assert MARK not in answer.text, "what was sent is repeated"
    responses = operation.document["responses"]
    said = responses.get(str(answer.status_code), {}).get("content", {})
    examples = said.get("application/problem+json", {}).get("examples", {})
    assert problem.code in examples, f"{problem.code} is not documented"
    return problem.code


def is_good(operation: Operation, answer: httpx.Response) -> bool:
    """Whether it was done; what was not done is a problem as documented."""
    if answer.status_code < 400:
        return True
    problem_of(operation, answer)
    return False


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_nobody_comes_in_without_a_key(service: Background, operation: Operation) -> None:
    """No key and a wrong key: 401, whatever the body."""
    for wrong, code in ((None, "missing_key"), ("ts_aaaa_bbbb", "invalid_key")):
        for content in (b"{}", b"{"):
            answer = ask(service, operation, wrong, content)
            assert (answer.status_code, problem_of(operation, answer)) == (401, code)


@pytest.mark.parametrize("operation", KEYED, ids=str)
def test_one_scope_opens_a_route(
    service: Background, keys: Mapping[str, str], operation: Operation
) -> None:
    """Each other scope, and none, is 403; no scope to read opens what changes something."""
    opened = set()
    for scope, key in keys.items():
        answer = ask(service, operation, key)
        if answer.status_code == 403 and answer.json()["code"] == "missing_scope":
            problem_of(operation, answer)
        else:
            opened.add(scope)
    assert len(opened) == 1, opened
    [scope] = opened
    is_reading = operation.method == "GET" or operation.path in READ_BY_POST
    assert scope.endswith(":read") == (is_reading and operation.path not in GUARDED)


def test_what_is_open_is_there() -> None:
    """The list of open routes names no route that is gone."""
    from service.api.app import create_app
    from service.settings import Settings

    assert {getattr(route, "path", "") for route in create_app(Settings()).routes} >= OPEN | ANY_KEY


@pytest.mark.parametrize("operation", WITH_BODY, ids=str)
def test_no_body_breaks_a_route(service: Background, key: str, operation: Operation) -> None:
    """Nearly right bodies, and bytes that are none: done, or a problem that is documented."""
    said = operation.body or {}  # nothing is read where none is documented
    for content in BYTES if said else ():
        is_good(operation, ask(service, operation, key, content))
    bodies = [
        st.tuples(st.sampled_from(BYTES), st.sampled_from(MEDIA_TYPES)),
        st.tuples(HOSTILE.map(json_bytes), st.just("application/json")),
    ]
    if "application/json" in said:
        schema = said["application/json"]["schema"]
        for name in properties(schema, SCHEMAS):
            for value in IN_BODIES:
                is_good(operation, ask(service, operation, key, json_bytes({name: value})))
        of = values(schema, SCHEMAS).map(json_bytes)
        bodies += [st.tuples(of, st.just("application/json"))] * 3
    if "text/csv" in said:
        columns = said["text/csv"]["example"].splitlines()[0].split(",")
        bodies += [st.tuples(csv_bytes(columns), st.just("text/csv"))] * 3

    @settings(hostile, max_examples=50 if said else 2)
    @given(st.one_of(bodies))
    def drawn(sent: tuple[bytes, str]) -> None:
        is_good(operation, ask(service, operation, key, sent[0], media_type=sent[1]))

    drawn()


@pytest.mark.parametrize("operation", WITH_PARAMETERS, ids=str)
def test_no_parameter_breaks_a_route(service: Background, key: str, operation: Operation) -> None:
    """Whatever stands in the path and in the query: done, or a problem that is documented."""
    in_query = {one["name"]: values(one["schema"], SCHEMAS) for one in operation.parameters}
    in_path = {name: values({"type": "string"}, SCHEMAS) for name in operation.placeholders}

    def check(said: Mapping[str, Any]) -> None:
        url = operation.path
        for name in operation.placeholders:
            value = _text(said.get(name, "")) or operation.good(name)
            url = url.replace(f"{{{name}}}", _quoted(value))
        asked = {name: _quoted(_text(said[name])) for name in in_query if name in said}
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        is_good(operation, ask(service, operation, key, url=f"{url}?{query}"))

    for name in (*in_query, *in_path):
        for value in ALWAYS:
            check({name: value})

    @settings(hostile, max_examples=3 if operation.path in SLOW else 10)
    @given(st.fixed_dictionaries({}, optional={**in_query, **in_path}))
    def drawn(said: Mapping[str, Any]) -> None:
        check(said)

    drawn()


@pytest.mark.parametrize("operation", WITH_BODY, ids=str)
def test_no_body_fills_the_memory(service: Background, key: str, operation: Operation) -> None:
    """A body without end is refused at the route's limit, a stranger's before its first bytes."""
    for caller, most in ((key, MOST_BYTES), (None, 0)):
        read = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal read
            yield b'{"a": "'
            while read <= 2 * MOST_BYTES:
                read += CHUNK
                yield b"a" * CHUNK
                await asyncio.sleep(0)

        answer = ask(service, operation, caller, endless())
        assert read <= most
        if caller is None or operation.body is None:
            continue
        assert answer.status_code == 413
        problem_of(operation, answer)


def _text(value: Any) -> str:
    return (value if isinstance(value, str) else json_bytes(value).decode())[:5_000]


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")
