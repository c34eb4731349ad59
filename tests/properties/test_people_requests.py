"""Changes of roles in any order by anybody, the database against a model of ten lines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Refused
from service.people.first import first_people
from service.people.people import list_people
from service.people.requests import Decision, decide, request_roles, role_requests

PEOPLE = ("ana", "bo", "cy", "di")
ADMIN = frozenset({"admin"})


@dataclass
class Model:
    """What the roles should be."""

    roles: dict[str, frozenset[str]]
    # For each request: person, roles, who asked, what it was based on; then whether it is decided.
    asked: list[tuple[str, frozenset[str], str, int | None]] = field(default_factory=list)
    decided: dict[int, str] = field(default_factory=dict)
    base: dict[str, int | None] = field(default_factory=dict)

    def is_admin(self, person: str) -> bool:
        return "admin" in self.roles.get(person, ())

    def request(self, person: str, roles: frozenset[str], actor: str) -> bool:
        if self.is_admin(actor):
            self.asked.append((person, roles, actor, self.base.get(person)))
        return self.is_admin(actor)

    def decide(self, number: int, decision: Decision, actor: str) -> bool:
        person, roles, asker, base = self.asked[number]
        if number in self.decided:
            return False
        if decision == "withdrawn":
            allowed = actor == asker
        else:
            allowed = self.is_admin(actor) and actor not in (asker, person)
        if allowed and decision == "approved":
            after = {**self.roles, person: roles}
            allowed = (
                self.is_admin(asker)
                and base == self.base.get(person)
                and sum("admin" in held for held in after.values()) >= 2
            )
            if allowed:
                self.roles, self.base[person] = after, number
        if allowed:
            self.decided[number] = decision
        return allowed


person = st.sampled_from(PEOPLE)
roles = st.sampled_from(
    [frozenset(), frozenset(), ADMIN, frozenset({"analyst"}), ADMIN | {"approver"}]
)
STEPS = st.lists(
    st.one_of(
        # Asked and approved at once: what most changes are.
        st.tuples(st.just("change"), person, roles, st.tuples(person, person)),
        st.tuples(st.just("ask"), person, roles, person),
        st.tuples(
            st.just("decide"),
            st.integers(0, 3),  # how many requests ago
            # Mostly approvals: they are what changes something.
            st.sampled_from(["approved"] * 6 + ["refused", "withdrawn"]),
            person,
        ),
    ),
    min_size=10,
    max_size=60,
)


@settings(max_examples=60)
@given(steps=STEPS)
def test_any_order_of_requests_and_decisions(
    module_postgres_url: str, steps: Sequence[tuple[Any, ...]]
) -> None:
    """What is refused and what is in force is what the model says, and two admins remain."""
    asyncio.run(_compare(module_postgres_url, steps))


async def _compare(dsn: str, steps: Sequence[tuple[Any, ...]]) -> None:
    connection = await asyncpg.connect(dsn)
    transaction = connection.transaction()
    await transaction.start()
    try:
        first = {"ana": ADMIN, "bo": ADMIN, "cy": ADMIN, "di": frozenset[str]()}
        await first_people(connection, first)
        model = Model(dict(first))
        numbers: list[int] = []
        for step in steps:
            kind, subject, what, actor = step
            if kind == "change":
                asked = await _take(connection, model, numbers, ("ask", subject, what, actor[0]))
                if asked:
                    step = ("decide", 0, "approved", actor[1])
                    await _take(connection, model, numbers, step)
            else:
                await _take(connection, model, numbers, step)
            found = {one.id: frozenset(one.roles) for one in await list_people(connection)}
            assert found == model.roles
            assert sum("admin" in held for held in found.values()) >= 2
        states = {one.id: one.state for one in await role_requests(connection)}
        for index, number in enumerate(numbers):
            assert states[number] in (model.decided.get(index), "open", "lapsed")
            assert (states[number] in ("open", "lapsed")) == (index not in model.decided)
    finally:
        await transaction.rollback()
        await connection.close()


async def _take(connection: Any, model: Model, numbers: list[int], step: tuple[Any, ...]) -> bool:
    """Take the step in both, check that both take it or neither does, and say whether."""
    kind, subject, what, actor = step
    if kind == "decide" and not numbers:
        return False
    accepted = True
    place = len(numbers) - 1 - subject % len(numbers) if kind == "decide" else len(numbers)
    try:
        async with connection.transaction():
            if kind == "ask":
                number = await request_roles(
                    connection, person=subject, roles=what, reason="any", actor=actor
                )
            else:
                await decide(connection, numbers[place], what, actor)
    except Refused:
        accepted = False
    if kind == "ask":
        assert accepted == model.request(subject, what, actor), step
        if accepted:
            numbers.append(number)
    else:
        assert accepted == model.decide(place, what, actor), step
    return accepted
