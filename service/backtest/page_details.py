"""What does the page of a backtest say of single rules, segments and events?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from service.backtest import plots
from service.backtest.figures import DASH, between, money, number, percent, ratio, when
from service.backtest.page_parts import Cell, Reading, section, table
from service.backtest.plots import Bar

MOST_RULES = 60
MOST_BARS = 15


class Details(Reading):
    """The last sections."""

    def rules(self) -> str:
        rows = self.result["rules"]
        hitting = sorted(
            (row for row in rows if row["candidate"] and row["candidate"]["hits"]),
            key=lambda row: -row["candidate"]["hits"],
        )[:MOST_BARS]
        bars = []
        for row in hitting:
            side = row["candidate"]
            parts = [side["decisive"], side["hits"] - side["decisive"]]
            texts = [f"{self.w('decisive')}: {number(side['decisive'])}",
                     f"{self.w('hits')}: {number(side['hits'])}"]  # fmt: skip
            bars.append(Bar(row["rule"], parts, texts, number(side["hits"])))
        heads = [
            self.w("rule"), self.w("change"), f"{self.w('hits')}, {self.w('baseline')}",
            f"{self.w('hits')}, {self.w('candidate')}", self.w("decisive"), self.w("unknown"),
            self.w("precision"), self.w("overlap"), self.w("finding"),
        ]  # fmt: skip
        body = ""
        if bars:
            body = f"<p>{escape(self.w('hits_plot'))}</p>" + plots.stacked(
                bars, (plots.CANDIDATE, "#efc9ac"), is_share=False
            )
        body += table(heads, [self._rule(row) for row in rows[:MOST_RULES]])
        if len(rows) > MOST_RULES:
            body += f"<p>… {number(len(rows) - MOST_RULES)}</p>"
        return section(self.w("by_rule"), body, help_text=self.w("by_rule_help"))

    def _rule(self, row: Mapping[str, Any]) -> Sequence[Cell | str]:
        left, right = row["baseline"], row["candidate"]
        side = right or left
        precision = side["precision"]
        beside = [self.w(row["outcome"])]
        if row["mode"] == "shadow":
            beside.append(self.w("shadow"))
        overlaps = ", ".join(f"{o['rule']} {o['share']:.0%}" for o in row["overlaps"][:2])
        return [
            Cell(row["rule"], ", ".join(beside), is_code=True),
            Cell(self.w(row["change"]), tone="" if row["change"] == "same" else "stricter",
                 strength=0.0 if row["change"] == "same" else 0.5),
            number(left["hits"]) if left else DASH,
            number(right["hits"]) if right else DASH,
            number(side["decisive"]),
            number(side["unknown"]),
            Cell(percent(precision["value"]), between(precision)) if precision else DASH,
            Cell(overlaps or DASH, is_small=True),
            Cell(self.w(row["finding"]), is_small=True),
        ]  # fmt: skip

    def segments(self) -> str:
        heads = [
            self.w("value"), self.w("count"), f"{self.w('flagged')}, {self.w('baseline')}",
            f"{self.w('flagged')}, {self.w('candidate')}", self.w("stricter"),
            self.w("milder"), f"{self.w('false_alarms')}, {self.w('baseline')}",
            f"{self.w('false_alarms')}, {self.w('candidate')}",
        ]  # fmt: skip
        body = ""
        for name, rows in self.result["segments"].items():
            body += f"<h3>{escape(self.w(name))}</h3>" + table(heads, map(self._segment, rows))
        return section(self.w("segments"), body)

    def _segment(self, row: Mapping[str, Any]) -> Sequence[Cell | str]:
        honest = row["honest"]
        cells: list[Cell | str] = [row["value"], number(row["events"])]
        for side in ("baseline", "candidate"):
            count = row[f"{side}_flagged"]
            cells.append(Cell(number(count), percent(ratio(count, row["events"]))))
        cells += [number(row["stricter"]), number(row["milder"])]
        for side in ("baseline", "candidate"):
            count = row[f"{side}_false_alarms"]
            rate = percent(ratio(count, honest))
            cells.append(Cell(number(count), rate) if honest else DASH)
        return cells

    def examples(self) -> str:
        heads = [
            self.w(name)
            for name in ("event", "type", "at", "amount", "baseline", "candidate", "because")
        ]
        body = ""
        for name, rows in self.result["examples"].items():
            body += f"<h3>{escape(self.w(f'examples.{name}'))}</h3>"
            body += table(heads, map(self._example, rows)) if rows else f"<p>{self.w('none')}</p>"
        return section(self.w("examples"), body, help_text=self.w("privacy"))

    def _example(self, row: Mapping[str, Any]) -> Iterable[Cell | str]:
        because = ", ".join(row["because"]).replace("rule:", "")
        return [
            Cell(row["event"], is_code=True),
            row["type"],
            when(row["at"]),
            money(row["amount"], self.currency),
            self.w(row["baseline"]),
            self.w(row["candidate"]),
            Cell(because or DASH, is_small=True),
        ]
