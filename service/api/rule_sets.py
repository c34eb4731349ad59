"""Which rule sets are there, what is in them, and are they right?

A version is named by the hash of its files and never changes. `version` in a path is a prefix of
six digits or more, `live`, `previous`, `latest`, or, for reading, `shipped`: what came with this
release.
"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from rules.files import SHIPPED, RuleSetFiles
from service.access import Caller
from service.api import openapi
from service.api.authorized import allowed
from service.api.bounded import RuleSetRoute
from service.api.rule_lifecycle_models import SubmissionAnswer
from service.api.rule_set_models import (
    CheckAnswer,
    DifferenceAnswer,
    ExamplesAnswer,
    FilesAnswer,
    Happened,
    ParameterBody,
    PushAnswer,
    PushBody,
    RuleSetAnswer,
    RuleSetDetail,
)
from service.rule_sets.approval import (
    authors,
    newest_backtest,
    newest_check,
    open_submission,
    record_check,
)
from service.rule_sets.deploying import previous
from service.rule_sets.drafts import files_of, list_names, push
from service.rule_sets.status import history_of, newest, status_of
from service.rule_sets.store import deployed, is_made_from, read_files, resolve
from service.runtime import Runtime
from service.texts import Moment

router = APIRouter(tags=["rule sets"], route_class=RuleSetRoute)

Reader = Annotated[Caller, Depends(allowed("rules:read"))]
Writer = Annotated[Caller, Depends(allowed("rules:write", person=True))]
Version = Annotated[
    str, Path(max_length=64, description="A prefix of a version, `live`, `previous` or `latest`.")
]
SHIPPED_NAME, PREVIOUS_NAME = "shipped", "previous"


def documented(*more: str) -> dict[str, Any]:
    """Return what a route about rule sets says of its errors."""
    codes = (*openapi.ADMIN_PROBLEMS, "body_too_large", "body_too_slow", "wrong_state", *more)
    return {
        "responses": openapi.problems(*codes),
        "openapi_extra": {"security": [{"api_key": []}]},
    }


async def version_of(connection: Any, text: str) -> str:
    """Return the version that a path names; raise `UnknownRuleSet`, `WrongState`."""
    if text == PREVIOUS_NAME:
        return await previous(connection)
    return await resolve(connection, text)


@router.get("/v1/rule-sets", **documented())
async def list_rule_sets(
    request: Request,
    _: Reader,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[
        Moment | None, Query(description="Only those made before, for the next page.")
    ] = None,
) -> list[RuleSetAnswer]:
    """List the versions with their states, newest first."""
    runtime = runtime_of(request)
    async with runtime.actions.connection() as connection:
        found = await newest(connection, runtime.examiner, limit, before)
    return [RuleSetAnswer.of(status) for status in found]


@router.post(
    "/v1/rule-sets",
    status_code=201,
    **documented(
        "unknown_rule_set", "rule_set_invalid", "not_examined", "catalog_changed", "outside_limits"
    ),
)
async def push_rule_set(request: Request, caller: Writer, body: PushBody) -> PushAnswer:
    """Store files as a version, a draft, and say what its check finds and what it changes.

    What has problems is stored, too: a draft may wait for its author. Exactly the same files are
    the same version.
    """
    files = files_of(body.files)
    return await _pushed(request, caller, files, parent=body.parent, note=body.note)


@router.get("/v1/rule-sets/{version}", **documented("unknown_rule_set"))
async def read_rule_set(request: Request, _: Reader, version: Version) -> RuleSetDetail:
    """Say everything about a version: states, what speaks for it, who wrote it, what happened."""
    runtime = runtime_of(request)
    async with runtime.actions.connection() as connection:
        found = await version_of(connection, version)
        status = await status_of(connection, runtime.examiner, found)
        live = (await deployed(connection)).live
        files = await read_files(connection, found)
        check = await newest_check(connection, found, status.catalog)
        backtest = await newest_backtest(connection, found, live, status.catalog)
        submission = await open_submission(connection, found)
        return RuleSetDetail(
            **RuleSetAnswer.of(status).model_dump(),
            files={name: len(text.encode()) for name, text in files.texts.items()},
            authors=[] if found == live else await authors(connection, found, live),
            check=None if check is None else check_answer(check),
            backtest_id=None if backtest is None else str(backtest),
            submission=None if submission is None else submission_answer(submission),
            history=[Happened(**row) for row in await history_of(connection, found)],
        )


@router.get("/v1/rule-sets/{version}/files", **documented("unknown_rule_set"))
async def read_rule_set_files(request: Request, _: Reader, version: Version) -> FilesAnswer:
    """Return the files of a version to the letter; also of `shipped`."""
    files = await _files(request, version)
    return FilesAnswer(version=files.version, files=dict(files.texts))


@router.get(
    "/v1/rule-sets/{version}/diff",
    **documented("unknown_rule_set", "not_examined", "catalog_changed", "rule_set_invalid"),
)
async def compare_rule_sets(
    request: Request,
    _: Reader,
    version: Version,
    against: Annotated[
        str,
        Query(max_length=64, description="A version, `live`, `previous`, `latest` or `shipped`."),
    ] = "live",
) -> DifferenceAnswer:
    """Say what a version changes of another, rule by rule."""
    old, new = await _files(request, against), await _files(request, version)
    return DifferenceAnswer.of(await runtime_of(request).examiner.compare(old, new))


@router.post(
    "/v1/rule-sets/{version}/check",
    **documented("unknown_rule_set", "not_examined", "catalog_changed", "rule_set_invalid"),
)
async def check_rule_set(request: Request, caller: Writer, version: Version) -> CheckAnswer:
    """Check a version with the catalog and the lists of the moment, and keep what is found.

    A check that fails takes the validity from approvals of the version.
    """
    runtime = runtime_of(request)
    async with runtime.actions.connection() as connection:
        files = await read_files(connection, await version_of(connection, version))
        lists = await list_names(connection)
    found = await runtime.examiner.check(files, lists)
    async with runtime.actions.action("rules.check", caller.who, version=files.version) as action:
        action.versions = {"rule_set": files.version, "catalog": found["catalog"]}
        action.what |= {"passed": found["passed"], "problems": len(found["problems"])}
        await record_check(
            action.connection,
            files.version,
            found,
            code=runtime.examiner.code,
            actor=caller.actor,
        )
    return CheckAnswer.model_validate({**found, "version": files.version})


@router.get(
    "/v1/rule-sets/{version}/examples",
    **documented("unknown_rule_set", "not_examined", "catalog_changed", "rule_set_invalid"),
)
async def run_rule_set_examples(request: Request, _: Reader, version: Version) -> ExamplesAnswer:
    """Evaluate all examples of a version, and show each answer."""
    files = await _files(request, version)
    found = (await runtime_of(request).examiner.examples(files))["examples"]
    passed = sum(example["passed"] for example in found)
    return ExamplesAnswer(
        version=files.version, passed=passed, failed=len(found) - passed, examples=found
    )


@router.post(
    "/v1/rule-sets/{version}/parameters",
    status_code=201,
    **documented(
        "unknown_rule_set",
        "rule_set_invalid",
        "parameter_refused",
        "not_examined",
        "catalog_changed",
        "outside_limits",
    ),
)
async def set_rule_parameter(
    request: Request, caller: Writer, version: Version, body: ParameterBody
) -> PushAnswer:
    """Make a draft of a version in which one parameter has another value, within its bounds."""
    runtime = runtime_of(request)
    async with runtime.actions.connection() as connection:
        parent = await version_of(connection, version)
        old = await read_files(connection, parent)
    files = await runtime.examiner.tune(old, body.rule, body.parameter, body.value)
    what = {"rule": body.rule, "parameter": body.parameter, "value": body.value}
    note = body.note or f"{body.rule}: {body.parameter} = {json.dumps(body.value)}"
    return await _pushed(request, caller, files, parent=parent, note=note, what=what)


async def _pushed(
    request: Request,
    caller: Caller,
    files: RuleSetFiles,
    *,
    parent: str,
    note: str,
    what: dict[str, Any] | None = None,
) -> PushAnswer:
    runtime = runtime_of(request)
    async with runtime.actions.connection() as connection:
        made_from = await version_of(connection, parent)
    found = await push(
        runtime.actions,
        runtime.examiner,
        caller,
        files,
        parent=made_from,
        note=note,
        what=what,
    )
    async with runtime.actions.connection() as connection:
        status = await status_of(connection, runtime.examiner, files.version)
        live = (await deployed(connection)).live
        is_made_from_live = await is_made_from(connection, files.version, live)
    return PushAnswer(
        live=live,
        is_made_from_live=is_made_from_live,
        rule_set=RuleSetAnswer.of(status),
        is_new=found["is_new"],
        check=CheckAnswer.model_validate({**found["check"], "version": files.version}),
        difference=DifferenceAnswer.of(found["difference"]),
    )


async def _files(request: Request, version: str) -> RuleSetFiles:
    runtime = runtime_of(request)
    if version == SHIPPED_NAME:
        return await asyncio.to_thread(RuleSetFiles.load, runtime.settings.rules_dir or SHIPPED)
    async with runtime.actions.connection() as connection:
        return await read_files(connection, await version_of(connection, version))


def check_answer(row: dict[str, Any]) -> CheckAnswer:
    """Return a row of `rule_set_check` as it is answered."""
    return CheckAnswer.model_validate({**row, "problems": json.loads(row["problems"])})


def submission_answer(row: dict[str, Any]) -> SubmissionAnswer:
    """Return a row of `rule_set_submission` as it is answered."""
    return SubmissionAnswer.model_validate({**row, "backtest_id": str(row["backtest_id"])})


def runtime_of(request: Request) -> Runtime:
    """Return what the service holds."""
    runtime: Runtime = request.app.state.runtime
    return runtime
