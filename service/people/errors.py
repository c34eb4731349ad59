"""What can be wrong with a change of people and roles?

The database decides; here its refusals become errors. Invariant: each SQLSTATE that
`0003_people.sql` raises has one error, and the sentence is the database's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import asyncpg

from service.errors import Refused


class PersonInvalid(Refused):
    """This cannot be the id of a person."""

    code = "invalid_person"


class UnknownRole(Refused):
    """There is no such role."""

    code = "unknown_role"


class PeopleExist(Refused):
    """There were first people already."""

    code = "people_exist"


class UnknownPerson(Refused):
    """There is nobody with this id."""

    code = "unknown_person"


class UnknownRoleRequest(Refused):
    """There is no role request with this number."""

    code = "unknown_role_request"


class RoleRequestDecided(Refused):
    """The request was approved, refused or withdrawn before."""

    code = "role_request_decided"


class RoleRequestLapsed(Refused):
    """The roles of the person, or of who asked, changed since the request."""

    code = "role_request_lapsed"


class OwnRoleRequest(Refused):
    """Nobody decides on what they asked for, or on what concerns themselves."""

    code = "own_role_request"


class NotAnAdmin(Refused):
    """Only admins ask for roles and decide on them."""

    code = "not_an_admin"


class TooFewAdmins(Refused):
    """Two admins must remain: one alone could not change anything any more."""

    code = "too_few_admins"


_BY_STATE: dict[str, type[Refused]] = {
    "TSP01": NotAnAdmin,
    "TSP02": OwnRoleRequest,
    "TSP03": RoleRequestLapsed,
    "TSP04": TooFewAdmins,
    "TSP05": RoleRequestDecided,
    "TSP06": UnknownRoleRequest,
}
_BY_CONSTRAINT: dict[str, type[Refused]] = {
    "person_id_is_a_name": PersonInvalid,
    "role_request_roles_exist": UnknownRole,
    "role_request_person_fkey": UnknownPerson,
    "api_key_person_fkey": UnknownPerson,
    "role_decision_request_id_key": RoleRequestDecided,
    "people_start_pkey": PeopleExist,
}
_SENTENCES = {
    "person_id_is_a_name": (
        "A person's id has 1 to 64 letters a-z, digits and . _ - and is not 'system'."
    ),
    "role_request_person_fkey": "There is nobody with this id.",
    "api_key_person_fkey": "There is nobody with this id: `touchstone people list` shows them.",
    "role_decision_request_id_key": "Somebody decided on it at the same moment.",
    "people_start_pkey": "There are people already: their admins let others in.",
}


@contextlib.contextmanager
def people_errors() -> Iterator[None]:
    """Turn the refusals of the database into the errors of this file."""
    try:
        yield
    except asyncpg.PostgresError as error:
        if found := _BY_STATE.get(str(error.sqlstate)):
            raise found(str(error)) from None
        constraint = getattr(error, "constraint_name", None) or ""
        if found := _BY_CONSTRAINT.get(constraint):
            raise found(_SENTENCES.get(constraint)) from None
        raise
