from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.event_features import EVENT_FUNCTIONS, Stated
from features.fields import fields_of
from features.geo import GeoError, GeoTable
from features.geo_record import asn_of, country_of
from features.money import CurrencyTable
from features.signals.address_set import AddressSet
from tests.geo_tables import LAYOUTS, table
from tests.unit.features.conftest import Build

CHINA, AMERICA, ELSEWHERE = "36.1.2.3", "3.4.5.6", "8.8.8.8"
NETWORKS = {
    "36.0.0.0/8": {"autonomous_system_number": 4134},
    "3.0.0.0/8": {"autonomous_system_number": 16509},
    "2400:3200::/32": {"autonomous_system_number": 37963},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_table_of_any_maker_places_an_address(tmp_path: Path, layout: str) -> None:
    """The country is read out of every layout, and of an address without record nothing is said."""
    china, america = LAYOUTS[layout]
    path = table(tmp_path / "t.mmdb", {"36.0.0.0/8": china, "3.0.0.0/8": america})
    geo = GeoTable.open(path)
    assert (geo.place(CHINA).country, geo.place(AMERICA).country) == ("CN", "US")
    assert geo.place(ELSEWHERE).country is None
    geo.close()


@pytest.mark.parametrize("number", [True, 0, -1, 2**32, "ASN", "ASx", "0", 1.5, None, {}])
def test_what_is_no_network_number_is_none(number: object) -> None:
    """A record in another shape says nothing, in whichever key the number stands."""
    assert asn_of({"autonomous_system_number": number}) is None
    assert asn_of({"asn": number}) is None
    assert country_of({"country_code": number, "country": number}) is None


def test_hosting_is_told_by_the_network_that_announces_an_address(tmp_path: Path) -> None:
    """A cloud's address is hosting, a carrier's is not, and one of no known network is unknown."""
    geo = GeoTable.open(asn_path=table(tmp_path / "asn.mmdb", NETWORKS))
    assert (geo.place(AMERICA).is_hosting, geo.place(AMERICA).network_class) == (True, "hosting")
    assert (geo.place(CHINA).is_hosting, geo.place(CHINA).network_class) == (False, "public")
    assert geo.place("2400:3200::1").is_hosting is True
    assert geo.place(ELSEWHERE).is_hosting is None
    assert geo.place(ELSEWHERE).asn is None


def test_countries_and_networks_come_from_two_files_or_one(tmp_path: Path) -> None:
    """Two tables complete each other, and one that holds both may be given for both."""
    country = table(tmp_path / "c.mmdb", {"3.0.0.0/8": {"country_code": "US"}})
    asn = table(tmp_path / "a.mmdb", NETWORKS)
    assert GeoTable.open(country, asn).place(AMERICA)[:3] == ("US", "hosting", 16509)
    both = {"3.0.0.0/8": {"country_code": "US", "asn": "AS16509"}}
    path = table(tmp_path / "b.mmdb", both)
    assert GeoTable.open(path, path).place(AMERICA)[:3] == ("US", "hosting", 16509)


def test_lists_of_a_shop_name_tor_exits_and_hosting(tmp_path: Path) -> None:
    """A list of addresses, networks and AS numbers decides where no table does."""
    tor, hosting = tmp_path / "tor.txt", tmp_path / "hosting.txt"
    tor.write_text("ExitNode 0011\nExitAddress 8.8.8.8 2026-11-22 05:00:00\n9.9.9.9\n")
    hosting.write_text("# ours\n1.1.1.0/24  # a cloud\nAS4134\n")
    geo = GeoTable.open(
        asn_path=table(tmp_path / "a.mmdb", NETWORKS), tor_path=tor, hosting_path=hosting
    )
    assert (geo.place("8.8.8.8").is_tor, geo.place("8.8.8.8").network_class) == (True, "tor")
    assert geo.place("9.9.9.9").is_tor is True
    assert (geo.place(CHINA).is_tor, geo.place(CHINA).is_hosting) == (False, True)
    assert geo.place("1.1.1.7").is_hosting is True
    assert geo.place("7.7.7.7").is_hosting is False
    assert GeoTable.open().place("8.8.8.8").is_tor is None


def test_an_address_of_no_customer_has_no_country(tmp_path: Path) -> None:
    """A private address is private, whatever a table says of it."""
    path = table(tmp_path / "t.mmdb", {"10.0.0.0/8": {"country_code": "US", "asn": "AS16509"}})
    assert GeoTable.open(path).place("10.1.2.3")[:3] == (None, "private", None)


def test_the_longest_prefix_of_a_card_counts(tmp_path: Path) -> None:
    """A row of eight digits goes before one of six; a header is no row."""
    bins = tmp_path / "bins.csv"
    bins.write_text("prefix,country\n622588,CN\n62258899,hk\n4,US\n".replace("4,US", "45,US"))
    geo = GeoTable.open(bins_path=bins)
    assert geo.card_country("622588") == "CN"
    assert geo.card_country("62258899") == "HK"
    assert geo.card_country("453201") == "US"
    assert geo.card_country("399999") is None


@pytest.mark.parametrize(
    ("name", "content", "option"),
    [
        ("country.mmdb", "no table", "country_path"),
        ("tor.txt", "1.2.3.4\nnot an address\n", "tor_path"),
        ("bins.csv", "622588,CN\n62258x,CN\n", "bins_path"),
        ("bins.csv", "622588,China\n", "bins_path"),
        ("hosting.txt", None, "hosting_path"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(
    tmp_path: Path, name: str, content: str | None, option: str
) -> None:
    """Opening fails with the file's name; no part of a broken file is used."""
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(GeoError, match=name):
        GeoTable.open(**{option: path})


def test_networks_that_touch_or_overlap_hold_their_edges() -> None:
    """First and last address of a network are in it, their neighbours are not."""
    listed = AddressSet.read(["1.1.1.0/25", "1.1.1.128/25", "1.1.1.64/26", "2001:db8::/127"])
    assert listed.holds("1.1.1.0")
    assert listed.holds("1.1.1.255")
    assert not listed.holds("1.1.0.255")
    assert not listed.holds("1.1.2.0")
    assert listed.holds("2001:db8::1")
    assert not listed.holds("2001:db8::2")
    assert not listed.holds("::1")
    assert not listed.holds("no address")


@pytest.fixture
def say(tmp_path: Path, build: Build, currencies: CurrencyTable) -> Callable[..., dict[str, Any]]:
    """Give what every function says of a checkout, with tables of countries, networks and cards."""
    country = table(
        tmp_path / "c.mmdb",
        {"36.0.0.0/8": {"country_code": "CN"}, "3.0.0.0/8": {"country_code": "US"}},
    )
    bins = tmp_path / "bins.csv"
    bins.write_text("622588,CN\n400000,US\n")
    tables = GeoTable.open(country, table(tmp_path / "a.mmdb", NETWORKS), bins_path=bins)

    def functions(geo: GeoTable | None = tables, **parts: Any) -> dict[str, Any]:
        event = build("checkout", **parts)
        stated = Stated(event, fields_of(event, currencies), currencies, geo)
        return {name: row.function(stated) for name, row in EVENT_FUNCTIONS.items()}

    return functions


def test_an_honest_order_has_one_country(say: Callable[..., dict[str, Any]]) -> None:
    """Address, phone, IP, card and clock of one country contradict nowhere."""
    said = say(network={"ip": CHINA})
    assert said["distinct_countries"] == 1
    assert [name for name, value in said.items() if "contradicts" in name and value] == []
    assert (said["ip_country"], said["card_country"], said["phone_country"]) == ("CN",) * 3
    assert (said["ip_is_hosting"], said["ip_network"]) == (False, "public")


def test_a_stolen_card_used_through_a_cloud_contradicts(
    say: Callable[..., dict[str, Any]],
) -> None:
    """IP and card of another country than the address are seen one by one, and counted."""
    said = say(network={"ip": AMERICA}, payment={"bin": "400000"}, user={"phone": "+819012345678"})
    assert said["distinct_countries"] == 3
    assert said["ip_contradicts_country"]
    assert said["card_contradicts_country"]
    assert said["ip_contradicts_phone"]
    assert said["phone_contradicts_country"]
    assert said["timezone_contradicts_ip"]
    assert said["ip_contradicts_card"] is False
    assert (said["ip_network"], said["ip_asn"]) == ("hosting", 16509)


def test_without_tables_nothing_is_said_of_places(say: Callable[..., dict[str, Any]]) -> None:
    """Unknown is None: no table means no country, no contradiction and no network."""
    said = say(geo=None, network={"ip": AMERICA}, user={"phone": None})
    places = [name for name in said if name.startswith(("ip_", "card_", "distinct", "timezone_c"))]
    known = {name for name in places if said[name] is not None}
    assert known == {"ip_class", "ip_is_public", "ip_network", "timezone_contradicts_country"}
