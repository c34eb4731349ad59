"""What speaks against a fingerprint, and that honest browsers have nothing against them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from features.collector.signs import (
    CHECKS,
    Seen,
    contradictions,
    looks_automated,
    looks_emulated,
)
from tests.fingerprints import HONEST, components

WINTER_MS = int(datetime(2026, 11, 22, tzinfo=UTC).timestamp() * 1000)
SUMMER_MS = int(datetime(2026, 7, 22, tzinfo=UTC).timestamp() * 1000)
IPHONE = "safari on an iphone"
ANDROID = "chrome on android"
SWIFTSHADER = ["Google Inc. (Google)", "ANGLE (Google, Vulkan 1.3.0 (SwiftShader Device), x)"]


@pytest.mark.parametrize("name", list(HONEST))
@pytest.mark.parametrize("at_ms", [WINTER_MS, SUMMER_MS])
def test_an_honest_browser_has_nothing_against_it(name: str, at_ms: int) -> None:
    """No contradiction, no automation, no emulator, in winter and in summer."""
    honest = components(name)
    assert contradictions(Seen(honest, HONEST[name]["agent"], at_ms)) == ()
    assert not looks_automated(honest)
    assert not looks_emulated(honest)


CASES: list[tuple[str, str, dict[str, Any]]] = [
    ("platform", "chrome on windows", {"platform": "Linux x86_64"}),
    ("platform", IPHONE, {"platform": "Win32"}),
    ("hint_platform", "chrome on windows", {"agent_platform": "Linux"}),
    ("hint_mobile", ANDROID, {"agent_mobile": False}),
    ("vendor", "chrome on windows", {"vendor": "Apple Computer, Inc."}),
    ("vendor", IPHONE, {"vendor": "Google Inc."}),
    ("vendor", "firefox on linux", {"vendor": "Google Inc."}),
    ("touch", ANDROID, {"touch_points": 0}),
    ("screen", IPHONE, {"screen": [2560, 1440]}),
    ("screen", "chrome on windows", {"screen": [0, 0]}),
    ("clock", "chrome on windows", {"offset_minutes": 480}),
    ("gpu", "chrome on a mac", {"gpu": ["x", "ANGLE (Intel UHD Direct3D11 vs_5_0 ps_5_0)"]}),
    ("gpu", "chrome on windows", {"gpu": ["Apple Inc.", "Apple GPU"]}),
    ("processor", IPHONE, {"architecture": 255}),
]


@pytest.mark.parametrize(("check", "name", "changes"), CASES)
def test_a_contradiction_is_named(check: str, name: str, changes: dict[str, Any]) -> None:
    """Each check finds what it is for, and nothing else finds it."""
    assert contradictions(Seen(components(name, **changes), None, WINTER_MS)) == (check,)


def test_another_agent_in_the_request_contradicts() -> None:
    """The shop's server saw another browser than the one that was collected."""
    seen = Seen(components(), "Mozilla/5.0 (X11; Linux x86_64)", None)
    assert contradictions(seen) == ("agent_header",)


def test_every_check_has_a_case() -> None:
    """No check is without an example."""
    assert {case[0] for case in CASES} | {"agent_header"} == set(CHECKS)


@pytest.mark.parametrize("name", list(HONEST))
def test_what_is_not_told_contradicts_nothing(name: str) -> None:
    """Each signal may be missing, and all of them."""
    for each in [name for name in HONEST[name] if name != "adds_noise"]:
        assert contradictions(Seen(components(name, **{each: None}), None, WINTER_MS)) == ()
    nothing: dict[str, Any] = dict.fromkeys(HONEST[name], None) | {"adds_noise": False}
    assert contradictions(Seen(components(name, **nothing), None, None)) == ()


@pytest.mark.parametrize("zone", ["Mars/Olympus", "America", "/etc/passwd", "UTC+480", "GMT"])
def test_a_zone_that_is_none_is_unknown(zone: str) -> None:
    """Odd names of zones are no contradiction and no error."""
    seen = Seen(components(timezone=zone, offset_minutes=0), None, 0)
    assert contradictions(seen) == ()


def test_automation_is_seen_in_detectors_and_agent() -> None:
    """One detector of BotD, or a headless agent."""
    agent = HONEST["chrome on windows"]["agent"]
    assert looks_automated(components(bot=["detectWebDriver"]))
    assert looks_automated(components(agent=agent.replace("Chrome", "HeadlessChrome")))


def test_an_emulator_is_seen() -> None:
    """An emulator's card, a phone that draws without one, an Android on x86."""
    translator = ["Google", "Android Emulator OpenGL ES Translator (NVIDIA GeForce RTX 3060)"]
    assert looks_emulated(components(ANDROID, gpu=translator))
    assert looks_emulated(components(ANDROID, gpu=SWIFTSHADER))
    assert looks_emulated(components(ANDROID, platform="Linux x86_64", architecture=255))
    assert not looks_emulated(components("chrome on windows", gpu=SWIFTSHADER))
