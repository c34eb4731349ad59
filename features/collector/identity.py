"""Which device is it, and how sure can we be that no other looks the same?

The id is a digest of signals that hardware and system decide, so it survives cleared cookies and
a new version of the browser. Phones of one model look alike to a script: they get an id that is
worth nothing, and the confidence says so.
Invariant: pure; no version number takes part in the id, and fewer signals never raise confidence.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from math import exp
from typing import NamedTuple

from pydantic_core import to_json

from features.collector.components import Components
from features.signals.agent import agent_system

PREFIX = "fp1:"
X86 = 255  # the sign bit of NaN, which tells x86 from other processors
# Used as the device from here on: all signals, or all but the least of them.
ENOUGH = 0.9
# The shop that confidence is stated for has this many devices.
DEVICES = 100_000

# Bits that a signal adds to those above it: rounded down, our judgement after the studies named in
# README.md. Fonts, canvas and GPU depend on each other, so they add less than each has alone.
DESKTOP_BITS: dict[str, float] = {
    "canvas": 6,
    "fonts": 5,
    "gpu": 3,
    "screen": 3,
    "timezone": 2,
    "audio": 1,
    "cores": 1,
    "memory_gb": 1,
    "platform": 1,
}
# All units of a model draw and sound the same; what is left is the model and where it is.
PHONE_BITS: dict[str, float] = {"canvas": 3, "gpu": 2, "screen": 2, "timezone": 2}
# Without a graphics card the same library draws on every machine.
SOFTWARE_BITS: dict[str, float] = DESKTOP_BITS | {"canvas": 2, "gpu": 0, "audio": 0}

# Numbers with a dot, and what clings to them, are versions of drivers and libraries.
_VERSION = re.compile(r"[\w-]*\d+\.\d+[\w.-]*")
_SOFTWARE_GPU = re.compile(
    r"swiftshader|llvmpipe|softpipe|mesa offscreen|basic render|virgl|vmware|virtualbox|parallels",
    re.IGNORECASE,
)
_NOISY = ("canvas", "audio", "fonts", "cores", "memory_gb", "gpu", "screen")
_STABLE = (
    "platform",
    "vendor",
    "timezone",
    "screen",
    "color_depth",
    "touch_points",
    "cores",
    "memory_gb",
    "architecture",
    "gpu",
    "canvas",
    "audio",
    "fonts",
)


class Identity(NamedTuple):
    """A device as its signals tell it.

    - `device_id`: None for a browser that tells nothing. Secret material: it goes into a keyed tag
      and nowhere else.
    - `confidence`: the chance that none of 100,000 other devices has the same id, in [0, 1].
    """

    device_id: str | None
    confidence: float


def identify(components: Components) -> Identity:
    """Tell which device it is, the same after an update of its browser, and how sure that is."""
    known = _known(components)
    if not known:
        return Identity(None, 0.0)
    bits = _bits_table(components)
    sure = exp(-DEVICES / 2 ** sum([bits.get(name, 0) for name in known]))
    text = to_json([agent_system(components.agent or ""), known])
    return Identity(PREFIX + hashlib.sha256(text).hexdigest()[:32], round(sure, 3))


@lru_cache(maxsize=4096)
def renderer_family(renderer: str) -> str:
    """Give the graphics card without the versions of driver and libraries.

    >>> renderer_family("ANGLE (Intel, Mesa Intel(R) UHD 620 (KBL GT2), OpenGL 4.6 (Mesa 24.1.0))")
    'angle (intel, mesa intel(r) uhd 620 (kbl gt2), opengl (mesa ))'
    """
    return " ".join(_VERSION.sub("", renderer.lower()).split())


def is_software_gpu(components: Components) -> bool:
    """Say whether no graphics card draws: a virtual machine, or a card that is switched off."""
    return any(_draws_in_software(part) for part in components.gpu or () if part)


def is_phone(components: Components) -> bool:
    """Say whether it is a phone or tablet, one that asks for desktop pages too."""
    system = agent_system(components.agent or "")
    if components.agent_mobile or system in ("android", "ios", "harmonyos"):
        return True
    if (components.touch_points or 0) < 2:  # a Mac has none
        return False
    return system == "macos" or (system == "linux" and components.architecture != X86)


def _known(components: Components) -> dict[str, object]:
    """Give the signals that take part in the id, without those that are empty or noise."""
    known: dict[str, object] = {}
    for name in _STABLE:
        value = getattr(components, name)
        if value is None or value in ("", ()) or (components.adds_noise and name in _NOISY):
            continue
        known[name] = value
    if "gpu" in known:
        known["gpu"] = [renderer_family(part or "") for part in components.gpu or ()]
    if "screen" in known:
        known["screen"] = sorted(components.screen or ())  # the library sorts digits, not numbers
    if "fonts" in known:
        known["fonts"] = sorted(set(components.fonts or ()))
    return known


@lru_cache(maxsize=4096)
def _draws_in_software(card: str) -> bool:
    return _SOFTWARE_GPU.search(card) is not None


def _bits_table(components: Components) -> dict[str, float]:
    if is_phone(components):
        return PHONE_BITS
    return SOFTWARE_BITS if is_software_gpu(components) else DESKTOP_BITS
