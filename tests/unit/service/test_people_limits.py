"""What lies inside somebody's limits, and that the tables of code and database agree."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

import service
from service.api_key import SCOPES
from service.people.errors import _BY_STATE
from service.people.limits import EVERYTHING, Limits, OutsideLimits, limits_of
from service.people.roles import PROGRAM_SCOPES, ROLES, RoleName, scopes_of

MIGRATIONS = Path(service.__file__).parent / "migrations"
MIGRATION = (MIGRATIONS / "0003_people.sql").read_text("utf-8")
LATER_ROLES = (MIGRATIONS / "0011_auditor.sql").read_text("utf-8")


@dataclass(frozen=True)
class Asked:
    """A rule, as far as limits look at it."""

    id: str = "r"
    event_types: tuple[str, ...] = ("checkout",)
    business_lines: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()


SOME = limits_of(["checkout", "payment"], ["grocery"], ["east", "west"])


@pytest.mark.parametrize(
    ("event_type", "line", "region", "pointers"),
    [
        ("checkout", "grocery", "east", []),
        ("login", "grocery", "east", ["/type"]),
        ("checkout", "books", "east", ["/business_line"]),
        ("checkout", None, "east", ["/business_line"]),
        ("checkout", "grocery", None, ["/region"]),
        ("login", None, "", ["/type", "/business_line", "/region"]),
    ],
)
def test_events(event_type: str, line: str | None, region: str | None, pointers: list[str]) -> None:
    """Every limit that an event breaks is named; an event that does not say where is outside."""
    if not pointers:
        SOME.allow_event(event_type, line, region)
        return
    with pytest.raises(OutsideLimits) as caught:
        SOME.allow_event(event_type, line, region)
    assert caught.value.problems is not None
    assert [problem["pointer"] for problem in caught.value.problems] == pointers


def test_the_refusal_does_not_repeat_the_event() -> None:
    """The error says what is allowed, not what somebody sent."""
    with pytest.raises(OutsideLimits) as caught:
        SOME.allow_event("checkout", "secret_line", "secret_region")
    assert "secret" not in f"{caught.value.detail}{caught.value.problems}"
    assert "grocery" in str(caught.value)


def test_rules() -> None:
    """A rule lies inside when it is for nothing but what one is limited to."""
    inside = Asked(business_lines=("grocery",), regions=("west",))
    SOME.allow_rules([inside])
    EVERYTHING.allow_rules([Asked()])
    outside = [
        Asked("types", ("checkout", "login"), ("grocery",), ("east",)),
        Asked("lines", ("checkout",), ("grocery", "books"), ("east",)),
        Asked("all-lines", ("checkout",), (), ("east",)),
        Asked("all-regions", ("checkout",), ("grocery",), ()),
        Asked("no-types", (), ("grocery",), ("east",)),
    ]
    with pytest.raises(OutsideLimits) as caught:
        SOME.allow_rules([inside, *outside, *outside])
    assert caught.value.problems is not None
    assert [problem["pointer"] for problem in caught.value.problems] == [
        f"/rules/{rule.id}" for rule in outside
    ]


def test_what_is_for_the_whole_shop() -> None:
    """Whoever is limited to a part does not touch it."""
    EVERYTHING.allow_everything("policy.yaml")
    with pytest.raises(OutsideLimits, match=r"policy\.yaml"):
        Limits(regions=frozenset({"east"})).allow_everything("policy.yaml")


def test_an_empty_limit_allows_nothing() -> None:
    """No event type at all is not the same as any event type."""
    nothing = limits_of([], None, None)
    assert not nothing.is_everything
    with pytest.raises(OutsideLimits):
        nothing.allow_event("login", None, None)
    with pytest.raises(OutsideLimits):
        nothing.allow_rules([Asked()])


def test_both_limits_hold() -> None:
    """A key's limits and its person's leave what both allow."""
    both = SOME.within(limits_of(["payment", "login"], None, None))
    assert both == limits_of(["payment"], ["grocery"], ["east", "west"])
    assert EVERYTHING.within(SOME) == SOME == SOME.within(EVERYTHING)


def test_every_scope_belongs_to_a_role() -> None:
    """No role has a scope that does not exist, and none is out of everybody's reach."""
    assert scopes_of(ROLES) == set(SCOPES)
    assert set(ROLES) == set(get_args(RoleName))
    assert all(role.description.keys() == {"en", "zh"} for role in ROLES.values())


def test_no_single_role_has_both_hands() -> None:
    """Who writes rules does not approve them by the same role, nor does who gives roles."""
    for role in ROLES.values():
        assert not {"rules:write", "rules:approve"} <= role.scopes
        assert "people:write" not in role.scopes or role.scopes <= {"people:read", "people:write"}


def test_code_and_database_agree() -> None:
    """Roles, the scopes of programs and the states of refusals stand in the migration, too."""
    arrays = [
        set(re.findall(r"'([^']+)'", text))
        for text in re.findall(r"ARRAY\[(.*?)\]", MIGRATION + LATER_ROLES, re.DOTALL)
    ]
    assert arrays == [PROGRAM_SCOPES, set(ROLES) - {"auditor"}, set(ROLES)]
    states = set(re.findall(r"ERRCODE = '(TSP\d\d)'", MIGRATION))
    # TSP08 is what only a hand can cause.
    assert states - {"TSP08"} == set(_BY_STATE)
