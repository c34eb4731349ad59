from __future__ import annotations

import ssl

import pytest

from features.velocity.address import Address, is_cluster, parse_address, parse_cluster


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://", Address()),
        ("valkey://cache", Address(host="cache")),
        ("redis://cache:7000/4", Address(host="cache", port=7000, database=4)),
        ("redis://[::1]:7000", Address(host="::1", port=7000)),
        ("redis://u:p%40ss@h", Address(host="h", username="u", password="p@ss")),
        ("redis://:p@h?db=2", Address(host="h", password="p", database=2)),
        ("unix:///run/v.sock?db=1", Address(path="/run/v.sock", database=1)),
        ("valkey+unix:///run/v.sock", Address(path="/run/v.sock")),
    ],
)
def test_a_url_names_a_server(url: str, address: Address) -> None:
    assert parse_address(url) == address


@pytest.mark.parametrize("url", ["http://h", "h:6379", "unix://", "redis://h:port", "redis://h/x"])
def test_a_url_that_names_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_address(url)


def test_a_cluster_names_members_with_one_password() -> None:
    members = parse_cluster("redis+cluster://u:p%2C%40@a:7000,[::1]:7001,c")
    places = [(one.host, one.port, one.username, one.password) for one in members]
    assert places == [
        (host, port, "u", "p,@") for host, port in (("a", 7000), ("::1", 7001), ("c", 6379))
    ]
    assert "p,@" not in repr(members)


def test_a_cluster_over_tls_reads_its_certificates_once() -> None:
    """The path of a certificate may hold slashes."""
    one, two = parse_cluster("rediss+cluster://a,b:7?ssl_cert_reqs=none&x=/etc/ca.pem")
    assert one.tls is not None
    assert one.tls is two.tls
    assert one.tls.verify_mode == ssl.CERT_NONE
    assert (one.port, two.port) == (6379, 7)


@pytest.mark.parametrize(
    "url",
    [
        "valkey+cluster://",
        "valkey+cluster://a,,b",
        "valkey+cluster://a/1",
        "valkey+cluster://a?db=1",
        "unix+cluster:///run/v.sock",
        "valkey+cluster://a:port",
        "valkey://a",
    ],
)
def test_a_url_that_names_no_cluster_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_cluster(url)


def test_only_the_scheme_says_that_it_is_a_cluster() -> None:
    assert is_cluster("valkeys+cluster://a")
    assert not is_cluster("valkey://a+cluster,b")


def test_tls_is_verified_unless_the_url_says_otherwise() -> None:
    strict, lax = (
        parse_address("rediss://h").tls,
        parse_address("rediss://h?ssl_cert_reqs=none").tls,
    )
    assert strict is not None
    assert lax is not None
    assert (strict.verify_mode, strict.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (lax.verify_mode, lax.check_hostname) == (ssl.CERT_NONE, False)


def test_a_password_is_in_no_representation() -> None:
    assert "hunter2" not in repr(parse_address("redis://u:hunter2@h"))


def test_a_session_opens_with_who_we_are_and_which_database() -> None:
    greeting = parse_address("redis://u:p@h/3").greeting()
    assert greeting == [("AUTH", "u", "p"), ("SELECT", "3"), ("PING",)]
    assert parse_address("redis://h").greeting() == [("PING",)]
