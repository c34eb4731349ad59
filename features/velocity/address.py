"""Where a Valkey or Redis server is: its URL, taken apart once.

`redis://`, `valkey://` (TCP), `rediss://`, `valkeys://` (TLS), `unix://`, `redis+unix://`,
`valkey+unix://` (socket file). User, password and database as usual; TLS options are
`ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` and `ssl_cert_reqs=none`.
With `+cluster` behind the scheme (`valkey+cluster://user:password@one:6379,two:6379`) the hosts are
members of a cluster, any of them, and have user, password and TLS options in common.
A password never appears in a representation or an error.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qs, unquote, urlsplit

_TCP = {"redis", "valkey"}
_TLS = {"rediss", "valkeys"}
_UNIX = {"unix", "redis+unix", "valkey+unix"}
_CLUSTER = "+cluster"


@dataclass(frozen=True, slots=True)
class Address:
    """One server: either `host` and `port`, or `path` of its socket file."""

    host: str = "127.0.0.1"
    port: int = 6379
    path: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    tls: ssl.SSLContext | None = None

    def greeting(self) -> list[tuple[str, ...]]:
        """Commands that open a session; the last is a PING, which a loading server refuses."""
        commands: list[tuple[str, ...]] = []
        if self.password is not None:
            commands.append(("AUTH", self.username or "default", self.password))
        if self.database:
            commands.append(("SELECT", str(self.database)))
        commands.append(("PING",))
        return commands


def parse_address(url: str) -> Address:
    """Take a URL apart; raise ValueError on one that names no server.

    >>> parse_address("redis://:secret@cache:6380/2")
    Address(host='cache', port=6380, path=None, username=None, database=2, tls=None)
    >>> parse_address("unix:///run/valkey.sock").path
    '/run/valkey.sock'
    """
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    username = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else None
    if parts.scheme in _UNIX:
        if not parts.path:
            raise ValueError("a unix URL needs the path of the socket")
        return Address(
            path=unquote(parts.path),
            username=username,
            password=password,
            database=int(options.get("db", "0")),
        )
    if parts.scheme not in _TCP | _TLS:
        raise ValueError(f"unknown scheme {parts.scheme!r}; use redis, rediss or unix")
    return Address(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 6379,
        username=username,
        password=password,
        database=int(parts.path.strip("/") or options.get("db", "0")),
        tls=_context(options) if parts.scheme in _TLS else None,
    )


def is_cluster(url: str) -> bool:
    """Tell whether a URL names members of a cluster.

    >>> is_cluster("rediss+cluster://one:6379"), is_cluster("rediss://one:6379")
    (True, False)
    """
    return url.partition("://")[0].endswith(_CLUSTER)


def parse_cluster(url: str) -> tuple[Address, ...]:
    """Take the URL of a cluster apart; raise ValueError on one that names no members.

    >>> [(one.host, one.port) for one in parse_cluster("valkey+cluster://a:7000,[::1]:7001,c")]
    [('a', 7000), ('::1', 7001), ('c', 6379)]
    """
    scheme, _, rest = url.partition("://")
    end = next((at for at, char in enumerate(rest) if char in "/?"), len(rest))
    user, at_sign, hosts = rest[:end].rpartition("@")
    if not is_cluster(url) or not all(hosts.split(",")):
        raise ValueError("a cluster's URL is valkey+cluster://host:port,host:port")
    plain = scheme.removesuffix(_CLUSTER)
    if plain not in _TCP | _TLS:
        raise ValueError(f"unknown scheme {scheme!r}; use valkey{_CLUSTER} or rediss{_CLUSTER}")
    members = [
        parse_address(f"{plain}://{user}{at_sign}{host}{rest[end:]}") for host in hosts.split(",")
    ]
    if any(member.database for member in members):
        raise ValueError("a cluster has no numbered databases")
    # One TLS context for all: each of them would read the certificate files again.
    return tuple(replace(member, tls=members[0].tls) for member in members)


def _context(options: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    if options.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if "ssl_certfile" in options:
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    return context
