"""What can be wrong with an export?

The database decides who may do what; here its refusals become errors. Invariant: each SQLSTATE that
`0013_exports.sql` raises has one error, and the sentence is the database's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import asyncpg

from service.errors import Refused


class ExportNotAllowed(Refused):
    """No role of the person allows this, or the package is somebody else's."""

    code = "export_not_allowed"


class OwnExport(Refused):
    """Nobody decides on what they asked for; nobody else withdraws it."""

    code = "own_export"


class ExportDecided(Refused):
    """It was approved, refused or withdrawn before."""

    code = "export_decided"


class UnknownExport(Refused):
    """There is no export with this id."""

    code = "unknown_export"


class WrongExportState(Refused):
    """What was asked for does not fit the state of the export."""

    code = "wrong_export_state"


class NothingToExport(Refused):
    """No entry under a signed checkpoint is in the range."""

    code = "nothing_to_export"


class TooManyExports(Refused):
    """More packages wait than will be built soon."""

    code = "too_many_exports"


class BuildFailed(Exception):
    """The package cannot be built; the text says why to who waits for it."""

    code = "build_failed"


class PackageNotHere(Refused):
    """The package was built on another machine, or its file is gone."""

    code = "package_not_here"


class RangeUnsatisfiable(Refused):
    """The package does not have the bytes that are asked for."""

    code = "range_unsatisfiable"

    def __init__(self, size: int) -> None:
        super().__init__(f"The package has {size} bytes.")


_BY_STATE: dict[str, type[Refused]] = {
    "TSX01": ExportNotAllowed,
    "TSX02": OwnExport,
    "TSX03": ExportDecided,
    "TSX04": WrongExportState,
    "TSX06": UnknownExport,
}


@contextlib.contextmanager
def export_errors() -> Iterator[None]:
    """Turn the refusals of the database into the errors of this file."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "export_decision_pkey":
            raise ExportDecided("Somebody decided on it at the same moment.") from None
        raise
    except asyncpg.PostgresError as error:
        if found := _BY_STATE.get(str(error.sqlstate)):
            raise found(str(error)) from None
        raise
