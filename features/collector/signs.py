"""What in a fingerprint speaks against itself, or against a human with a real device?

Each check knows one pair of signals that real browsers keep in step.
Invariant: pure and total; what is not known never counts as a contradiction.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from features.collector.components import Components
from features.collector.identity import X86, is_software_gpu
from features.signals.agent import agent_system, is_automated

# The widest foldable phone is 1,100 CSS pixels on its short side; a phone agent beyond is none.
PHONE_MOST_PIXELS = 1280
LEAST_PIXELS = 100
_HALF_A_YEAR = timedelta(days=183)

# navigator.platform -> systems that have it; "Linux" also stands for Android and ChromeOS.
_PLATFORMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("win", ("windows",)),
    ("mac", ("macos", "ios")),  # an iPad asks for desktop pages as a Macintosh
    ("iphone", ("ios",)),
    ("ipad", ("ios", "macos")),
    ("linux", ("linux", "android", "harmonyos", "chromeos")),
    ("android", ("android",)),
    ("cros", ("chromeos",)),
)
_HINTS = {
    "Windows": ("windows",),
    "macOS": ("macos",),
    "Linux": ("linux",),
    "Android": ("android", "harmonyos"),
    "iOS": ("ios",),
    "Chrome OS": ("chromeos",),
    "Chromium OS": ("chromeos",),
}
_PHONES = ("ios", "android")
# Words in the name of a graphics card -> systems that can have it.
_CARDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("direct3d", ("windows",)),
    ("apple gpu", ("ios", "macos")),
    ("apple m", ("macos", "ios", "linux")),
    ("metal renderer", ("macos", "ios")),
    ("mali-", ("android", "harmonyos", "linux", "chromeos")),
    ("adreno", ("android", "harmonyos", "windows", "linux", "chromeos")),
    ("geforce", ("windows", "linux", "macos")),
    ("radeon", ("windows", "linux", "macos", "chromeos")),
)
_EMULATOR_CARDS = ("android emulator", "bluestacks", "genymotion", "virtualbox", "memu", "nox")


class Seen(NamedTuple):
    """A fingerprint, the agent that the shop's server saw, and when the token was given out."""

    components: Components
    header_agent: str | None
    issued_ms: int | None


def contradictions(seen: Seen) -> tuple[str, ...]:
    """Name the checks that failed, in alphabetical order."""
    return tuple(name for name, check in CHECKS.items() if check(seen))


def looks_automated(components: Components) -> bool:
    """Say whether the browser is driven by a program: BotD saw it, or the agent says so."""
    return bool(components.bot) or is_automated(components.agent or "")


def looks_emulated(components: Components) -> bool:
    """Say whether a phone is played by a computer: an emulator's card, none, or an x86 Android."""
    card = _card(components)
    if any(word in card for word in _EMULATOR_CARDS):
        return True
    if _system(components) not in _PHONES:
        return False
    on_x86 = components.architecture == X86 or "x86" in (components.platform or "")
    return on_x86 or is_software_gpu(components)


def _platform(seen: Seen) -> bool:
    system, platform = _system(seen.components), (seen.components.platform or "").lower()
    for word, systems in _PLATFORMS:
        if platform.startswith(word):
            return system is not None and system not in systems
    return False


def _hint_platform(seen: Seen) -> bool:
    system = _system(seen.components)
    systems = _HINTS.get(seen.components.agent_platform or "")
    return system is not None and systems is not None and system not in systems


def _hint_mobile(seen: Seen) -> bool:
    hint, agent = seen.components.agent_mobile, seen.components.agent
    return hint is not None and bool(agent) and hint != ("Mobile" in (agent or ""))


def _vendor(seen: Seen) -> bool:
    """Chrome's vendor is Google, Safari's and every iPhone browser's Apple, Firefox has none."""
    agent, vendor = seen.components.agent or "", seen.components.vendor
    system = agent_system(agent)
    if vendor is None or not agent or system == "harmonyos":
        return False
    if system == "ios" or ("Version/" in agent and "Macintosh" in agent):
        return not vendor.startswith("Apple")
    if "Firefox/" in agent:
        return vendor != ""
    return "Chrome/" in agent and not vendor.startswith("Google")


def _touch(seen: Seen) -> bool:
    return _system(seen.components) in _PHONES and seen.components.touch_points == 0


def _screen(seen: Seen) -> bool:
    if seen.components.screen is None:
        return False
    short = min(seen.components.screen)
    is_phone = _system(seen.components) in _PHONES and "Mobile" in (seen.components.agent or "")
    return short < LEAST_PIXELS or (is_phone and short > PHONE_MOST_PIXELS)


def _clock(seen: Seen) -> bool:
    """The zone has this offset neither at the token's time nor half a year around it."""
    name, offset, at_ms = (
        seen.components.timezone,
        seen.components.offset_minutes,
        seen.issued_ms,
    )
    if name is None or offset is None or at_ms is None or (zone := _zone(name)) is None:
        return False
    try:
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        moments = (at, at - _HALF_A_YEAR, at + _HALF_A_YEAR)
        offsets = [moment.astimezone(zone).utcoffset() for moment in moments]
    except (OverflowError, ValueError, OSError):
        return False
    return timedelta(minutes=offset) not in offsets


def _gpu(seen: Seen) -> bool:
    system, card = _system(seen.components), _card(seen.components)
    if system is None:
        return False
    return any(word in card and system not in systems for word, systems in _CARDS)


def _processor(seen: Seen) -> bool:
    return _system(seen.components) == "ios" and seen.components.architecture == X86


def _agent_header(seen: Seen) -> bool:
    agent, header = seen.components.agent, seen.header_agent
    return bool(agent) and bool(header) and (header or "")[:512] != agent


def _system(components: Components) -> str | None:
    return agent_system(components.agent) if components.agent else None


def _card(components: Components) -> str:
    return " ".join(part or "" for part in components.gpu or ()).lower()


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # a folder, an odd name, an unknown one
        return None


CHECKS: dict[str, Callable[[Seen], bool]] = {
    "agent_header": _agent_header,
    "clock": _clock,
    "gpu": _gpu,
    "hint_mobile": _hint_mobile,
    "hint_platform": _hint_platform,
    "platform": _platform,
    "processor": _processor,
    "screen": _screen,
    "touch": _touch,
    "vendor": _vendor,
}
