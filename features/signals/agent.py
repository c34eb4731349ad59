"""Does the user agent fit the device that it claims to come from?

Families are told by a few words that browsers have kept for decades; anything else is unknown.
Invariant: unknown is None, and never counts as a contradiction.
"""

from __future__ import annotations

from functools import lru_cache

# Order matters: an Android agent also says Linux, and an iPhone agent "like Mac OS X".
_AGENT_WORDS: tuple[tuple[str, str], ...] = (
    ("windows phone", "windows"),
    ("openharmony", "harmonyos"),
    ("harmonyos", "harmonyos"),
    ("android", "android"),
    ("iphone", "ios"),
    ("ipad", "ios"),
    ("ipod", "ios"),
    ("cfnetwork", "ios"),
    ("okhttp", "android"),
    ("dalvik", "android"),
    ("windows nt", "windows"),
    ("macintosh", "macos"),
    ("mac os x", "macos"),
    ("cros ", "chromeos"),
    ("linux", "linux"),
)
_PLATFORMS = {
    "ios": "ios",
    "iphone": "ios",
    "ipados": "ios",
    "ipad": "ios",
    "android": "android",
    "harmonyos": "harmonyos",
    "windows": "windows",
    "win32": "windows",
    "macos": "macos",
    "mac": "macos",
    "macintel": "macos",
    "linux": "linux",
    "chromeos": "chromeos",
}
# An iPad asks for desktop pages as a Macintosh, apps of HarmonyOS 4 and before run as Android, and
# the network library of an app on a Mac is that of iOS.
_ALSO = {
    ("ios", "macos"),
    ("macos", "ios"),
    ("harmonyos", "android"),
    ("android", "harmonyos"),
    ("android", "linux"),
}
# Agents repeat: a shop sees some thousands, and most events one of a few hundred.
AGENTS_KEPT = 4096

_AUTOMATED = (
    "headless",
    "phantomjs",
    "selenium",
    "webdriver",
    "puppeteer",
    "playwright",
    "python-requests",
    "python-urllib",
    "aiohttp",
    "httpx/",
    "curl/",
    "wget/",
    "scrapy",
    "go-http-client",
    "java/",
    "libwww-perl",
    "postmanruntime",
    "bot/",
    "bot;",
    "crawler",
    "spider",
)


@lru_cache(maxsize=AGENTS_KEPT)
def agent_system(user_agent: str) -> str | None:
    """Give the operating system that a user agent names.

    >>> agent_system("Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36")
    'android'
    >>> agent_system("MyShop/3.1") is None
    True
    """
    text = user_agent.lower()
    for word, system in _AGENT_WORDS:
        if word in text:
            return system
    return None


def contradicts(user_agent: str, platform: str) -> bool | None:
    """Say whether an agent names another system than the platform; None when one is not known.

    >>> contradicts("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "ios")
    True
    >>> contradicts("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", "ios")
    False
    >>> contradicts("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "web") is None
    True
    """
    claimed, named = _PLATFORMS.get(platform), agent_system(user_agent)
    if claimed is None or named is None:
        return None
    return claimed != named and (claimed, named) not in _ALSO


@lru_cache(maxsize=AGENTS_KEPT)
def is_automated(user_agent: str) -> bool:
    """Say whether an agent says that no human holds the device; an empty one counts as such.

    >>> is_automated("Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/130.0"), is_automated("")
    (True, True)
    """
    text = user_agent.lower()
    if not text.strip():
        return True
    return any(word in text for word in _AUTOMATED)
