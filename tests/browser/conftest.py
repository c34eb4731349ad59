"""A browser, and a shop for it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Playwright, sync_playwright

from service.embedded import EmbeddedServers
from service.ledger.reader import FoundEntry
from tests.browser.shop import Shop, open_shop
from tests.http_client import Answer, Client
from tests.running import entries, prepared_key, settings_on
from tests.served import free_port

MISSING = "no Chromium here: `apt install chromium` (root: `sh .ci/need-chromium`)"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
Visit = Callable[..., str]


def _elsewhere(work: Callable[[], Any]) -> Any:
    """Run in another thread: the browser's driver holds this thread's event loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()


@pytest.fixture(scope="module")
def chromium_path() -> str:
    """Where the machine's own Chromium is; nothing is downloaded."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(MISSING)
    return found


class OpenShop:
    """The shop, its backend's way to the service, and what was recorded there."""

    def __init__(self, shop: Shop, settings: Any, key: str) -> None:
        self.url = shop.url
        self.other_origin = f"http://localhost:{shop.port}"
        self.app = shop.app
        self._port = shop.port
        self._settings = settings
        self._key = key

    def score(self, event: dict[str, Any]) -> Answer:
        """Send an event, as the shop's backend does."""

        async def send() -> Answer:
            async with Client(self._key, port=self._port) as client:
                return await client.score(event)

        answer = _elsewhere(lambda: asyncio.run(send()))
        assert answer.status == 200, answer.content
        return answer

    def recorded(self, event: dict[str, Any]) -> dict[str, Any]:
        """Score an event and return the subject block of its entry: tags, fields, facts."""
        decision = self.score(event).json["decision_id"]
        found: list[FoundEntry] = _elsewhere(lambda: asyncio.run(entries(self._settings)))
        [subject] = [each.subject for each in found if each.entry_id.hex() == decision]
        assert subject is not None
        return subject


@pytest.fixture(scope="module")
def shop(
    chromium_path: str,
    servers: EmbeddedServers,
    new_postgres_url: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OpenShop]:
    """An open shop on the servers of this run, with a database of its own."""
    base = tmp_path_factory.mktemp("shop")
    port = free_port()
    # The same shop by another name is another origin to a browser.
    collector = {"origins": [f"http://localhost:{port}"]}
    settings = settings_on(servers, base, patient_ms=10_000, collector=collector)
    postgres = settings.postgres.model_copy(update={"url": new_postgres_url()})
    settings = settings.model_copy(update={"postgres": postgres})
    key = _elsewhere(lambda: asyncio.run(prepared_key(settings)))
    with open_shop(settings, port) as shop:
        yield OpenShop(shop, settings, key)


@pytest.fixture(scope="module")
def playwright(shop: OpenShop) -> Iterator[Playwright]:
    """The browser's driver; it holds this thread's event loop, so the shop opens before it."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright, chromium_path: str) -> Iterator[Browser]:
    """A headless Chromium; each visit has a profile of its own."""
    browser = playwright.chromium.launch(executable_path=chromium_path)
    yield browser
    browser.close()


def fingerprint_in(context: BrowserContext, url: str) -> str:
    """Open the shop's page and return the fingerprint that the collector gives it."""
    page = context.new_page()
    try:
        page.goto(f"{url}/demo.html")
        fingerprint = page.evaluate("TouchstoneCollector.collect()")
    finally:
        page.close()
    assert isinstance(fingerprint, str)
    return fingerprint


@pytest.fixture
def visit(browser: Browser, shop: OpenShop) -> Iterator[Visit]:
    """A function that visits the shop with a fresh profile; options as of `new_context`."""
    contexts: list[BrowserContext] = []

    def visit(**options: Any) -> str:
        contexts.append(browser.new_context(**options))
        return fingerprint_in(contexts[-1], shop.url)

    yield visit
    for context in contexts:
        context.close()
