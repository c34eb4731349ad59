"""How does what an analyst wrote become a version?

Read, checked and compared beside the traffic, then stored with its check in one action. Invariant:
what a person with limits pushes differs from its parent within those limits only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rules.errors import ContentError
from rules.files import RuleSetFiles
from service.access import Caller
from service.actions import Actions
from service.lists.table import all_lists
from service.people.limits import Limits
from service.rule_sets.approval import record_check
from service.rule_sets.errors import RuleSetRejected
from service.rule_sets.examiner import Answer, Examiner
from service.rule_sets.store import add_version, check_storable, read_files


@dataclass(frozen=True, slots=True)
class ScopeOfRule:
    """What limits look at in a rule."""

    id: str
    event_types: tuple[str, ...]
    business_lines: tuple[str, ...]
    regions: tuple[str, ...]

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> ScopeOfRule:
        """Return the scope of a rule as `difference` describes it."""
        return cls(
            found["id"],
            tuple(found["event_types"]),
            tuple(found["business_lines"]),
            tuple(found["regions"]),
        )


def files_of(texts: Mapping[str, str]) -> RuleSetFiles:
    """Return files as they were sent; raise `RuleSetRejected` with every problem."""
    try:
        files = RuleSetFiles.of(texts)
    except ContentError as error:
        problems = [
            {
                "pointer": f"/files/{found.file.replace('~', '~0').replace('/', '~1')}",
                "code": found.code,
                "detail": f"{found.message} {found.hint}".strip(),
            }
            for found in error.diagnostics
        ]
        raise RuleSetRejected(None, problems) from None
    check_storable(files)
    return files


async def push(
    actions: Actions,
    examiner: Examiner,
    caller: Caller,
    files: RuleSetFiles,
    *,
    parent: str,
    note: str,
    what: Mapping[str, Any] | None = None,
) -> Answer:
    """Store files as a version made from `parent`; return `is_new`, `check` and `difference`.

    Exactly these files being there already is no error. Raises `OutsideLimits`, `RuleSetRejected`
    and `NotExamined`.
    """
    async with actions.connection() as connection:
        old = await read_files(connection, parent)
        lists = await list_names(connection)
        is_there = await connection.fetchval(
            "SELECT EXISTS (SELECT FROM rule_set WHERE version = $1)", files.version
        )
    found = await examiner.study(files, old, lists)
    allow_difference(caller.limits, found["difference"])
    if is_there:
        return {**found, "is_new": False}
    who = {**caller.who, "note": note}
    async with actions.action("rules.push", who, parent=parent, **(what or {})) as action:
        is_new = await add_version(
            action.connection, files, found["parts"], parent=parent, author=caller.actor, note=note
        )
        if is_new:
            await record_check(
                action.connection,
                files.version,
                found["check"],
                code=examiner.code,
                actor=caller.actor,
            )
        action.versions = {"rule_set": files.version}
        action.what |= {
            "version": files.version,
            "is_new": is_new,
            "passed": found["check"]["passed"],
            "rules": {one["id"]: one["change"] for one in found["difference"]["rules"]},
        }
    return {**found, "is_new": is_new}


async def list_names(connection: Any) -> list[str]:
    """Return the names of the lists that rules may ask."""
    return [one.name for one in await all_lists(connection)]


def allow_difference(limits: Limits, difference: Answer) -> None:
    """Raise `OutsideLimits` unless every change lies within the limits."""
    for name in difference["whole_shop"]:
        limits.allow_everything(name)
    limits.allow_rules(_scopes(difference["rules"]))


def _scopes(changes: Iterable[Mapping[str, Any]]) -> Iterable[ScopeOfRule]:
    for change in changes:
        for side in (change["before"], change["after"]):
            if side is not None:
                yield ScopeOfRule.of(side)
