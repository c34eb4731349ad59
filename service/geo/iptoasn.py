"""What does a file of iptoasn.com say, as an MMDB table of countries and networks?

Its columns: first address, last address, AS number, country, name of the AS; tab-separated, gzipped
or not. Public domain (PDDL 1.0). Invariant: a line that is no row is refused with its number.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from ipaddress import ip_address, summarize_address_range
from pathlib import Path
from typing import Any

from features.geo_record import country_code
from service.geo.errors import GeoInstallError
from service.geo.mmdb import Network

COLUMNS = 5
_GZIP = b"\x1f\x8b"


def read_rows(path: Path) -> Iterator[tuple[Network, dict[str, Any]]]:
    """Yield each network with what is known of it; raise `GeoInstallError` for another layout."""
    with path.open("rb") as head:
        zipped = head.read(2) == _GZIP
    with gzip.open(path, "rb") if zipped else path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            cells = line.decode("utf-8", "replace").rstrip("\r\n").split("\t")
            if cells == [""]:
                continue
            try:
                if len(cells) < COLUMNS:
                    raise ValueError  # noqa: TRY301 - the same answer as for a wrong address
                networks = list(_networks(cells[0], cells[1]))
                asn = int(cells[2])
            except (ValueError, TypeError):
                text = f"{path}, line {number}: no row of first, last, AS number, country, name"
                raise GeoInstallError(text) from None
            country = country_code(cells[3])
            record: dict[str, Any] = {} if country is None else {"country_code": country}
            if asn:
                record["autonomous_system_number"] = asn
                record["autonomous_system_organization"] = cells[4]
            if record:
                for network in networks:
                    yield network, record


def _networks(first: str, last: str) -> Iterator[Network]:
    """Give the networks of a range; raise ValueError or TypeError (two versions) for no range."""
    start, end = ip_address(first), ip_address(last)
    return summarize_address_range(start, end)
