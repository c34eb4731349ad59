from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from features.velocity.slots import SLOTS, key_of, owners_of, redirect_of, slot_of

HERE = ("asked", 7000)


@given(st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from("{}"), max_size=20))
def test_every_key_has_the_slot_that_other_clients_give_it(key: str) -> None:
    """Text and bytes, with braces in any places, agree with redis-py."""
    assert slot_of(key) == slot_of(key.encode()) == key_slot(key.encode())


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("SET", "k", 1, "NX", "GET"), "k"),
        (("FCALL", "f", 2, "a", "b", "argument"), "a"),
        (("FCALL", "f", "2", b"a", b"b"), b"a"),
        (("FCALL", "f", 0), None),
        (("MEMORY", "USAGE", "k"), "k"),
        (("FUNCTION", "LOAD", "REPLACE", "text"), None),
        (("SCAN", "0"), None),
        (("PING",), None),
    ],
)
def test_a_commands_first_key_is_found(
    command: tuple[str | bytes | int, ...], key: str | bytes | None
) -> None:
    assert key_of(command) == key


def test_slots_without_an_owner_have_none() -> None:
    owners = owners_of([[0, 5, [b"10.0.0.1", 1, b"id", []], [b"replica", 2, b"id"]]], HERE)
    assert len(owners) == SLOTS
    assert owners[:7] == [("10.0.0.1", 1)] * 6 + [None]


@pytest.mark.parametrize(
    "reply",
    [None, [], b"OK", [[0, 5]], [[0, 5, b"x"]], [[b"0", 5, [b"h", 1]]], [[0, 20000, ["h"]]]],
)
def test_what_is_no_answer_about_slots_is_refused(reply: object) -> None:
    with pytest.raises(ValueError, match=r"CLUSTER SLOTS|no slots"):
        owners_of(reply, HERE)


@pytest.mark.parametrize(
    "error",
    ["MOVED", "MOVED 1", "MOVED x h:1", "MOVED 99999 h:1", "MOVED 1 h:", "ERR MOVED 1 h:1", ""],
)
def test_only_a_correction_that_makes_sense_is_followed(error: str) -> None:
    assert redirect_of(error, HERE) is None


def test_corrections_know_ipv6_and_servers_without_a_name() -> None:
    moved, ask = redirect_of("MOVED 1 ::1:6381", HERE), redirect_of("ASK 1 :6381", HERE)
    assert moved is not None
    assert moved.place == ("::1", 6381)
    assert ask is not None
    assert ask.place == ("asked", 6381)
