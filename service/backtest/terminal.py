"""How does a backtest read in a terminal? What decides first, in 80 columns and more.

Invariant: what is shown is in the result; texts that come from rule sets are no markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from service.backtest.figures import DASH, money, number, percent, shared, when
from service.backtest.quality import OUTCOMES
from service.backtest.words import Language, notes, word

MOST_RULES = 20
MOST_EXAMPLES = 5
_STYLES = {True: "yellow", False: "cyan"}  # stricter, milder
_LABELS = ("abuse", "honest")


def terminal(result: Mapping[str, Any], language: Language = "en") -> Group:
    """Return what `rich` prints for a result."""
    return Group(*_Reading(result, language).parts())


class _Reading:
    def __init__(self, result: Mapping[str, Any], language: Language) -> None:
        self._result = result
        self._language = language
        self._currency = result["currency"]

    def parts(self) -> Iterator[RenderableType]:
        yield self._head()
        for note in notes(self._result, self._language):
            yield Text(f"! {note}", style="bold yellow")
        yield self._outcomes()
        yield self._transitions()
        yield self._quality()
        yield self._rules()
        yield from self._examples()

    def _head(self) -> Text:
        source = self._result["source"]
        kind = "events_file" if source["kind"] == "events" else source["kind"]
        sides = [
            f"{self._w(side)} {self._result[side]['version'][:12]} "
            f"({number(self._result[side]['rules'])} {self._w('rules')})"
            for side in ("candidate", "baseline")
        ]
        against = f" {self._w('against')} "
        labelled = ", ".join(f"{number(source[name])} {self._w(name)}" for name in _LABELS)
        where = f"{self._w(kind)} {source['name']}".strip()
        times = f"{when(source['first'])} – {when(source['last'])} UTC"
        lines = [
            against.join(sides),
            f"{number(source['events'])} {self._w('events')}: {where}, {times}",
            f"{self._w('labelled')}: {labelled}",
        ]
        if source["recomputed"]:
            lines.append(f"{self._w('recomputed')}: {', '.join(source['recomputed'])}")
        return Text("\n".join(lines) + "\n")

    def _outcomes(self) -> Table:
        sides = [self._w(side) for side in ("baseline", "candidate")]
        amounts = [f"{self._w('amount')}, {side}" for side in sides]
        table = self._table("outcomes", "", *sides, self._w("change"), *amounts)
        for outcome in OUTCOMES:
            found = self._result["outcomes"][outcome]
            left, right = found["baseline"], found["candidate"]
            table.add_row(
                self._w(outcome),
                number(left["count"]),
                number(right["count"]),
                number(right["count"] - left["count"], sign=True),
                money(left["amount"], self._currency),
                money(right["amount"], self._currency),
            )
        return table

    def _transitions(self) -> Table:
        corner = f"{self._w('baseline')} ↓ {self._w('candidate')} →"
        table = self._table("transitions", corner, *map(self._w, OUTCOMES))
        for left, outcome in enumerate(OUTCOMES):
            cells = []
            for right, count in enumerate(self._result["transitions"]["counts"][left]):
                style = "" if left == right or not count else _STYLES[right > left]
                cells.append(Text(number(count) if count else DASH, style=style))
            table.add_row(self._w(outcome), *cells)
        return table

    def _quality(self) -> RenderableType:
        levels = self._result["quality"]
        if levels is None:
            return Text(f"\n{self._w('no_labels')}\n", style="dim")
        heads = [self._w(name) for name in ("baseline", "candidate", "change")]
        table = self._table("quality", self._w("at_least"), "", *heads)
        for level in levels:
            for name in ("precision", "recall", "false_positive_rate"):
                table.add_row(
                    self._w(level["at_least"]) if name == "precision" else "",
                    self._w(name),
                    shared(level["baseline"][name]),
                    shared(level["candidate"][name]),
                    shared(level["change"].get(name), sign=True),
                )
        return table

    def _rules(self) -> RenderableType:
        rows = [
            row for row in self._result["rules"] if row["change"] != "same" or row["finding"]
        ]  # fmt: skip
        heads = [self._w("change"), f"{self._w('hits')}, {self._w('baseline')}"]
        heads += [f"{self._w('hits')}, {self._w('candidate')}", self._w("decisive")]
        table = self._table("by_rule", self._w("rule"), *heads, self._w("finding"))
        for row in rows[:MOST_RULES]:
            left, right = row["baseline"], row["candidate"]
            table.add_row(
                Text(row["rule"]),
                Text(self._w(row["change"]), style="" if row["change"] == "same" else "bold"),
                number(left["hits"]) if left else DASH,
                number(right["hits"]) if right else DASH,
                number((right or left)["decisive"]),
                Text(self._w(row["finding"]) or self._overlap(row)),
            )
        if len(rows) > MOST_RULES:
            table.add_row(f"… {number(len(rows) - MOST_RULES)}")
        return table

    def _overlap(self, row: Mapping[str, Any]) -> str:
        if not row["overlaps"]:
            return ""
        most = row["overlaps"][0]
        return f"{self._w('overlap')} {most['rule']} ({percent(most['share'])})"

    def _examples(self) -> Iterator[Table]:
        for name, rows in self._result["examples"].items():
            if not rows:
                continue
            heads = ("type", "at", "amount", "change", "because")
            table = self._table(f"examples.{name}", self._w("event"), *map(self._w, heads))
            for row in rows[:MOST_EXAMPLES]:
                table.add_row(
                    Text(row["event"]),
                    Text(row["type"]),
                    when(row["at"]),
                    money(row["amount"], self._currency),
                    f"{self._w(row['baseline'])} → {self._w(row['candidate'])}",
                    Text(", ".join(row["because"]).replace("rule:", "") or DASH),
                )
            yield table

    def _w(self, name: str) -> str:
        return word(name, self._language)

    def _table(self, title: str, *heads: str) -> Table:
        table = Table(
            title="\n" + self._w(title),
            title_justify="left",
            title_style="bold",
            box=None,
            pad_edge=False,
        )
        for place, head in enumerate(heads):
            table.add_column(Text(head, style="bold"), justify="right" if place else "left")
        return table
