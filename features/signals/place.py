"""Do time zone and languages fit the country that goods go to?

Small tables of large markets; a country without a row is unknown, never a contradiction.
Invariant: a traveller contradicts, too: this is a signal, not a proof.
"""

from __future__ import annotations

from collections.abc import Sequence

# ISO 3166 country -> least and greatest offset from UTC in minutes, standard and summer time, of
# the zones where people live (IANA time zone database; far islands left out).
OFFSETS: dict[str, tuple[int, int]] = {
    "AE": (240, 240),
    "AR": (-180, -180),
    "AT": (60, 120),
    "AU": (480, 660),
    "BE": (60, 120),
    "BR": (-300, -120),
    "CA": (-480, -150),
    "CH": (60, 120),
    "CL": (-240, -180),
    "CN": (480, 480),
    "CO": (-300, -300),
    "CZ": (60, 120),
    "DE": (60, 120),
    "DK": (60, 120),
    "EG": (120, 180),
    "ES": (0, 120),
    "FI": (120, 180),
    "FR": (60, 120),
    "GB": (0, 60),
    "GR": (120, 180),
    "HK": (480, 480),
    "ID": (420, 540),
    "IE": (0, 60),
    "IL": (120, 180),
    "IN": (330, 330),
    "IT": (60, 120),
    "JP": (540, 540),
    "KR": (540, 540),
    "MO": (480, 480),
    "MX": (-480, -300),
    "MY": (480, 480),
    "NG": (60, 60),
    "NL": (60, 120),
    "NO": (60, 120),
    "NZ": (720, 780),
    "PH": (480, 480),
    "PL": (60, 120),
    "PT": (-60, 60),
    "RO": (120, 180),
    "RU": (120, 720),
    "SA": (180, 180),
    "SE": (60, 120),
    "SG": (480, 480),
    "TH": (420, 420),
    "TR": (180, 180),
    "TW": (480, 480),
    "UA": (120, 180),
    "US": (-600, -240),
    "VN": (420, 420),
    "ZA": (120, 120),
}
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


def timezone_contradicts(country: str, offset_minutes: int) -> bool | None:
    """Say whether no zone of a country has this offset; None for a country without a row.

    >>> timezone_contradicts("CN", 480), timezone_contradicts("CN", -300)
    (False, True)
    >>> timezone_contradicts("AQ", 0) is None
    True
    """
    allowed = OFFSETS.get(country)
    return None if allowed is None else not allowed[0] <= offset_minutes <= allowed[1]


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
