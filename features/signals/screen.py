"""What kind of device does a user agent name, and does its screen fit?

Sizes are in physical or in CSS pixels: collectors send either. A phone on its side and an opened
foldable are no contradictions.
Invariant: unknown is None, and never counts as a contradiction.
"""

from __future__ import annotations

from functools import lru_cache

from features.signals.agent import AGENTS_KEPT, agent_system

_TV = ("smart-tv", "smarttv", "googletv", "appletv", "hbbtv", "web0s", "bravia", "crkey", "aftt")
_CONSOLES = ("playstation", "xbox", "nintendo")
_DESKTOP_SYSTEMS = frozenset(("windows", "macos", "linux", "chromeos"))

# Sizes of monitors and laptops that no phone has, on its side either.
_MONITORS = frozenset(
    (
        (800, 600), (1024, 768), (1152, 864), (1280, 1024), (1360, 768), (1366, 768), (1440, 900),
        (1512, 982), (1536, 864), (1600, 900), (1600, 1200), (1680, 1050), (1728, 1117),
        (1920, 1200), (2048, 1152), (2560, 1080), (2560, 1600), (2880, 1800), (3024, 1964),
        (3440, 1440), (3456, 2234), (3840, 1600), (3840, 2400), (5120, 1440), (5120, 2880),
    )
)  # fmt: skip
# Long side over short side. Every iPhone with a button has 3:2 or 16:9, every one since the X
# 19.5:9; squarer ones may unfold. A browser on an iPhone tells its screen as if it stood upright.
_IPHONE_SQUAREST = 1.52
_IPHONE_RATIOS = ((1.76, 1.79), (2.15, 2.19))
_LEAST_MONITOR = 1280
# Below this short side a Windows screen is a phone's: the smallest netbooks had 600 pixels.
_LEAST_WINDOWS = 480


@lru_cache(maxsize=AGENTS_KEPT)
def device_type(user_agent: str) -> str | None:
    """Give `phone, tablet, desktop, tv` or `console`; None when the agent does not tell.

    >>> device_type("Mozilla/5.0 (Linux; Android 15; Pixel 9) Chrome/140.0.0.0 Mobile Safari")
    'phone'
    >>> device_type("Mozilla/5.0 (Linux; Android 15; SM-X700) Chrome/140.0.0.0 Safari")
    'tablet'
    """
    text = user_agent.lower()
    if any(word in text for word in _CONSOLES):
        return "console"
    if any(word in text for word in _TV):
        return "tv"
    if "iphone" in text or "ipod" in text or "windows phone" in text:
        return "phone"
    if "ipad" in text or "tablet" in text:
        return "tablet"
    system = agent_system(user_agent)
    if system in ("android", "harmonyos"):
        if "mobile" in text or "phone" in text:
            return "phone"
        return "tablet" if "mozilla/" in text else None
    return "desktop" if system in _DESKTOP_SYSTEMS and "mozilla/" in text else None


@lru_cache(maxsize=AGENTS_KEPT)
def screen_contradicts(user_agent: str, screen: str) -> bool | None:
    """Say whether no device of the kind that an agent names has such a screen (`WIDTHxHEIGHT`).

    >>> iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15"
    >>> screen_contradicts(iphone, "1170x2532"), screen_contradicts(iphone, "1920x1200")
    (False, True)
    >>> screen_contradicts("MyShop/3.1", "1170x2532") is None
    True
    """
    kind = device_type(user_agent)
    width, _, height = screen.partition("x")
    if kind is None or not (width.isdecimal() and height.isdecimal()):
        return None
    across, down = int(width), int(height)
    if not across or not down:
        return None
    if kind == "phone":
        if (across, down) in _MONITORS:
            return True
        return "iphone" in user_agent.lower() and not _may_be_iphone(across, down)
    if kind == "desktop" and agent_system(user_agent) == "windows":
        return min(across, down) < _LEAST_WINDOWS
    return False


def _may_be_iphone(across: int, down: int) -> bool:
    ratio = max(across, down) / min(across, down)
    if across >= _LEAST_MONITOR and across > down and ratio < _IPHONE_RATIOS[0][1]:
        return False
    return ratio <= _IPHONE_SQUAREST or any(low <= ratio <= high for low, high in _IPHONE_RATIOS)
