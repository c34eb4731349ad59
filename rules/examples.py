"""What do rules answer to their own examples?

The examples of a rule of its own are answered by the rule (hit, no_hit, unknown, error); those of a
decision table or a score card by all of its rules together: the row or the outcome that hits.
Invariant: an example is evaluated on the facts that an event like it would have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rules.batch import Batch, CompiledRule
from rules.cel import Language
from rules.cel_lists import PREFIX
from rules.cel_problems import KNOWN
from rules.decision import HitStatus
from rules.diagnostic import Diagnostic, did_you_mean
from rules.parameters import literal_of
from rules.rule import Example

_PYTHON_TYPES: dict[str, type] = {"int": int, "double": float, "bool": bool, "string": str}
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


@dataclass(frozen=True, slots=True)
class ExampleRun:
    """One example: whose it is, what it expects and what was answered.

    `subject` is the id of the rule, the table or the card. `problems` are what is wrong with the
    example itself; it was not evaluated then, and `answer` is empty.
    """

    subject: str
    example: Example
    answer: str
    missing: tuple[str, ...] = ()
    problems: tuple[Diagnostic, ...] = ()

    @property
    def is_passed(self) -> bool:
        """Whether the answer is the one expected."""
        return not self.problems and self.answer == self.example.expect


def run_examples(compiled: Iterable[CompiledRule], language: Language) -> Iterator[ExampleRun]:
    """Answer all examples of these rules, which must be all rules of their tables and cards."""
    subjects: dict[str, list[CompiledRule]] = {}
    for one in compiled:
        subjects.setdefault(one.rule.made_by or one.rule.id, []).append(one)
    for subject, rules in subjects.items():
        batch = Batch(language, rules)
        names = sorted({name for one in rules for name in one.names})
        for example in rules[0].rule.examples:
            if not example.is_whole:
                continue
            facts, problems = _facts(example, rules[0].rule.event_types, language)
            if problems:
                yield ExampleRun(subject, example, "", problems=tuple(problems))
                continue
            answer = _answer(subject, rules, batch, facts)
            absent = [name for name in names if name not in facts and not name.startswith(KNOWN)]
            missing = tuple(absent) if answer == HitStatus.UNKNOWN else ()
            yield ExampleRun(subject, example, answer, missing)


def _answer(
    subject: str, rules: Sequence[CompiledRule], batch: Batch, facts: Mapping[str, Any]
) -> str:
    results = batch.evaluate_one_by_one(facts)
    if rules[0].rule.made_by is None:
        return (results[0].status if results else HitStatus.NO_HIT).value
    hits = [hit.rule_id for hit in results if hit.status is HitStatus.HIT]
    failed = {hit.status for hit in results} - {HitStatus.HIT}
    if hits:
        return ", ".join(name.removeprefix(f"{subject}-") for name in hits)
    if not failed:
        return HitStatus.NO_HIT.value
    return (HitStatus.ERROR if HitStatus.ERROR in failed else HitStatus.UNKNOWN).value


def _facts(
    example: Example, event_types: Sequence[str], language: Language
) -> tuple[dict[str, Any], list[Diagnostic]]:
    """Return an example's facts as an event would have them.

    A part that the example does not mention is absent: `has_…` is false. It is on no list that it
    does not mention. `event.type` is the rule's first type. A whole number stands for a double too.
    """
    types = language.fact_types
    absent = [name for name in types if name.startswith(("has_", PREFIX))]
    facts: dict[str, Any] = dict.fromkeys(absent, False)
    if "event.type" in types and event_types:
        facts["event.type"] = event_types[0]
    node = example.node.value.get("facts") if example.node is not None else None
    problems: list[Diagnostic] = []
    for name, value in example.facts.items():
        if name not in types or name.startswith(KNOWN):
            message = f"unknown fact '{name}'"
            known = [fact for fact in types if not fact.startswith(KNOWN)]
            if node is not None and node.keys:
                hint = did_you_mean(name, known)
                problems.append(node.keys[name].diagnose("example-fact", message, hint))
            continue
        wanted = _PYTHON_TYPES[types[name]]
        if wanted is float and type(value) is int:
            value = float(value)
        if type(value) is not wanted and node is not None:
            message = f"the fact '{name}' must be {_WORDS[wanted]}"
            hint = "put quotes around a text" if wanted is str else ""
            if isinstance(node.value[name].value, str) and "{{" in node.value[name].value:
                hint = f"the parameter makes it {literal_of(value)}"
            problems.append(node.value[name].diagnose("example-fact", message, hint))
        facts[name] = value
    return facts, problems
