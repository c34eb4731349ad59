"""How does a version come live, and how is it taken back? `touchstone rules submit | ...`.

One person submits, another approves; each command says what comes next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.api_client import Key, Url
from service.cli.options import Var
from service.cli.rule_files import Version, short
from service.cli.rules_versions import Note, client_of, moment

if TYPE_CHECKING:
    from service.cli.api_client import ApiClient

Share = Annotated[
    float,
    typer.Option(min=0.01, max=99.99, metavar="PERCENT", help="For how many of a hundred"),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask")]


def submit(
    version: Version,
    note: Note = "",
    backtest: Annotated[
        str | None,
        typer.Option(help="The backtest that speaks for it. Default: the newest against live"),
    ] = None,
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Ask for approval of a version with a passed check and a backtest against what is live."""
    body = {"note": note, "backtest": backtest}
    found = _act(client_of(key, url, var), version, "submit", body)
    typer.echo(
        f"{short(found['version'])} is submitted, to replace {short(found['baseline'])}.\n"
        f"next: somebody else runs touchstone rules approve {short(found['version'])}"
    )


def approve(
    version: Version,
    note: Note = "",
    yes: Yes = False,
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Show what somebody else submitted, and approve it."""
    from service.cli.api_client import path

    client = client_of(key, url, var)
    found = client.get(path("v1", "rule-sets", version))
    _refuse_own(client, found)
    submission = _show_submission(client, found)
    if not yes:
        typer.confirm("Approve it?", abort=True)
    body = {"note": note, "submission": submission}
    found = _act(client, found["version"], "approve", body)
    shown = short(found["version"])
    typer.echo(
        f"{shown} is approved, until anything of this changes.\n"
        f"next: touchstone rules rollout {shown} --share 5, or touchstone rules activate {shown}"
    )


def reject(
    version: Version,
    note: Annotated[str, typer.Option("--note", "-m", help="Why not")],
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Say no to what was submitted, with the reason."""
    found = _act(client_of(key, url, var), version, "reject", {"note": note})
    typer.echo(f"{short(found['version'])} is rejected; {found['submitted_by']} can read why.")


def activate(
    version: Version,
    note: Note = "",
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Put an approved version live, for everybody, within a second."""
    _deploy(client_of(key, url, var), version, "activate", note)


def rollback(
    version: Annotated[
        str, typer.Argument(metavar="[VERSION]", help="A version that was live before")
    ] = "previous",
    note: Note = "",
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Take back: put what was live before live again, within a second. Needs no approval."""
    _deploy(client_of(key, url, var), version, "rollback", note)


def rollout(
    version: Version,
    share: Share,
    note: Note = "",
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Let an approved version decide for a stable share of the customers."""
    _deploy(client_of(key, url, var), version, "rollout", note, share_percent=share)


def ramp(
    share: Share,
    note: Note = "",
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Change the share of the rollout; who is in stays in as it grows."""
    client = client_of(key, url, var)
    _deploy(client, candidate_of(client), "ramp", note, share_percent=share)


def abort(
    note: Note = "",
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """End the rollout: the live version decides for everybody, and the approval lapses."""
    client = client_of(key, url, var)
    _deploy(client, candidate_of(client), "abort", note)


def shadow(
    version: Version,
    note: Note = "",
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Let a version watch live traffic: it decides nothing, what it would decide is counted."""
    _deploy(client_of(key, url, var), version, "shadow", note)


def unshadow(
    version: Version,
    note: Note = "",
    key: Key = "",
    url: Url = None,
    var: Var = None,
) -> None:
    """Let a version watch no more."""
    _deploy(client_of(key, url, var), version, "unshadow", note)


def status(key: Key = "", url: Url = None, var: Var = None) -> None:
    """Show what runs, what is stopped, and what waits for somebody."""
    client = client_of(key, url, var)
    say_deployment(client.get("/v1/deployments", limit=1)[0])
    for stop in client.get("/v1/rule-stops"):
        if stop["state"] in ("unconfirmed", "confirmed"):
            say_stop(stop)
    waiting = [
        row for row in client.get("/v1/rule-sets", limit=200) if "submitted" in row["states"]
    ]
    for row in waiting:
        shown = short(row["version"])
        typer.echo(
            f"waiting    {shown} by {row['author']}: "
            f"somebody else runs touchstone rules approve {shown}"
        )


def say_deployment(found: dict[str, Any]) -> None:
    """Tell what runs."""
    note = f": {found['note']}" if found["note"] else ""
    typer.echo(f"live       {short(found['live'])}")
    if found["candidate"]:
        typer.echo(f"candidate  {short(found['candidate'])} for {found['share_percent']:g} %")
    for version in found["shadows"]:
        typer.echo(f"shadow     {short(version)}")
    typer.echo(f"since      {moment(found['deployed_at'])} by {found['actor']}{note}")


def say_stop(found: dict[str, Any]) -> None:
    """Tell about a stop, and what it needs."""
    text = f"stopped    {found['rule']} by {found['actor']}: {found['reason']}"
    if found["state"] == "unconfirmed":
        text += (
            f"\n           lapses at {moment(found['confirm_until'])} unless somebody else runs "
            f"touchstone rules confirm {found['rule']}"
        )
    elif found["state"] == "confirmed":
        text += f" (confirmed by {found['confirmed_by']}; touchstone rules lift {found['rule']})"
    typer.echo(text)


def _deploy(client: ApiClient, version: str, act: str, note: str, **more: Any) -> None:
    say_deployment(_act(client, version, act, {"note": note, **more}))


def _act(client: ApiClient, version: str, act: str, body: dict[str, Any]) -> dict[str, Any]:
    from service.cli.api_client import path

    found: dict[str, Any] = client.post(path("v1", "rule-sets", version, act), body)
    return found


def candidate_of(client: ApiClient) -> str:
    """Return the version that decides for a share; raise `NoRuleSet`."""
    from service.cli.rule_files import NoRuleSet

    found = client.get("/v1/deployments", limit=1)[0]["candidate"]
    if found is None:
        raise NoRuleSet("no rollout is under way: touchstone rules rollout VERSION --share 5")
    return str(found)


def _refuse_own(client: ApiClient, found: dict[str, Any]) -> None:
    """Raise `ApiRefused` if the key is of somebody who may not approve it, before anybody reads it.

    Only a courtesy: the database decides.
    """
    from service.cli.api_client import ApiRefused

    person, submission = client.get("/v1/me")["person"], found["submission"]
    if submission is None or person is None:
        return
    if person == submission["actor"]:
        why = "You submitted it"
    elif person in found["authors"]:
        why = "You wrote some of what it changes"
    else:
        return
    raise ApiRefused(f"Somebody else must do this. {why}: somebody else approves.", "own_work")


def _show_submission(client: ApiClient, found: dict[str, Any]) -> int:
    """Show everything that speaks for and against; return the submission's number."""
    from service.cli.api_client import path
    from service.cli.rule_files import NoRuleSet
    from service.cli.rules_local import print_difference

    submission = found["submission"]
    if submission is None:
        raise NoRuleSet(
            f"{short(found['version'])} waits for nobody's approval: it is "
            f"{', '.join(found['states'])}"
        )
    print_difference(
        client.get(
            path("v1", "rule-sets", found["version"], "diff"), against=submission["baseline"]
        )
    )
    note = f": {submission['note']}" if submission["note"] else ""
    typer.echo(f"\nversion    {found['version']}")
    typer.echo(f"replaces   {short(submission['baseline'])}, which is live")
    typer.echo(f"written    by {', '.join(found['authors'])}: {found['note'] or '-'}")
    typer.echo(f"submitted  {moment(submission['submitted_at'])} by {submission['actor']}{note}")
    if found["check"] is not None:
        check = found["check"]
        typer.echo(f"check      passed, {check['rules']} rules, {check['examples']} examples")
    typer.echo(f"backtest   {submission['backtest_id']}\n")
    _show_backtest(client, submission["backtest_id"])
    return int(submission["id"])


def _show_backtest(client: ApiClient, backtest_id: str) -> None:
    from rich.console import Console

    from service.backtest.terminal import terminal
    from service.cli.api_client import path

    result = client.get(path("v1", "backtests", backtest_id, "result"))
    Console().print(terminal(result, "en"))
