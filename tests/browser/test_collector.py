"""The collector in a real Chromium: who is told apart, who stays the same, who is seen through."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Playwright

import features.collector
from features.collector.components import Components
from features.collector.fingerprint import Reading, read_fingerprint
from features.collector.identity import identify
from features.collector.signs import Seen, contradictions, looks_automated
from features.collector.tokens import TokenKey, bytes_of, text_of
from tests.browser.conftest import OpenShop, Visit, fingerprint_in
from tests.events import event
from tests.running import TAG_KEY

SHANGHAI = {
    "timezone_id": "Asia/Shanghai",
    "screen": {"width": 1920, "height": 1080},
    "viewport": {"width": 1200, "height": 800},
}
# What Chromium says of itself when no program drives it.
PERSON = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/{version}.0.0.0 Safari/537.36"
)


def _read(fingerprint: str) -> Reading:
    return read_fingerprint(fingerprint, TokenKey(TAG_KEY), time.time_ns() // 1_000_000)


def _components(fingerprint: str) -> Components:
    components = _read(fingerprint).components
    assert components is not None
    return components


def _device(fingerprint: str) -> str:
    found = identify(_components(fingerprint)).device_id
    assert found is not None
    return found


def _checkout(fingerprint: str, **device: Any) -> dict[str, Any]:
    return event("checkout", device={"fingerprint": fingerprint, **device})


@pytest.mark.parametrize(
    "other",
    [
        {"timezone_id": "Europe/Berlin"},
        {"screen": {"width": 2560, "height": 1440}},
        {"has_touch": True},
    ],
    ids=["time zone", "screen", "touch"],
)
def test_two_profiles_differ(visit: Visit, other: dict[str, Any]) -> None:
    """One difference that hardware or place makes is another device."""
    assert _device(visit(**SHANGHAI)) != _device(visit(**(SHANGHAI | other)))


def test_another_graphics_card_is_another_device(
    visit: Visit, playwright: Playwright, chromium_path: str, shop: OpenShop
) -> None:
    """A browser that draws without WebGL is told from one that has it."""
    other = playwright.chromium.launch(
        executable_path=chromium_path, args=["--disable-3d-apis", "--force-device-scale-factor=1"]
    )
    try:
        without = fingerprint_in(other.new_context(**SHANGHAI), shop.url)
    finally:
        other.close()
    assert _components(without).gpu is None
    assert _device(without) != _device(visit(**SHANGHAI))


def test_cleared_cookies_and_storage_change_nothing(
    playwright: Playwright, chromium_path: str, shop: OpenShop, tmp_path: Path
) -> None:
    """The same profile has the same id after its cookies and its storage are gone."""
    context = playwright.chromium.launch_persistent_context(
        tmp_path / "profile", executable_path=chromium_path, **SHANGHAI
    )
    try:
        page = context.new_page()
        page.goto(f"{shop.url}/demo.html")
        page.evaluate("document.cookie = 'visitor=7'; localStorage.visitor = sessionStorage.v = 7")
        before = page.evaluate("TouchstoneCollector.collect()")
        context.clear_cookies()
        page.evaluate("localStorage.clear(); sessionStorage.clear()")
        page.goto(f"{shop.url}/demo.html")
        assert page.evaluate("document.cookie + localStorage.length") == "0"
        after = page.evaluate("TouchstoneCollector.collect()")
    finally:
        context.close()
    assert _device(before) == _device(after)
    assert before != after


def test_the_collector_leaves_nothing_behind(browser: Browser, shop: OpenShop) -> None:
    """No cookie, no storage and no element remains in the page."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{shop.url}/demo.html")
    page.wait_for_selector("body[data-done]")
    elements = "document.querySelectorAll('iframe, canvas').length"
    assert page.evaluate(f"localStorage.length + sessionStorage.length + {elements}") == 0
    assert context.cookies() == []
    context.close()


def test_a_browser_update_changes_nothing(visit: Visit) -> None:
    """Another version in the user agent is the same device."""
    before = visit(**SHANGHAI, user_agent=PERSON.format(version=156))
    after = visit(**SHANGHAI, user_agent=PERSON.format(version=171))
    assert _components(before).agent != _components(after).agent
    assert _device(before) == _device(after)


def test_automation_is_seen(visit: Visit) -> None:
    """A headless browser that a program drives is seen, and says so in two ways."""
    components = _components(visit())
    assert looks_automated(components)
    assert components.bot is not None
    assert {"detectWebDriver", "detectUserAgent"} <= set(components.bot)


def test_a_hidden_webdriver_is_seen_by_its_agent_and_the_other_way_round(
    visit: Visit, playwright: Playwright, chromium_path: str, shop: OpenShop
) -> None:
    """`webdriver` alone and `Headless` alone give a program away; without both it passes."""
    assert looks_automated(_components(visit(user_agent=PERSON.format(version=156))))
    hidden = playwright.chromium.launch(
        executable_path=chromium_path, args=["--disable-blink-features=AutomationControlled"]
    )
    try:
        assert looks_automated(_components(fingerprint_in(hidden.new_context(), shop.url)))
        person = hidden.new_context(user_agent=PERSON.format(version=156))
        assert not looks_automated(_components(fingerprint_in(person, shop.url)))
    finally:
        hidden.close()


def test_a_phone_that_is_played_contradicts_itself(visit: Visit, playwright: Playwright) -> None:
    """A desktop that plays an iPhone has the wrong vendor, platform, processor and card."""
    played = _components(visit(**playwright.devices["iPhone 13"]))
    found = set(contradictions(Seen(played, None, None)))
    assert {"platform", "processor", "vendor"} <= found
    honest = _components(visit(**SHANGHAI, user_agent=PERSON.format(version=156)))
    now_ms = time.time_ns() // 1_000_000
    assert contradictions(Seen(honest, PERSON.format(version=156), now_ms)) == ()


def test_a_fingerprint_vouches_for_one_event(visit: Visit, shop: OpenShop) -> None:
    """The first event is verified, and stays so when it is repeated; another one is a replay."""
    fingerprint = visit()
    first = _checkout(fingerprint)
    assert shop.recorded(first)["fields"]["fingerprint.verdict"] == "verified"
    assert shop.score(first).content == shop.score(first).content
    replay = shop.recorded(_checkout(fingerprint))
    assert replay["fields"]["fingerprint.verdict"] == "replayed"
    assert replay["facts"]["fingerprint.is_verified"] is False
    assert shop.recorded(_checkout(visit()))["facts"]["fingerprint.is_verified"] is True


def test_a_changed_fingerprint_is_a_fact_and_no_error(visit: Visit, shop: OpenShop) -> None:
    """Whoever changes a signal on its way cannot sign it."""
    form, head, body, signature = visit().split(".")
    raw = bytes_of(body)
    assert raw is not None
    changed = text_of(raw.replace(b'"cores":', b'"cores": '))
    told = text_of(raw.replace(b'"bot":["detect', b'"bot":["Detect'))
    for other in (changed, told):
        subject = shop.recorded(_checkout(f"{form}.{head}.{other}.{signature}"))
        assert subject["fields"]["fingerprint.verdict"] == "forged"
        assert "device" not in subject["tags"]


def test_no_request_leaves_the_machine(browser: Browser, shop: OpenShop) -> None:
    """The page asks its own host for the script and a token, and nobody for anything else."""
    context = browser.new_context()
    asked: list[str] = []
    complaints: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    context.on("console", lambda message: complaints.append(message.text))
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    page = context.new_page()
    page.goto(f"{shop.url}/demo.html")
    page.wait_for_selector("body[data-done]")
    context.close()
    names = ("demo.html", "demo.css", "v1/collector.js", "demo.js", "v1/collector/token")
    assert sorted(asked) == sorted(f"{shop.url}/{name}" for name in (*names, "demo/read"))
    assert complaints == []  # the strict policy of the page was broken nowhere


def test_a_page_of_another_origin_gets_tokens_only_when_it_is_named(
    browser: Browser, shop: OpenShop
) -> None:
    """A named origin signs; another one collects all the same, and is unsigned."""
    token_url = f"'{shop.url}/v1/collector/token'"
    verdicts = []
    for origin in (shop.other_origin, shop.other_origin.replace("localhost", "evil.localhost")):
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{origin}/livez")
        page.add_script_tag(url=f"{shop.url}/v1/collector.js")
        verdicts.append(
            _read(page.evaluate(f"TouchstoneCollector.collect({{tokenUrl: {token_url}}})"))
        )
        context.close()
    assert [reading.verdict for reading in verdicts] == ["verified", "unsigned"]
    assert all(reading.components for reading in verdicts)


def test_collecting_never_fails_and_never_hangs(browser: Browser, shop: OpenShop) -> None:
    """Without an answer for its token the script gives the signals unsigned, within its time."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{shop.url}/demo.html")
    page.wait_for_selector("body[data-done]")
    page.route("**/v1/collector/token", lambda route: route.abort())
    assert _read(page.evaluate("TouchstoneCollector.collect()")).verdict == "unsigned"
    page.unroute("**/v1/collector/token")
    page.route("**/v1/collector/token", lambda route: None)  # never answered
    started = time.monotonic()
    late = page.evaluate("TouchstoneCollector.collect({timeoutMs: 300})")
    assert _read(late).verdict == "unsigned"
    assert time.monotonic() - started < 5
    token = httpx.get(f"{shop.url}/v1/collector/token", trust_env=False).json()["token"]
    given = page.evaluate("token => TouchstoneCollector.collect({token})", token)
    assert _read(given).verdict == "verified"
    page.unroute_all(behavior="ignoreErrors")
    context.close()


def test_the_script_element_of_the_readme_loads(browser: Browser, shop: OpenShop) -> None:
    """Its address and its integrity fit the script, which no changed script would."""
    readme = (Path(features.collector.__path__[0]) / "README.md").read_text(encoding="utf-8")
    [(source, integrity)] = re.findall(r'src="(\S+)" defer\s+integrity="(\S+)"', readme)
    page = browser.new_context().new_page()
    page.goto(f"{shop.url}/livez")
    load = """([src, integrity]) => new Promise(done => {
        const element = Object.assign(document.createElement('script'), {src, integrity})
        element.onload = () => done(typeof TouchstoneCollector.collect)
        element.onerror = () => done('refused')
        document.head.append(element)
    })"""
    assert page.evaluate(load, [source, integrity]) == "function"
    assert page.evaluate(load, ["/demo.js", integrity]) == "refused"
    page.context.close()
