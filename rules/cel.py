"""What does a rule's CEL expression mean, which facts does it use, and what is wrong with it?

A wrapper on Google's CEL runtime. Invariant: `Language.compile` never raises; an expression is
either compiled or comes back with every problem, each with a line, a column and a hint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel

from rules.diagnostic import did_you_mean

_TYPES: dict[str, Any] = {
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "bool": cel.Type.BOOL,
    "string": cel.Type.STRING,
}
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
    "int",
    "map",
    "matches",
    "size",
    "startsWith",
    "string",
    "timestamp",
)

_TOKEN = re.compile(
    r"""
    (?P<comment> //[^\n]* )
  | (?P<string> [rRbB]{0,2} (?: \"\"\".*?\"\"\" | '''.*?''' ) )
  | (?P<raw> (?:[rR][bB]?|[bB][rR]) (?: "[^"\n]*" | '[^'\n]*' ) )
  | (?P<quoted> [bB]? (?: "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' ) )
  | (?P<number> (?: 0[xX][0-9a-fA-F]+ | [0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)? | \.[0-9]+ ) [uU]? )
  | (?P<name> [A-Za-z_][A-Za-z0-9_]* (?: \s*\.\s* [A-Za-z_][A-Za-z0-9_]* )* )
  | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
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


@dataclass(frozen=True, slots=True)
class Name:
    """A name as written in an expression: its dotted text, without spaces, and its place."""

    text: str
    start: int
    end: int
    is_called: bool
    is_member: bool


class Language:
    """CEL over declared facts (`name -> "int" | "double" | "bool" | "string"`).

    For each fact that an event may or may not state there is a bool `known.<fact>`, true when it
    does: `known.device.is_emulator && device.is_emulator` asks nothing of a caller who tells
    nothing. These are the facts with a dot and those that begin with `event_`; a counter has
    none, for a counter that cannot be read is a gap that must show.
    """

    def __init__(self, fact_types: Mapping[str, str]) -> None:
        known = {f"{KNOWN}{name}": "bool" for name in fact_types if _may_be_unstated(name)}
        self.fact_types = {**fact_types, **known}
        self._env = cel.NewEnv(
            variables={name: _TYPES[kind] for name, kind in self.fact_types.items()}
        )

    def compile(self, source: str) -> tuple[Any, list[ExpressionProblem]]:
        """Return the compiled boolean expression, or None and every problem."""
        problems = [
            ExpressionProblem(
                *_position(source, name.start),
                "cel-has",
                "has() does not tell whether a fact is there",
                "use a fact such as has_user or has_coupon",
            )
            for name in names_in(source)
            if name.text == "has" and name.is_called and not name.is_member
        ]
        if problems:
            return None, problems
        try:
            expression = self._env.compile(source)
        except RuntimeError as error:  # the runtime's only kind of error here
            return None, _explain(source, str(error), self.fact_types)
        except (ValueError, TypeError):
            return None, [ExpressionProblem(1, 1, "cel", "the text is no valid Unicode")]
        kind = expression.return_type()
        if kind != cel.Type.BOOL:
            message = f"the expression gives {kind.name().lower()}, not bool"
            return None, [ExpressionProblem(1, 1, "cel-not-bool", message, "compare it")]
        return expression, []

    def compile_list(self, sources: list[str]) -> Any:
        """Return the list of these boolean expressions as one expression, or None.

        Each must compile by itself. A line break ends a comment that an expression may end with.
        None when the whole is too much for the runtime, which the parts are not.
        """
        try:
            return self._env.compile("[" + ",".join(f"({source}\n)" for source in sources) + "]")
        except RuntimeError:
            return None

    def activation(self, facts: Mapping[str, Any]) -> Any:
        """Return the facts in the runtime's form, to be shared by several evaluations."""
        return self._env.Activation(facts)

    def facts_used(self, source: str) -> frozenset[str]:
        """Return the declared names that an expression may read."""
        used = set()
        for name in names_in(source):
            if name.is_member:
                continue
            parts = name.text.split(".")
            for count in range(1, len(parts) + 1):
                prefix = ".".join(parts[:count])
                if prefix in self.fact_types:
                    used.add(prefix)
        return frozenset(used)


def _may_be_unstated(name: str) -> bool:
    return "." in name or name.startswith("event_")


def names_in(source: str) -> Iterator[Name]:
    """Yield the names of an expression, without those in texts and comments.

    >>> [name.text for name in names_in("a.b > 1 && 'c' != d // e")]
    ['a.b', 'd']
    """
    before = ""
    for token in _TOKEN.finditer(source):
        if token.lastgroup == "name":
            text = re.sub(r"\s+", "", token.group())
            called = source[token.end() :].lstrip().startswith("(")
            yield Name(text, token.start(), token.end(), called, before == ".")
        if not token.group().isspace() and token.lastgroup != "comment":
            before = token.group()


def _position(source: str, offset: int) -> tuple[int, int]:
    before = source[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def _offset(source: str, line: int, column: int) -> int:
    lines = source.split("\n")
    return sum(len(text) + 1 for text in lines[: line - 1]) + column - 1


def _explain(source: str, error: str, fact_types: Mapping[str, str]) -> list[ExpressionProblem]:
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
    at = _offset(source, line, column)
    for name in names_in(source):
        if not name.start <= at <= name.end:
            continue
        last = name.text.rsplit(".", 1)[-1]
        if name.is_called and (word == last or at == name.end):
            message, hint = f"unknown function '{last}'", did_you_mean(last, FUNCTIONS)
            place = _position(source, name.end - len(last))
            return ExpressionProblem(*place, "cel-function", message, hint)
        hint = did_you_mean(name.text, _offered(name.text, fact_types))
        place = _position(source, name.start)
        return ExpressionProblem(*place, "cel-name", f"unknown name '{name.text}'", hint)
    if source[at : at + 1] == "(":
        hint = did_you_mean(word, FUNCTIONS)
        return ExpressionProblem(line, column, "cel-function", f"unknown function '{word}'", hint)
    hint = did_you_mean(word, _offered(word, fact_types))
    return ExpressionProblem(line, column, "cel-name", f"unknown name '{word}'", hint)


def _offered(word: str, fact_types: Mapping[str, str]) -> list[str]:
    return [name for name in fact_types if name.startswith(KNOWN) == word.startswith(KNOWN)]


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
