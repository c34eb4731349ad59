"""What do `touchstone rules suggest` and `touchstone rules tune` do?

They read labelled events and print; nothing is changed. What is suggested is a draft: it goes the
way of every rule, through check, backtest and another person's approval. Scikit-learn and what goes
with it are imported when a command runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.api_client import Key, Url
from service.cli.options import Var

if TYPE_CHECKING:
    from training.suggest.draft import Found
    from training.suggest.past import Past, Rules, Take
    from training.suggest.rank import Wanted
    from training.suggest.table import Reading

_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
# Fewer abusive events than this in either part say nothing.
_LEAST_EARLIER, _LEAST_LATER = 20, 10

Data = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]",
        exists=True,
        dir_okay=False,
        help="Output of `features compute --facts --labels`. Default: recorded decisions",
    ),
]
Since = Annotated[
    datetime | None, typer.Option(formats=_TIMES, help="Recorded decisions from this time on (UTC)")
]
Until = Annotated[
    datetime | None, typer.Option(formats=_TIMES, help="Recorded decisions before this time (UTC)")
]
RulesOption = Annotated[
    str | None,
    typer.Option(
        "--rules",
        metavar="DIR|VERSION",
        help="The rules that are live. Default: those of the service; for a FILE, the shipped ones",
    ),
]
LaterShare = Annotated[
    float, typer.Option(min=0.1, max=0.9, help="Which share of the events, the latest, measures")
]


def suggest(  # noqa: PLR0913 - each is an option of the command
    data: Data = None,
    event_type: Annotated[
        list[str] | None, typer.Option(help="Only this event type; may be given again")
    ] = None,
    min_recall: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Which share of abuse a rule must catch")
    ] = 0.05,
    min_precision: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Which share of its hits must be abuse")
    ] = 0.0,
    later_share: LaterShare = 0.3,
    top: Annotated[int, typer.Option(min=1, max=40, help="Rules for each event type")] = 10,
    exclude: Annotated[
        list[str] | None, typer.Option(help="A fact to leave out; may be given again")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Write the draft pack to this file")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead")] = False,
    since: Since = None,
    until: Until = None,
    rules: RulesOption = None,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Mine rules from labelled events: short conditions, ranked on later events, as a draft pack.

    Rules that hit nearly the same events as a live rule, or as a better suggestion, are left out.
    """
    import json

    from service.rule_sets.parts import read_rules
    from training.console import messages, results
    from training.suggest.draft import entries_of, pack_of, without_fault
    from training.suggest.rank import Wanted
    from training.suggest.report import found_as_json, show_found

    past = _past(data, since, until, rules, url, key, var)
    wanted = Wanted(min_recall, min_precision, top)
    read, readings = _read_tables(past, event_type or (), frozenset(exclude or ()))
    found = [one for reading in readings if (one := _mined(reading, later_share, wanted))]
    _say_nothing_found(found)
    live = list(read_rules(read.files).values())
    entries, faults = without_fault(entries_of(found, live), read.files, read.catalog)
    for fault in faults:
        messages().print(f"left out, for it does not pass the check: {fault}", markup=False)
    text = pack_of(entries.values())
    if as_json:
        content: dict[str, Any] = {"types": [found_as_json(one) for one in found], "pack": text}
        typer.echo(json.dumps(content, ensure_ascii=False, indent=2))
        return
    for one in found:
        show_found(results(), one)
    if out is not None and entries:
        out.write_text(text, encoding="utf-8")
        typer.echo(f"{len(entries)} rules are in {out}: put it into packs/ and check it")
    elif entries:
        typer.echo("\n" + text, nl=False)


def tune(  # noqa: PLR0913 - each is an option of the command
    rule: Annotated[
        str, typer.Argument(metavar="RULE", help="A rule, table or card with parameters")
    ],
    data: Data = None,
    min_recall: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Least recall. Default: what the current values catch"),
    ] = None,
    min_precision: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Least precision: then the most is caught"),
    ] = None,
    later_share: LaterShare = 0.3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead")] = False,
    since: Since = None,
    until: Until = None,
    rules: RulesOption = None,
    url: Url = None,
    key: Key = "",
    var: Var = None,
) -> None:
    """Show precision and recall over a rule's parameters, and which values to take.

    Chosen on the earlier events, shown on the later ones too. Nothing is changed: `rules set` is.
    """
    import json

    from training.console import bar, messages, results
    from training.suggest.report import show_tuned, tuned_as_json
    from training.suggest.tune import Trial
    from training.suggest.variants import variants_of

    past = _past(data, since, until, rules, url, key, var)
    trials: list[Trial] = []

    def taker(read: Rules) -> Take:
        trials.append(Trial(variants_of(read.files, rule), read.catalog.fact_types))
        return trials[0].add

    with bar(messages(), "evaluating variants", None) as progress:
        past.read(taker, progress)
    tuned = trials[0].result(later_share, min_recall, min_precision)
    if as_json:
        typer.echo(json.dumps(tuned_as_json(rule, tuned), ensure_ascii=False, indent=2))
    else:
        show_tuned(results(), rule, tuned)


def _past(
    data: Path | None,
    since: datetime | None,
    until: datetime | None,
    rules: str | None,
    url: str | None,
    key: str,
    var: Path | None,
) -> Past:
    from service.cli.api_client import ApiClient
    from service.settings import load_settings
    from training.suggest.past import Past

    settings = load_settings(var)
    since, until = (at if at is None else at.replace(tzinfo=UTC) for at in (since, until))
    return Past(settings, data, since, until, rules, lambda: ApiClient(settings, url, key))


def _read_tables(
    past: Past, types: Iterable[str], exclude: frozenset[str]
) -> tuple[Rules, list[Reading]]:
    from features.event_types import EVENT_TYPES
    from rules.engine import Engine
    from rules.ruleset import RuleSet
    from training.console import bar, messages
    from training.suggest.table import Reading

    unknown = sorted(set(types) - set(EVENT_TYPES))
    if unknown:
        raise typer.BadParameter(f"there is no event type {unknown[0]}")
    readings: list[Reading] = []

    def taker(read: Rules) -> Take:
        facts = read.catalog.fact_types
        engine = Engine(RuleSet.parse(read.files.packs, read.files.tables), facts)
        readings.extend(Reading(name, facts, engine, exclude) for name in types or EVENT_TYPES)
        return _all_of([reading.add for reading in readings])

    with bar(messages(), "reading labelled events", None) as progress:
        return past.read(taker, progress), readings


def _all_of(takes: list[Take]) -> Callable[[Iterable[Any]], None]:
    def take(cases: Iterable[Any]) -> None:
        several = list(cases)
        for one in takes:
            one(several)

    return take


def _mined(reading: Reading, later_share: float, wanted: Wanted) -> Found | None:
    """Return what one event type suggests; None where there is too little of it."""
    from training.console import messages
    from training.suggest.draft import Found
    from training.suggest.mine import mine
    from training.suggest.rank import rank

    earlier, later = reading.table().split(later_share)
    if (
        earlier.is_abusive.sum() < _LEAST_EARLIER
        or later.is_abusive.sum() < _LEAST_LATER
        or later.is_abusive.all()
    ):
        return None
    messages().print(f"mining {reading.event_type}: {earlier.rows:,} events …")
    return Found(rank(mine(earlier), earlier, later, wanted), earlier, later)


def _say_nothing_found(found: list[Found]) -> None:
    from training.suggest.past import NothingToLearn

    if not found:
        raise NothingToLearn(
            f"no event type has {_LEAST_EARLIER} abusive events with a label before the split and"
            f" {_LEAST_LATER} after it, with honest ones among them"
        )
