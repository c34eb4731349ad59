from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path

import maxminddb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.geo.mmdb import Network, write_mmdb

records = st.fixed_dictionaries(
    {"country_code": st.sampled_from(["CN", "US", "DE"])},
    optional={
        "autonomous_system_number": st.integers(0, 2**32 - 1),
        "name": st.text(max_size=400),
        "is_hosting": st.booleans(),
        "traits": st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    },
)
v4 = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 32)).map(
    lambda pair: ip_network((pair[0] >> (32 - pair[1]) << (32 - pair[1]), pair[1]))
)
v6 = st.tuples(st.integers(2**125, 2**128 - 1), st.integers(3, 128)).map(
    lambda pair: ip_network((pair[0] >> (128 - pair[1]) << (128 - pair[1]), pair[1]))
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(v4 | v6, records), min_size=1, max_size=12), st.data())
def test_a_reader_finds_what_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[Network, dict[str, object]]],
    data: st.DataObject,
) -> None:
    """Of any address, libmaxminddb reads the record of the last network added that holds it."""
    path = tmp_path_factory.mktemp("mmdb") / "t.mmdb"
    path.write_bytes(write_mmdb(rows, kind="test", built=1))
    inside = [net[data.draw(st.integers(0, net.num_addresses - 1))] for net, _ in rows]
    with maxminddb.open_database(path) as reader:
        for address in [*inside, ip_address("198.51.100.1"), ip_address("2a00::1")]:
            holding = [record for net, record in rows if address in net]
            assert reader.get(str(address)) == (holding[-1] if holding else None)


def test_a_long_text_is_written_in_each_form_of_its_length(tmp_path: Path) -> None:
    """Sizes around each border of the format are read back."""
    for size in (0, 28, 29, 284, 285, 65820, 65821, 70000):
        path = tmp_path / f"{size}.mmdb"
        record = {"name": "x" * size}
        path.write_bytes(write_mmdb([(ip_network("8.0.0.0/8"), record)], kind="test", built=1))
        with maxminddb.open_database(path) as reader:
            assert reader.get("8.8.8.8") == record


@pytest.mark.parametrize("everything", ["0.0.0.0/0", "::/0", "::/96"])
def test_a_network_of_every_ipv4_address_is_refused(everything: str) -> None:
    """Such a row would hide the whole table."""
    with pytest.raises(ValueError, match="every IPv4 address"):
        write_mmdb([(ip_network(everything), {"country_code": "CN"})], kind="test", built=1)
