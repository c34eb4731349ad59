"""The collector as browsers and a shop meet it: script, tokens, fingerprints in events."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from features.collector.script import collector_script
from features.event import parse_event
from features.tags import Tagger, derive_tag_keys
from features.velocity.connect import connect
from service.api.answers import ProblemAnswer, TokenAnswer
from service.devices import Devices, ValkeyNonces
from service.embedded import EmbeddedServers
from tests.events import event
from tests.fingerprints import HONEST, signed
from tests.running import TAG_KEY, Here, entries, service_here, settings_on

pytestmark = pytest.mark.asyncio(loop_scope="module")
SHOP = "https://shop.example"
TOKENS = 50


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Here]:
    """A service whose tokens a shop of another origin may read."""
    base = tmp_path_factory.mktemp("collector")
    collector = {"origins": [SHOP], "tokens_per_second": TOKENS}
    with EmbeddedServers.start(base / "servers") as servers:
        settings = settings_on(servers, base, patient_ms=10_000, collector=collector)
        async with service_here(settings) as here:
            yield here


@pytest_asyncio.fixture(loop_scope="module")
async def browser(here: Here) -> AsyncIterator[httpx.AsyncClient]:
    """A client without an API key."""
    async with httpx.AsyncClient(base_url="http://127.0.0.1", transport=here.transport) as client:
        yield client


async def _token(browser: httpx.AsyncClient) -> str:
    answer = await browser.get("/v1/collector/token")
    assert answer.status_code == 200, answer.content
    return TokenAnswer.model_validate_json(answer.content).token


async def _subject(here: Here, body: dict[str, Any]) -> dict[str, Any]:
    answer = await here.client.score(body)
    assert answer.status == 200, answer.content
    found = {entry.entry_id.hex(): entry.subject for entry in await entries(here.settings)}
    subject = found[answer.json["decision_id"]]
    assert subject is not None
    return subject


async def test_the_script_is_served_as_it_was_built(browser: httpx.AsyncClient) -> None:
    """Plain and compressed it is the same file, as JavaScript, for pages of any origin."""
    file = collector_script()
    plain = await browser.get("/v1/collector.js", headers={"accept-encoding": "identity"})
    packed = await browser.get("/v1/collector.js", headers={"accept-encoding": "br, gzip"})
    assert plain.content == packed.content == file.content
    assert gzip.decompress(file.gzipped) == file.content
    assert packed.headers["content-encoding"] == "gzip"
    for answer in (plain, packed):
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_only_a_pinned_version_is_cached_for_ever(browser: httpx.AsyncClient) -> None:
    """With the hash of its content it never changes; without, the browser asks each time."""
    version = collector_script().version
    pinned = await browser.get(f"/v1/collector.js?v={version}")
    assert pinned.headers["cache-control"] == "public, max-age=31536000, immutable"
    for path in ("/v1/collector.js", f"/v1/collector.js?v={version[:-1]}"):
        answer = await browser.get(path)
        assert answer.headers["cache-control"] == "no-cache"
        again = await browser.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    other = await browser.get("/v1/collector.js", headers={"if-none-match": '"other"'})
    assert other.status_code == 200


async def test_only_named_origins_may_read_tokens(browser: httpx.AsyncClient) -> None:
    """A page of another origin is let in by the setting, and by nothing else."""
    for origin, allowed in ((SHOP, SHOP), ("https://evil.example", None), ("null", None)):
        answer = await browser.get("/v1/collector/token", headers={"origin": origin})
        assert answer.headers.get("access-control-allow-origin") == allowed
        assert answer.headers["vary"] == "Origin"
        assert answer.headers["cache-control"] == "no-store"
    assert await _token(browser) != await _token(browser)


async def test_tokens_are_bounded(here: Here, browser: httpx.AsyncClient) -> None:
    """Beyond the rate 429 says when to come back, and events are answered as before."""
    answers = await asyncio.gather(
        *(browser.get("/v1/collector/token") for _ in range(TOKENS + 20))
    )
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    for answer in refused:
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"
        assert ProblemAnswer.model_validate_json(answer.content).code == "too_many_tokens"
    assert (await here.client.score(event("checkout"))).status == 200
    await asyncio.sleep(0.2)  # 10 tokens
    await _token(browser)


async def test_a_fingerprint_stands_in_for_a_missing_device_id(
    here: Here, browser: httpx.AsyncClient
) -> None:
    """Two accounts on one computer share a device, although the shop names none."""
    seen = []
    computer = HONEST["chrome on windows"] | {"audio": "of no other test"}
    for user in ("u-derived-1", "u-derived-2"):
        fingerprint = signed(computer, await _token(browser))
        body = event("checkout", user={"id": user}, device={"fingerprint": fingerprint})
        seen.append(await _subject(here, body))
    first, second = seen
    assert first["tags"]["device"] == second["tags"]["device"]
    assert first["facts"]["fingerprint.is_device_id"] is True
    assert first["facts"]["has_device"] is True
    assert first["facts"]["device_distinct_users_24h"] == 0
    assert second["facts"]["device_distinct_users_24h"] == 1


async def test_the_shops_own_id_wins(here: Here, browser: httpx.AsyncClient) -> None:
    """A device that the shop names is that device, whatever the fingerprint says."""
    fingerprint = signed(HONEST["chrome on windows"], await _token(browser))
    body = event("checkout", device={"fingerprint": fingerprint, "id": "d-own"})
    subject = await _subject(here, body)
    tagger = Tagger(derive_tag_keys(TAG_KEY))
    assert subject["tags"]["device"] == tagger.tag("device", "d-own")
    assert subject["facts"]["fingerprint.is_device_id"] is False
    assert subject["facts"]["fingerprint.is_verified"] is True


async def test_a_bad_fingerprint_never_blocks(here: Here) -> None:
    """Any text is taken, is a fact, and leaves the event without a device."""
    for text in ("", "x" * 8192, "1.é.你.😃", "1..e30.", "\u0000"):
        subject = await _subject(here, event("checkout", device={"fingerprint": text}))
        assert subject["facts"]["fingerprint.verdict"] == "unreadable"
        assert subject["facts"]["has_fingerprint"] is True
        assert "device" not in subject["tags"]


async def test_counted_events_read_fingerprints_too(here: Here, browser: httpx.AsyncClient) -> None:
    """`/v1/events` derives the device as `/v1/score` does, and uses the token up."""
    fingerprint = signed(HONEST["chrome on windows"], await _token(browser))
    device = {"fingerprint": fingerprint}
    answer = await here.client.score(event("login", device=device), "/v1/events")
    assert answer.status == 202
    found = {entry.entry_id.hex(): entry.subject for entry in await entries(here.settings)}
    learned = found[answer.json["entry_id"]]
    assert learned is not None
    assert learned["fields"]["fingerprint.verdict"] == "verified"
    assert "device" in learned["tags"]
    replay = await _subject(here, event("checkout", device=device))
    assert replay["fields"]["fingerprint.verdict"] == "replayed"


async def test_the_ledger_keeps_no_signal_and_no_derived_id(
    here: Here, browser: httpx.AsyncClient
) -> None:
    """Of a fingerprint only facts and a keyed tag are recorded."""
    fingerprint = signed(HONEST["chrome on windows"], await _token(browser))
    subject = str(await _subject(here, event("checkout", device={"fingerprint": fingerprint})))
    for signal in ("fp1:", "GeForce", "Mozilla", "Berlin", "q1CRYLvqsCo2wX35", fingerprint[:30]):
        assert signal not in subject


async def test_without_valkey_a_fingerprint_is_unchecked(
    here: Here, browser: httpx.AsyncClient
) -> None:
    """Nobody can say whether it was used before: it is believed, and the verdict says so."""
    connection = connect("redis://127.0.0.1:1")
    devices = Devices(here.runtime.token_key, ValkeyNonces(connection, 0.05))
    fingerprint = signed(HONEST["chrome on windows"], await _token(browser))
    body = event("checkout", device={"fingerprint": fingerprint})
    parsed = parse_event(json.dumps(body).encode())
    read, fields = await devices.read(parsed, "tag", time.time_ns() // 1_000_000)
    await connection.close()
    assert fields["fingerprint.verdict"] == "unchecked"
    assert fields["fingerprint.is_verified"] is True
    assert read.device is not None
    assert read.device.id is not None
