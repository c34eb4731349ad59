"""What is wrong with a CEL expression, in words that help its author?

Reads the runtime's error texts. Invariant: at least one problem comes out of any text, each with a
place inside the expression, and none twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from rules.cel_names import names_in, offset, position
from rules.diagnostic import did_you_mean

KNOWN = "known."
FUNCTIONS = (
    "all",
    "bool",
    "contains",
    "double",
    "duration",
    "endsWith",
    "exists",
    "exists_one",
    "filter",
    "in_list",
    "int",
    "map",
    "matches",
    "size",
    "startsWith",
    "string",
    "timestamp",
)

_ERROR = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_UNDECLARED = re.compile(r"undeclared reference to '([^']*)'")
_OVERLOAD = re.compile(r"found no matching overload for '([^']*)' applied to '\((.*)\)'")
_RECEIVER = re.compile(r"found no matching overload for '([^']*)' applied to '([^']*)'")
_EXPECTING = re.compile(r" expecting (\{.*\}|<EOF>)\s*$")


@dataclass(frozen=True, slots=True)
class ExpressionProblem:
    """One thing wrong with an expression; line and column count from 1, within the expression."""

    line: int
    column: int
    code: str
    message: str
    hint: str = ""


def explain(source: str, error: str, fact_types: Mapping[str, str]) -> list[ExpressionProblem]:
    """Turn the runtime's text into problems, without repetitions."""
    problems: dict[tuple[int, int, str], ExpressionProblem] = {}
    for found in _ERROR.finditer(error):
        line, column = max(1, int(found.group(1))), max(1, int(found.group(2)))
        message = found.group(3).removesuffix(" [INVALID_ARGUMENT]")
        if "parsetree" in message or "*error*" in message:  # follows from another error
            continue
        problem = _explain_one(source, line, column, message, fact_types)
        problems.setdefault((problem.line, problem.column, problem.message), problem)
    if not problems and "recursion" in error:
        return [_explain_one(source, 1, 1, "recursion depth", fact_types)]
    if not problems:
        first = error.splitlines()[0] if error else "no reason given"
        return [ExpressionProblem(1, 1, "cel", f"CEL: {first}")]
    return list(problems.values())


def _explain_one(
    source: str, line: int, column: int, message: str, fact_types: Mapping[str, str]
) -> ExpressionProblem:
    if undeclared := _UNDECLARED.match(message):
        return _undeclared(source, line, column, undeclared.group(1), fact_types)
    if overload := _OVERLOAD.match(message) or _RECEIVER.match(message):
        operator = overload.group(1).replace("_", "").strip() or overload.group(1)
        kinds = [kind.strip() for kind in overload.group(2).split(",")]
        return ExpressionProblem(
            line,
            column,
            "cel-type",
            f"'{operator}' does not take {' and '.join(kinds)}",
            _type_hint(kinds),
        )
    if message.startswith("Syntax error"):
        detail = _EXPECTING.sub("", message.removeprefix("Syntax error: "))
        detail = detail.replace("token recognition error at:", "cannot read")
        if "'<EOF>'" in detail:
            detail = "the expression ends too early"
        return ExpressionProblem(line, column, "cel-syntax", detail, _syntax_hint(source))
    if "recursion depth" in message:
        hint = "split the rule into two"
        return ExpressionProblem(1, 1, "cel-syntax", "the expression is nested too deeply", hint)
    return ExpressionProblem(line, column, "cel", message)


def _undeclared(
    source: str, line: int, column: int, word: str, fact_types: Mapping[str, str]
) -> ExpressionProblem:
    """Point at the whole dotted name, for the runtime points at its last dot."""
    at = offset(source, line, column)
    for name in names_in(source):
        if not name.start <= at <= name.end:
            continue
        last = name.text.rsplit(".", 1)[-1]
        if name.is_called and (word == last or at == name.end):
            message, hint = f"unknown function '{last}'", did_you_mean(last, FUNCTIONS)
            place = position(source, name.end - len(last))
            return ExpressionProblem(*place, "cel-function", message, hint)
        hint = did_you_mean(name.text, _offered(name.text, fact_types))
        place = position(source, name.start)
        return ExpressionProblem(*place, "cel-name", f"unknown name '{name.text}'", hint)
    if source[at : at + 1] == "(":
        hint = did_you_mean(word, FUNCTIONS)
        return ExpressionProblem(line, column, "cel-function", f"unknown function '{word}'", hint)
    hint = did_you_mean(word, _offered(word, fact_types))
    return ExpressionProblem(line, column, "cel-name", f"unknown name '{word}'", hint)


def _offered(word: str, fact_types: Mapping[str, str]) -> list[str]:
    return [
        name
        for name in fact_types
        if name.startswith(KNOWN) == word.startswith(KNOWN) and not name.startswith("list.")
    ]


def _type_hint(kinds: list[str]) -> str:
    if sorted(kinds) == ["double", "int"]:
        return "write a number beside a double with a point, such as 5.0, or convert: double(x)"
    if "string" in kinds and ("int" in kinds or "double" in kinds):
        return "put quotes around a text"
    if "bool" in kinds:
        return "a bool stands by itself: x, or !x"
    if "uint" in kinds:
        return "write the number without u"
    return ""


def _syntax_hint(source: str) -> str:
    words = {name.text.lower() for name in names_in(source)}
    for word, sign in (("and", "&&"), ("or", "||"), ("not", "!")):
        if word in words:
            return f"CEL writes {sign} for '{word}'"
    if re.search(r"(?<![=!<>])=(?!=)", source):
        return "CEL compares with =="
    return ""
