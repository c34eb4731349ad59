"""Why was it decided so, in words for whoever asks?

Three views of one record: the person (plain words, what data, what would change it, how to ask for
a human), the shop (the answer, and the rules that made it), the authority (all of it, with the
logic, every fact and the computation done again). Invariant: the person's view holds no threshold,
score, rule id or name of a feature, no number but time and reference, and nothing that is not on
record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from rules.human_review import CAP
from service.audit.opened_entries import AuditEntry

View = Literal["person", "shop", "authority"]
Language = Literal["en", "zh"]
VIEWS: tuple[View, ...] = ("person", "shop", "authority")
WORDS = Path(__file__).with_name("explain_words.yaml")
_FOUND = ("hit", "error", "unknown")


@dataclass(frozen=True, slots=True)
class Logic:
    """What decided, as the rule set says it. `again`: what differs when it is computed again, None
    when it was not computed here. `facts`: the sentence of each fact, by name."""

    rules: Mapping[str, Mapping[str, Any]]
    policy: Mapping[str, Any] | None
    causes: Sequence[tuple[str, float]]
    again: Sequence[str] | None
    facts: Mapping[str, str]


class Explanation:
    """The parts of one explanation, in the order in which they are read."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self.sections: list[dict[str, Any]] = []

    def add(self, title: str, lines: Sequence[str]) -> None:
        """Add a section with a title of the words; without a line there is none."""
        if not lines:
            return
        said = text("titles", title, language=self._language)
        self.sections.append({"title": said, "lines": list(lines)})


def explained(
    entry: AuditEntry, view: View, language: Language, logic: Logic | None
) -> list[dict[str, Any]]:
    """Return the sections of a view of a decision; `logic` is not needed for the person's.

    Raises `KeyError` for an entry that is no decision with both its blocks.
    """
    found = Explanation(language)
    answer = entry.blocks["core"]["answer"]
    if view == "person":
        _for_person(found, entry, answer, language)
        return found.sections
    assert logic is not None
    _for_shop(found, answer, language, logic)
    if view == "authority":
        _for_authority(found, entry, answer, language, logic)
    return found.sections


def _for_person(
    found: Explanation, entry: AuditEntry, answer: Mapping[str, Any], language: Language
) -> None:
    kinds = _words()["event_types"]
    kind = answer["type"] if answer["type"] in kinds else "other"
    event = text("event_types", kind, language=language)
    time = entry.header.time.strftime("%Y-%m-%d %H:%M UTC")
    what = text("what", language=language)
    found.add(
        "what",
        [
            what.format(time=time, event=event, id=entry.entry_id),
            text("outcomes", answer["outcome"], language=language),
        ],
    )
    is_capped = any(reason["source"] == CAP for reason in answer["reasons"])
    how = "capped" if is_capped else "review" if answer["outcome"] == "review" else "machine"
    found.add("how", [text("how", how, language=language)])
    reasons = [reason["text"][language] for reason in answer["reasons"]]
    found.add("why", reasons or [text("no_reason", language=language)])
    facts = entry.blocks["subject"].get("facts", {})
    found.add("data", _each(_beginning("data", name, language) for name in facts))
    missing = "missing" if answer["degraded"] else "nothing_missing"
    found.add("missing", [text(missing, language=language)])
    codes = [reason["code"] for reason in answer["reasons"]]
    if codes:
        found.add("change", _each(_beginning("change", code, language) for code in codes))
    found.add("human", [text("human", language=language)])
    found.add("rights", [text("rights", language=language)])


def _for_shop(
    found: Explanation, answer: Mapping[str, Any], language: Language, logic: Logic
) -> None:
    lines = [f"{answer['type']}: {answer['outcome']}", f"score: {_number(answer['score'])}"]
    if answer["step_up"] is not None:
        lines.append(
            f"step_up: {answer['step_up']['method']}, {answer['step_up']['delay_seconds']} s"
        )
    if answer["degraded"]:
        lines.append(f"degraded: {', '.join(answer['degraded'])}")
    found.add("answer", lines)
    found.add(
        "why",
        [f"{r['code']} ({r['source']}): {r['text'][language]}" for r in answer["reasons"]],
    )
    hits = [hit for hit in answer["rule_hits"] if hit["status"] in _FOUND]
    found.add(
        "rules",
        [
            f"{hit['rule_id']} ({hit['mode']}, {hit['status']}, {hit['outcome']}): "
            f"{logic.rules.get(hit['rule_id'], {}).get('description', '')}"
            for hit in hits
        ],
    )


def _for_authority(
    found: Explanation,
    entry: AuditEntry,
    answer: Mapping[str, Any],
    language: Language,
    logic: Logic,
) -> None:
    hits = [hit["rule_id"] for hit in answer["rule_hits"]]
    found.add(
        "conditions",
        [
            line
            for rule_id in hits
            if (rule := logic.rules.get(rule_id)) is not None
            for line in (
                f"{rule_id}: when {' '.join(str(rule['when']).split())}",
                f"  {rule['precedence']} {rule['outcome']}",
                f"  source: {rule['source']}; false alarms: {rule['false_alarms']}",
            )
        ],
    )
    found.add(
        "model",
        [
            f"bundle: {entry.header.versions.get('bundle', '-')}",
            f"score: {_number(answer['score'])}",
            *(f"{code}: {weight:+.4f} log-odds" for code, weight in logic.causes),
        ],
    )
    if logic.policy is not None:
        found.add("policy", [f"{name}: {value}" for name, value in logic.policy.items()])
    facts = entry.blocks["subject"].get("facts", {})
    found.add(
        "facts",
        [
            f"{name} = {value}" + (f" ({logic.facts[name]})" if name in logic.facts else "")
            for name, value in sorted(facts.items())
        ],
    )
    header = entry.header
    found.add(
        "record",
        [
            f"entry {entry.entry_id} of log {header.log}",
            f"writer {header.writer.hex()}, number {header.seq}",
            *(f"{name}: {version}" for name, version in sorted(header.versions.items())),
            *(f"{block}: SHA-256 {digest}" for block, (_, digest) in header.blocks.items()),
        ],
    )
    if logic.again is None:
        said = text("again", "elsewhere", language=language).format(id=entry.entry_id)
    elif logic.again:
        said = text("again", "different", language=language).format(names=", ".join(logic.again))
    else:
        said = text("again", "equal", language=language)
    found.add("again", [said])
    for title in ("human", "rights"):
        found.add(title, [text(title, language=language)])


def text(*path: str, language: Language) -> str:
    """Return a text of the words, such as `text("titles", "why", language="en")`."""
    found = _words()
    for step in path:
        found = found[step]
    return str(found[language])


def _beginning(section: str, name: str, language: Language) -> str | None:
    """Return the text of the longest beginning of a name; None: there is none and no `other`."""
    words = _words()[section]
    fitting = [key for key in words if name.startswith(key)]
    key = max(fitting, key=len) if fitting else "other"
    return str(words[key][language]) if key in words else None


def _each(lines: Any) -> list[str]:
    """Return each line once, in order, without those that are not there."""
    return list(dict.fromkeys(line for line in lines if line is not None))


def _number(score: float | None) -> str:
    return "-" if score is None else f"{score:.4f}"


@cache
def _words() -> Any:
    return yaml.safe_load(WORDS.read_text(encoding="utf-8"))
