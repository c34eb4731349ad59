from __future__ import annotations

import ssl

import pytest

from features.velocity.address import Address, parse_address


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
