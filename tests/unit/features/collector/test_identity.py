"""Who is the same device, and how sure that is."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

import pytest

from features.collector.identity import (
    DESKTOP_BITS,
    ENOUGH,
    identify,
    renderer_family,
)
from tests.fingerprints import HONEST, components

WINDOWS = "chrome on windows"
CARD = HONEST[WINDOWS]["gpu"][1]


@pytest.mark.parametrize(
    "changes",
    [
        {"agent": HONEST[WINDOWS]["agent"].replace("142", "143")},
        {"gpu": [HONEST[WINDOWS]["gpu"][0], CARD.replace("31.0.15.3640", "32.0.15.6094")]},
        {"fonts": list(reversed(HONEST[WINDOWS]["fonts"]))},
        {"screen": [1080, 1920]},
        {"languages": ["de"]},
        {"offset_minutes": 120},
        {"bot": ["detectWebDriver"]},
    ],
    ids=["browser", "driver", "order of fonts", "turned", "language", "summer time", "automation"],
)
def test_the_same_device_stays_the_same(changes: dict[str, Any]) -> None:
    """Updates, a turned screen, another language and summer time change nothing."""
    assert identify(components(**changes)).device_id == identify(components()).device_id


@pytest.mark.parametrize(
    "changes",
    [
        {"canvas": ["q1CRYLvqsCo2wX35", "q1CRYLvqsCo2wX35"]},
        {"audio": "35.73"},
        {"fonts": ["Calibri"]},
        {"gpu": ["Google Inc. (NVIDIA)", CARD.replace("3060", "3070")]},
        {"screen": [2560, 1440]},
        {"timezone": "Asia/Tokyo"},
        {"cores": 16},
        {"memory_gb": 4},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_other_hardware_is_another_device(changes: dict[str, Any]) -> None:
    """Each signal of hardware, system or place tells devices apart."""
    assert identify(components(**changes)).device_id != identify(components()).device_id


def test_all_honest_browsers_differ() -> None:
    """No two of the browsers in the tests share an id."""
    ids = {name: identify(components(name)).device_id for name in HONEST}
    for one, other in combinations(ids, 2):
        assert ids[one] != ids[other], (one, other)


def test_a_browser_that_adds_noise_is_known_by_little() -> None:
    """What it changes from visit to visit takes no part."""
    noisy = components(adds_noise=True)
    other = components(adds_noise=True, canvas=None, audio="1.5", cores=2, fonts=[], gpu=None)
    assert identify(noisy).device_id == identify(other).device_id
    assert identify(noisy).confidence == 0


def test_phones_of_one_model_are_not_told_apart() -> None:
    """A phone's id is worth nothing, and its confidence says so; a whole desktop's is enough."""
    for name in HONEST:
        is_whole = name in (WINDOWS, "edge on windows for arm", "chrome on a mac")
        assert (identify(components(name)).confidence >= ENOUGH) == is_whole, name
    phones = re.compile("iphone|ipad|android|harmonyos")
    for name in filter(phones.search, HONEST):
        assert identify(components(name)).confidence < 0.001


def test_a_machine_without_a_card_is_like_every_other() -> None:
    """A virtual machine draws as its image does."""
    card = "ANGLE (Google, Vulkan 1.3.0 (SwiftShader Device (Subzero) (0x0000C0DE)), SwiftShader)"
    assert identify(components(gpu=["Google Inc. (Google)", card])).confidence < 0.1


@pytest.mark.parametrize("name", [n for n in DESKTOP_BITS if n != "platform"])
def test_a_missing_signal_never_raises_confidence(name: str) -> None:
    """Knowing less is never being surer, and confidence stays in [0, 1]."""
    whole = identify(components()).confidence
    assert 0 <= identify(components(**{name: None})).confidence < whole <= 1


def test_no_signals_no_device() -> None:
    """A browser that tells nothing has no id."""
    nothing: dict[str, Any] = dict.fromkeys(HONEST[WINDOWS], None)
    nobody = components(**(nothing | {"adds_noise": False}))
    assert identify(nobody).device_id is None
    assert identify(nobody).confidence == 0


def test_a_driver_update_is_not_another_card() -> None:
    """Versions leave the name of a card, its model number stays."""
    assert renderer_family(CARD) == renderer_family(CARD.replace("31.0.15.3640", "9.9"))
    assert "rtx 3060" in renderer_family(CARD)
