"""What does the page of a backtest say first? Where the events are from, and what would change."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from service.backtest import page_parts, plots
from service.backtest.figures import between, money, number, percent, ratio, shared, when
from service.backtest.page_parts import Cell, Reading, cards, section, table
from service.backtest.plots import Bar, Estimate
from service.backtest.quality import OUTCOMES
from service.backtest.words import notes

REVIEW = 1  # among the levels of `quality`


class Overview(Reading):
    """The first sections."""

    def head(self, title: str) -> str:
        source = self.result["source"]
        kind = "events_file" if source["kind"] == "events" else source["kind"]
        facts = [
            f"{self.w(kind)} {source['name']}".strip(),
            f"{when(source['first'])} – {when(source['last'])} UTC",
            f"{number(source['events'])} {self.w('events')}",
            self._labelled(),
            f"{self.w('made_in')} {self.result['seconds']} {self.w('seconds')}",
        ]
        if source["recomputed"]:
            facts.append(f"{self.w('recomputed')}: {', '.join(source['recomputed'])}")
        if source["skipped"]:
            left_out = (f"{number(n)} {self.w(why)}" for why, n in source["skipped"].items())
            facts.append(f"{self.w('skipped')}: {', '.join(left_out)}")
        sides = "".join(
            f'<p class="side {side}"><b>{escape(self.w(side))}</b> '
            f"<code>{escape(self.result[side]['version'])}</code> "
            f"{number(self.result[side]['rules'])} {escape(self.w('rules'))}</p>"
            for side in ("candidate", "baseline")
        )
        return (
            f"<header><h1>{escape(title)}</h1>{sides}"
            f'<p class="facts">{" · ".join(map(escape, facts))}</p></header>'
        )

    def notes(self) -> str:
        found = notes(self.result, self.language)
        if not found:
            return ""
        items = "".join(f"<li>{escape(note)}</li>" for note in found)
        return f"<aside><b>{escape(self.w('notes'))}</b><ul>{items}</ul></aside>"

    def summary(self) -> str:
        result, events = self.result, self.result["source"]["events"]
        found = [
            (self.w(name), number(result[name]["count"]),
             f"{percent(ratio(result[name]['count'], events))} {self.w('of_events')}")
            for name in ("stricter", "milder")
        ]  # fmt: skip
        for name in ("blocked", "let_through"):
            sides = result["money"][name]
            left, right = (sides[side]["amount"] for side in ("baseline", "candidate"))
            change = money(right - left, self.currency, sign=True)
            beside = f"{money(left, self.currency)} → {money(right, self.currency)}"
            found.append((self.w(name), change, beside))
        if result["quality"]:
            change = result["quality"][REVIEW]["change"]
            for name, key in (("recall_change", "recall"), ("fpr_change", "false_positive_rate")):
                if change[key] is not None:
                    figure = percent(change[key]["value"], sign=True)
                    found.append((self.w(name), figure, between(change[key], sign=True)))
        return cards(found)

    def outcomes(self) -> str:
        outcomes, events = self.result["outcomes"], self.result["source"]["events"]
        bars = []
        for side in ("baseline", "candidate"):
            counts = [outcomes[outcome][side]["count"] for outcome in OUTCOMES]
            texts = [
                f"{self.w(outcome)}: {number(count)} ({percent(ratio(count, events))})"
                for outcome, count in zip(OUTCOMES, counts, strict=True)
            ]
            bars.append(Bar(self.w(side), counts, texts, number(events)))
        rows: list[list[Cell | str]] = []
        for outcome, colour in zip(OUTCOMES, plots.OUTCOME_COLOURS, strict=True):
            left, right = outcomes[outcome]["baseline"], outcomes[outcome]["candidate"]
            rows.append(
                [
                    Cell(self.w(outcome), mark=colour),
                    *(number(side["count"]) for side in (left, right)),
                    number(right["count"] - left["count"], sign=True),
                    *(money(side["amount"], self.currency) for side in (left, right)),
                    money(right["amount"] - left["amount"], self.currency, sign=True),
                ]
            )
        heads = [self.w("outcome")]
        for what in ("count", "amount"):
            heads += [f"{self.w(what)}, {self.w(side)}" for side in ("baseline", "candidate")]
            heads.append(self.w("change"))
        drawn = plots.stacked(bars, plots.OUTCOME_COLOURS, is_share=True)
        return section(self.w("outcomes"), drawn + table(heads, rows))

    def transitions(self) -> str:
        counts = self.result["transitions"]["counts"]
        amounts = self.result["transitions"]["amounts"]
        most = max((counts[i][j] for i in range(4) for j in range(4) if i != j), default=0) or 1
        rows: list[list[Cell | str]] = []
        for left, outcome in enumerate(OUTCOMES):
            row: list[Cell | str] = [Cell(self.w(outcome), is_head=True)]
            for right in range(4):
                count = counts[left][right]
                tone = "" if left == right else ("stricter" if right > left else "milder")
                beside = money(amounts[left][right], self.currency) if count else ""
                row.append(Cell(number(count), beside, tone, count / most if tone else 0.0))
            rows.append(row)
        heads = [f"{self.w('baseline')} \\ {self.w('candidate')}", *map(self.w, OUTCOMES)]
        return section(
            self.w("transitions"), table(heads, rows), help_text=self.w("transitions_help")
        )

    def quality(self) -> str:
        levels = self.result["quality"]
        if levels is None:
            return section(self.w("quality"), f"<p>{escape(self.w('no_labels'))}</p>")
        rows: list[list[Cell | str]] = []
        drawn = []
        for level in levels:
            for name in ("precision", "recall", "false_positive_rate"):
                sides = [level[side][name] for side in ("baseline", "candidate")]
                named = f"{self.w('at_least')} {self.w(level['at_least'])}"
                change = level["change"].get(name)
                cells = [_share(found) for found in sides]
                rows.append([named, self.w(name), *cells, _share(change, sign=True)])
                colours = (plots.BASELINE, plots.CANDIDATE)
                drawn.append(
                    (f"{self.w(level['at_least'])}: {self.w(name)}",
                     list(zip(colours, map(_estimate, sides), strict=True)))
                )  # fmt: skip
        heads = ["", "", *map(self.w, ("baseline", "candidate", "change"))]
        legend = page_parts.legend(
            [(plots.BASELINE, self.w("baseline")), (plots.CANDIDATE, self.w("candidate"))]
        )
        body = legend + plots.estimates(drawn) + table(heads, rows)
        return section(self.w("quality"), body, help_text=self.w("quality_help"))

    def over_time(self) -> str:
        found = self.result["over_time"]
        points = found["points"]
        if not points:
            return ""
        curves = [
            [ratio(point[f"{side}_flagged"], point["events"]) or 0.0 for point in points]
            for side in ("baseline", "candidate")
        ]
        top = max(max(curve) for curve in curves)
        drawn = plots.lines(
            [(self.w("baseline"), plots.BASELINE, curves[0]),
             (self.w("candidate"), plots.CANDIDATE, curves[1])],
            when(points[0]["from"]), when(points[-1]["from"]), percent(top),
        )  # fmt: skip
        return section(
            self.w("over_time"), drawn, help_text=f"{found['step_hours']} {self.w('step_hour')}"
        )

    def _labelled(self) -> str:
        source = self.result["source"]
        counts = (f"{number(source[name])} {self.w(name)}" for name in ("abuse", "honest"))
        return f"{', '.join(counts)} ({self.w('labelled')})"


def _estimate(found: Mapping[str, Any] | None) -> Estimate | None:
    if found is None:
        return None
    return Estimate(found["value"], found["low"], found["high"], shared(found))


def _share(found: Mapping[str, Any] | None, *, sign: bool = False) -> Cell:
    """Return a share, its interval below it."""
    value = None if found is None else found["value"]
    return Cell(percent(value, sign=sign), between(found, sign=sign))
