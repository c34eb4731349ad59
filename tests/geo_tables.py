"""Small MMDB files in the layouts of the tables that shops have."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from service.geo.mmdb import write_mmdb

# Of each maker: records of one network in China and of one in the US.
LAYOUTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "GeoLite2-Country": (
        {"country": {"iso_code": "CN", "geoname_id": 1814991}, "continent": {"code": "AS"}},
        {"registered_country": {"iso_code": "US"}},
    ),
    "GeoLite2-City": (
        {"city": {"names": {"en": "Hangzhou"}}, "country": {"iso_code": "CN"}},
        {"city": {"names": {"en": "Ashburn"}}, "country": {"iso_code": "US"}},
    ),
    "IPinfo Lite": (
        {"country": "China", "country_code": "CN", "asn": "AS4134", "as_name": "China Telecom"},
        {"country": "United States", "country_code": "US", "asn": "AS16509", "as_name": "Amazon"},
    ),
    "IPinfo country and ASN": (
        {"country": "CN", "country_name": "China", "asn": "AS4134"},
        {"country": "US", "country_name": "United States", "asn": "AS16509"},
    ),
    "ip-location-db": ({"country_code": "CN"}, {"country_code": "US"}),
}


def table(path: Path, networks: Mapping[str, dict[str, Any]], kind: str = "test") -> Path:
    """Write a table of networks and return its path."""
    rows = [(ip_network(network), record) for network, record in networks.items()]
    path.write_bytes(write_mmdb(rows, kind=kind, built=1_781_726_061))
    return path
