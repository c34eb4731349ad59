"""Are recorded decisions the ones that their rules, model and facts give?

`touchstone ledger replay`, on the machine. Invariant: nothing of an entry is shown but its id; that
it was done is itself on the record.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.options import Var
from service.cli.times import TIMES, in_utc

if TYPE_CHECKING:
    from service.actions import Actions
    from service.audit.replay_tally import ReplayTally

DIFFERENT, INCOMPLETE = 2, 4

Since = Annotated[
    datetime | None,
    typer.Option(formats=TIMES, help="Decisions from this time on (UTC)", show_default=False),
]
Until = Annotated[
    datetime | None, typer.Option(formats=TIMES, help="... before this time", show_default=False)
]


def replay(  # noqa: PLR0913 - an option each
    since: Since = None,
    until: Until = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="So many, oldest first", show_default=False)
    ] = None,
    entry: Annotated[
        str | None, typer.Option(metavar="ID", help="This decision only", show_default=False)
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, max=64, help="Default: 2 if it is worth it")
    ] = None,
    package: Annotated[
        Path | None,
        typer.Option(help="An export instead of the record; needs no database and no keys"),
    ] = None,
    rules: Annotated[
        list[Path] | None, typer.Option(help="With --package: directories of rule sets")
    ] = None,
    bundles: Annotated[
        Path | None, typer.Option(help="With --package: bundles. Default: those under --var")
    ] = None,
    var: Var = None,
) -> None:
    """Compute decisions again from their entries: outcome, score bits, hits and reasons.

    Exit code: 0 all equal, 2 some differ, 4 some could not be computed.
    """
    by_record = {"--since": since, "--until": until, "--limit": limit, "--entry": entry}
    _refuse_together("--package", package, {**by_record, "--processes": processes})
    _refuse_together("--entry", entry, {name: by_record[name] for name in list(by_record)[:3]})
    if package is None and (rules or bundles):
        raise typer.BadParameter("--rules and --bundles go with --package")
    if package is not None:
        tally = _of_package(package, rules or [], bundles, var)
    else:
        tally = _of_record(since, until, limit, entry, processes, var)
    for line in lines_of(tally):
        typer.echo(line)
    if tally.differing:
        raise typer.Exit(DIFFERENT)
    is_missing = tally.missing or tally.unread["damaged"]
    if is_missing or (not tally.equal and (entry is not None or package is not None)):
        raise typer.Exit(INCOMPLETE)


def _of_package(
    package: Path, rules: list[Path], bundles: Path | None, var: Path | None
) -> ReplayTally:
    import asyncio

    from features.catalog import DEFAULT_PATH, Catalog
    from service.audit.replay_disclosed import replay_package
    from service.settings import load_settings

    settings = load_settings(var)
    catalog = Catalog.load(settings.catalog or DEFAULT_PATH)
    return asyncio.run(replay_package(package, rules, bundles or settings.var / "bundles", catalog))


def _of_record(
    since: datetime | None,
    until: datetime | None,
    limit: int | None,
    entry: str | None,
    processes: int | None,
    var: Path | None,
) -> ReplayTally:
    from service.audit.replay_run import replay_entry, replay_span
    from service.cli.recording import on_this_machine, with_actions
    from service.settings import load_settings

    settings = load_settings(var)
    entry_id = None if entry is None else _entry_id(entry)
    begin = None if since is None else in_utc(since)
    end = None if until is None else in_utc(until)

    async def act(actions: Actions) -> ReplayTally:
        what = {"since": begin, "until": end, "limit": limit, "entry": entry}
        said = {name: value for name, value in what.items() if value is not None}
        async with actions.action("audit.replay", on_this_machine(), **said):
            pass  # what is read is on the record before it is read
        if entry_id is not None:
            return await replay_entry(settings, actions.dsn, entry_id)
        return await replay_span(settings, actions.dsn, begin, end, limit, shown, processes)

    return with_actions(settings, act)


def lines_of(tally: ReplayTally) -> list[str]:
    """Return what people read of a replay."""
    if not tally.total:
        return ["No decision is there: nothing was computed."]
    computed = tally.equal + tally.differing
    lines = [f"{tally.equal} of {computed} decisions computed again are equal to the bit."]
    lines += [f"  differs: {entry} in {', '.join(names)}" for entry, names in tally.different]
    if tally.differing > len(tally.different):
        lines.append(f"  ... and {tally.differing - len(tally.different)} more")
    lines += [f"{count} not computed: {part}." for part, count in sorted(tally.missing.items())]
    lines += [
        f"{count} not computed: {_UNREAD[why]}."
        for why, count in sorted(tally.unread.items())
        if count
    ]
    for code, count in sorted(tally.other_code.items()):
        lines.append(
            f"{count} were decided by code {code[:16] or '(not named)'}, not by the code here: "
            "a difference may be the code's."
        )
    if tally.model_failed:
        lines.append(f"In {tally.model_failed} the model had failed; that was taken as it was.")
    return lines


def _refuse_together(option: str, value: object, others: Mapping[str, object]) -> None:
    """Refuse options that would be passed over."""
    if value is not None and (given := [name for name, one in others.items() if one is not None]):
        raise typer.BadParameter(f"{option} does not go with {', '.join(given)}")


_UNREAD = {
    "erased": "the person was erased, or their data are past their retention",
    "restricted": "the person's data are restricted",
    "gone": "past their retention",
    "damaged": "the entry cannot be opened; `touchstone ledger verify` says more",
    "withheld": "the package does not disclose both of its blocks",
    "early": "entries of early releases, without the facts",
}


def _entry_id(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 16:
        raise typer.BadParameter("an entry id has 32 hexadecimal digits")
    return found


def shown(done: int, total: int) -> None:
    """Say how far it is: on a terminal in one line that is written over, else a line each time."""
    is_terminal = sys.stderr.isatty()
    start, is_line = ("\r", done >= total) if is_terminal else ("", True)
    typer.echo(f"{start}{done} of {total}", nl=is_line, err=True)
