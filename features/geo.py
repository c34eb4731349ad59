"""Where is an IP address, what kind of network is it in, and where was a card issued?

`GeoTable` holds files that the shop installed: MMDB tables, lists of addresses, card prefixes.
Invariant: frozen once open; look-ups touch no network and never raise; without the file that would
tell, an answer is None.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from features.geo_record import asn_of, country_code, country_of, says_hosting, says_tor
from features.signals.address_set import AddressSet
from features.signals.hosting import HOSTING_ASNS
from features.signals.network import ip_class

if TYPE_CHECKING:
    from maxminddb import Reader

# Some features ask for the address of one event; a bound, as the keys are personal data.
PLACES_KEPT = 4096
_PREFIX = re.compile(r"[0-9]{2,8}\Z")


class GeoError(Exception):
    """A file of the geo tables cannot be used; the text says which and why."""

    code = "geo_unusable"


class IpPlace(NamedTuple):
    """What the tables say of one address.

    - `country`: ISO 3166; None when no table has it.
    - `network_class`: `tor`, `hosting`, or the class of the address (`public`, `private`, …).
    - `asn`: number of the autonomous system that announces it.
    - `is_hosting`, `is_tor`: None without a table that could tell.
    """

    country: str | None
    network_class: str
    asn: int | None
    is_hosting: bool | None
    is_tor: bool | None


class GeoTable:
    """Open tables. `place(ip)` is remembered for the addresses asked for last."""

    __slots__ = ("_bins", "_hosting", "_readers", "_tor", "bin_lengths", "place")

    place: Callable[[str], IpPlace]

    def __init__(
        self,
        readers: tuple[Reader, ...] = (),
        tor: AddressSet | None = None,
        hosting: AddressSet | None = None,
        bins: Mapping[str, str] | None = None,
    ) -> None:
        self._readers = readers
        self._tor = tor
        self._hosting = hosting
        self._bins = dict(bins or {})
        self.bin_lengths = tuple(sorted({len(prefix) for prefix in self._bins}, reverse=True))
        self.place = lru_cache(maxsize=PLACES_KEPT)(self._place)

    @classmethod
    def open(
        cls,
        country_path: Path | None = None,
        asn_path: Path | None = None,
        *,
        tor_path: Path | None = None,
        hosting_path: Path | None = None,
        bins_path: Path | None = None,
    ) -> GeoTable:
        """Open the files that there are; raise `GeoError` for one that cannot be read.

        - `country_path`, `asn_path`: MMDB files; one that holds both may be given once. Where
          several tables say something, the first that does counts.
        - `tor_path`, `hosting_path`: lists as `AddressSet` reads them.
        - `bins_path`: CSV of card prefix (2 to 8 digits) and country.
        """
        paths = dict.fromkeys(path for path in (country_path, asn_path) if path is not None)
        return cls(
            tuple(_open(path) for path in paths),
            _address_set(tor_path),
            _address_set(hosting_path),
            _bins(bins_path),
        )

    def card_country(self, prefix: str) -> str | None:
        """Give the country of issue of a card by its first digits; the longest row counts."""
        for length in self.bin_lengths:
            country = self._bins.get(prefix[:length])
            if country is not None:
                return country
        return None

    def close(self) -> None:
        """Close the files; the table may not be asked any more."""
        for reader in self._readers:
            reader.close()

    def _place(self, ip: str) -> IpPlace:
        kind = ip_class(ip)
        country: str | None = None
        asn: int | None = None
        hosting: bool | None = None
        tor: bool | None = None
        for record in self._records(ip) if kind == "public" else ():
            country = country or country_of(record)
            asn = asn or asn_of(record)
            hosting = says_hosting(record) if hosting is None else hosting
            tor = says_tor(record) if tor is None else tor
        if self._tor is not None:
            tor = bool(tor) or self._tor.holds(ip)
        if asn is not None:
            hosting = bool(hosting) or asn in HOSTING_ASNS
        if self._hosting is not None:
            hosting = bool(hosting) or self._hosting.holds(ip) or asn in self._hosting.asns
        network = "tor" if tor else "hosting" if hosting else kind
        return IpPlace(country, network, asn, hosting, tor)

    def _records(self, ip: str) -> Iterator[object]:
        for reader in self._readers:
            try:
                yield reader.get(ip)
            except (ValueError, OSError, RuntimeError):  # no IPv6 in this table, or damaged
                continue


def _open(path: Path) -> Reader:
    from maxminddb import InvalidDatabaseError, open_database

    try:
        return open_database(path)
    except (OSError, InvalidDatabaseError, ValueError) as error:
        raise GeoError(f"cannot use {path} as an MMDB file: {error}") from None


def _address_set(path: Path | None) -> AddressSet | None:
    if path is None:
        return None
    try:
        with path.open(encoding="utf-8") as lines:
            return AddressSet.read(lines)
    except (OSError, ValueError) as error:
        raise GeoError(f"cannot use {path} as a list of addresses: {error}") from None


def _bins(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    found: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if not row or (number == 1 and not row[0].strip().isdecimal()):
                    continue
                prefix = row[0].strip()
                country = country_code(row[1]) if len(row) > 1 else None
                if not _PREFIX.match(prefix) or country is None:
                    raise GeoError(f"{path}, line {number}: must be a card prefix and a country")
                found[prefix] = country
    except (OSError, ValueError, csv.Error) as error:
        raise GeoError(f"cannot use {path} as a table of card prefixes: {error}") from None
    return found
