"""Do time zone and languages fit a country?

Offsets are those of the IANA time zone database as the package tzdata holds it, so that training
and serving agree on every machine; languages are a small table of large markets. A country that
neither knows is unknown, never a contradiction.
Invariant: a traveller contradicts, too: this is a signal, not a proof.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

# Ramadan suspends summer time in Morocco for a month: two looks a month miss no offset of a year.
_LOOK = timedelta(days=14)
_LAST_YEAR = 2037  # where the files' own transitions end
# Languages that most people of a country read; English is taken as possible everywhere.
LANGUAGES: dict[str, frozenset[str]] = {
    "AT": frozenset(("de",)),
    "BR": frozenset(("pt",)),
    "CN": frozenset(("zh", "bo", "ug", "mn", "yue")),
    "DE": frozenset(("de",)),
    "ES": frozenset(("es", "ca", "gl", "eu")),
    "FR": frozenset(("fr",)),
    "HK": frozenset(("zh", "yue")),
    "IT": frozenset(("it", "de")),
    "JP": frozenset(("ja",)),
    "KR": frozenset(("ko",)),
    "MX": frozenset(("es",)),
    "PL": frozenset(("pl",)),
    "PT": frozenset(("pt",)),
    "RU": frozenset(("ru", "tt")),
    "TH": frozenset(("th",)),
    "TR": frozenset(("tr", "ku")),
    "TW": frozenset(("zh",)),
    "VN": frozenset(("vi",)),
}


def timezone_contradicts(country: str, offset_minutes: int, year: int) -> bool | None:
    """Say whether no zone of a country has this offset at any time of the year.

    Standard and summer time both fit, the whole year round. None for a country without zones.

    >>> timezone_contradicts("CN", 480, 2026), timezone_contradicts("CN", -300, 2026)
    (False, True)
    >>> timezone_contradicts("DE", 120, 2026), timezone_contradicts("ZZ", 0, 2026)
    (False, None)
    """
    allowed = offsets_of(country, year)
    return offset_minutes not in allowed if allowed else None


@lru_cache(maxsize=2048)
def offsets_of(country: str, year: int) -> frozenset[int]:
    """Give every offset from UTC, in minutes, that clocks of a country show in a year.

    >>> sorted(offsets_of("PT", 2026)), sorted(offsets_of("CN", 2026)), sorted(offsets_of("ZZ", 1))
    ([-60, 0, 60], [360, 480], [])
    """
    moments = list(_moments(min(max(year, 1970), _LAST_YEAR)))
    found = set()
    for name in _zones().get(country, ()):
        zone = _zone(name)
        for moment in moments:
            offset = zone.utcoffset(moment)
            if offset is not None:
                found.add(round(offset.total_seconds() / 60))
    return frozenset(found)


def warm(year: int) -> None:
    """Work out the offsets of all countries in a year: 0.1 s that no event shall wait for."""
    for country in _zones():
        offsets_of(country, year)


def _moments(year: int) -> Iterator[datetime]:
    moment = datetime(year, 1, 1, 12)  # noqa: DTZ001 - noon on the clocks of the zone asked for
    while moment.year == year:
        yield moment
        moment += _LOOK


@cache
def _zones() -> dict[str, tuple[str, ...]]:
    """Give the names of the zones of each country, as `zone.tab` lists them."""
    zones: dict[str, tuple[str, ...]] = {}
    text = files("tzdata").joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            country, _, name = line.split("\t")[:3]
            zones[country] = (*zones.get(country, ()), name)
    return zones


@cache
def _zone(name: str) -> ZoneInfo:
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def languages_contradict(country: str, languages: Sequence[str]) -> bool | None:
    """Say whether no language of a device is one of the country's; None when it cannot be told.

    >>> languages_contradict("CN", ["zh-CN"]), languages_contradict("CN", ["ru-RU"])
    (False, True)
    >>> languages_contradict("JP", ["en-US"])
    False
    """
    spoken = LANGUAGES.get(country)
    if spoken is None or not languages:
        return None
    roots = {language.replace("_", "-").partition("-")[0].lower() for language in languages}
    return not (roots & spoken or "en" in roots)
