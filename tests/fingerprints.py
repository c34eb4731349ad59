"""Fingerprints for tests: what real browsers say of themselves, signed as the script signs."""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from typing import Any

from features.collector.components import Components, components_of
from features.collector.tokens import bytes_of, text_of

_CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0"
_DESKTOP: dict[str, Any] = {
    "languages": ["en-US"],
    "timezone": "Europe/Berlin",
    "offset_minutes": 60,
    "screen": [1920, 1080],
    "color_depth": 24,
    "touch_points": 0,
    "cores": 8,
    "memory_gb": 8,
    "architecture": 255,
    "canvas": ["q1CRYLvqsCo2wX35", "OP3aiuAUbYu3xDo0"],
    "audio": "124.04347527516074",
    "fonts": ["Calibri", "Consolas", "Segoe UI Light"],
    "adds_noise": False,
    "bot": [],
}
_PHONE: dict[str, Any] = _DESKTOP | {"architecture": 127, "touch_points": 5, "fonts": []}
_SAFARI: dict[str, Any] = {
    "agent_platform": None,
    "agent_mobile": None,
    "vendor": "Apple Computer, Inc.",
    "memory_gb": None,
    "architecture": 127,
    "gpu": ["Apple Inc.", "Apple GPU"],
    "canvas": None,
    "audio": None,
}

# name -> signals of an honest browser
HONEST: dict[str, dict[str, Any]] = {
    "chrome on windows": _DESKTOP
    | {
        "agent": f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROME} Safari/537.36",
        "platform": "Win32",
        "agent_platform": "Windows",
        "agent_mobile": False,
        "vendor": "Google Inc.",
        "gpu": [
            "Google Inc. (NVIDIA)",
            "ANGLE (NVIDIA, NVIDIA GeForce RTX 3060 Direct3D11 vs_5_0 ps_5_0, D3D11-31.0.15.3640)",
        ],
    },
    "edge on windows for arm": _DESKTOP
    | {
        "agent": f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROME} Safari/537.36 Edg/142.0.0.0",
        "platform": "Win32",
        "agent_platform": "Windows",
        "agent_mobile": False,
        "vendor": "Google Inc.",
        "touch_points": 10,
        "architecture": 127,
        "gpu": [
            "Google Inc. (Qualcomm)",
            "ANGLE (Qualcomm, Qualcomm(R) Adreno(TM) X1-85 GPU Direct3D11 vs_5_0 ps_5_0, D3D11)",
        ],
    },
    "chrome on a mac": _DESKTOP
    | {
        "agent": f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_CHROME} Safari/537.36",
        "platform": "MacIntel",
        "agent_platform": "macOS",
        "agent_mobile": False,
        "vendor": "Google Inc.",
        "architecture": 127,
        "gpu": [
            "Google Inc. (Apple)",
            "ANGLE (Apple, ANGLE Metal Renderer: Apple M2, Unspecified Version)",
        ],
    },
    "firefox on linux": _DESKTOP
    | {
        "agent": "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
        "platform": "Linux x86_64",
        "agent_platform": None,
        "agent_mobile": None,
        "vendor": "",
        "memory_gb": None,
        "canvas": None,
        "gpu": ["AMD", "Radeon R9 200 Series, or similar"],
    },
    "safari on a mac": _DESKTOP
    | _SAFARI
    | {
        "agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Version/18.1 Safari/605.1.15",
        "platform": "MacIntel",
    },
    "safari on an ipad": _PHONE
    | _SAFARI
    | {
        "agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Version/18.1 Safari/605.1.15",
        "platform": "MacIntel",
        "screen": [1180, 820],
    },
    "safari on an iphone": _PHONE
    | _SAFARI
    | {
        "agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
        "platform": "iPhone",
        "screen": [852, 393],
        "timezone": "Asia/Shanghai",
        "offset_minutes": 480,
    },
    "chrome on an iphone": _PHONE
    | _SAFARI
    | {
        "agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) CriOS/142.0.7444.46 Mobile/15E148 Safari/604.1",
        "platform": "iPhone",
        "screen": [852, 393],
    },
    "chrome on android": _PHONE
    | {
        "agent": f"Mozilla/5.0 (Linux; Android 10; K) {_CHROME} Mobile Safari/537.36",
        "platform": "Linux armv81",
        "agent_platform": "Android",
        "agent_mobile": True,
        "vendor": "Google Inc.",
        "screen": [915, 412],
        "gpu": ["Qualcomm", "Adreno (TM) 640"],
    },
    "chrome on android, desktop pages": _PHONE
    | {
        "agent": f"Mozilla/5.0 (X11; Linux x86_64) {_CHROME} Safari/537.36",
        "platform": "Linux armv81",
        "agent_platform": "Linux",
        "agent_mobile": False,
        "vendor": "Google Inc.",
        "screen": [915, 412],
        "gpu": ["Qualcomm", "Adreno (TM) 640"],
    },
    "arkweb on harmonyos": _PHONE
    | {
        "agent": "Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/132.0.0.0 Safari/537.36 ArkWeb/4.1.6.1 Mobile",
        "platform": "",
        "agent_platform": "HarmonyOS",
        "agent_mobile": True,
        "vendor": "",
        "screen": [884, 408],
        "gpu": ["HUAWEI", "Maleoon 910"],
    },
    "wechat on android": _PHONE
    | {
        "agent": "Mozilla/5.0 (Linux; Android 14; 23127PN0CC Build/UKQ1.230804.001; wv) "
        "AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/130.0.6723.103 Mobile "
        "Safari/537.36 XWEB/1300473 MMWEBSDK/20250201 MicroMessenger/8.0.56.2800(0x28003859)",
        "platform": "Linux aarch64",
        "agent_platform": "Android",
        "agent_mobile": True,
        "vendor": "Google Inc.",
        "screen": [873, 393],
        "timezone": "Asia/Shanghai",
        "offset_minutes": 480,
        "gpu": ["ARM", "Mali-G715"],
    },
}


def components(name: str = "chrome on windows", **changes: Any) -> Components:
    """Return the signals of a browser of `HONEST`, with changes."""
    made = components_of(json.dumps(HONEST[name] | changes).encode())
    assert made is not None, "the changes do not fit the schema"
    return made


def signed(signals: Mapping[str, Any], token: str) -> str:
    """Return the fingerprint that the collector script makes of signals and a token."""
    head, _, secret = token.partition(".")
    key = bytes_of(secret)
    assert key is not None
    text = f"1.{head}.{text_of(json.dumps(signals).encode())}"
    return f"{text}.{text_of(hmac.digest(key, text.encode(), 'sha256'))}"
