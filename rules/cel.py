"""What does a rule's CEL expression mean, which facts does it use, and what is wrong with it?

A wrapper on Google's CEL runtime. Invariant: `Language.compile` never raises; an expression is
either compiled or comes back with every problem, each with a line, a column and a hint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cel_expr_python import cel

from rules.cel_lists import IN_LIST, ListCall, list_calls, rewritten
from rules.cel_names import names_in, position
from rules.cel_problems import KNOWN, ExpressionProblem, explain
from rules.listed import Listed

_TYPES: dict[str, Any] = {
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "bool": cel.Type.BOOL,
    "string": cel.Type.STRING,
}


_TEXT = cel.Type.STRING
# Declared and never called: expressions are evaluated with a fact in its place.
_FUNCTIONS = [
    cel.FunctionDecl(
        IN_LIST, [cel.Overload(IN_LIST, return_type=cel.Type.BOOL, parameters=[_TEXT, _TEXT])]
    )
]


class Language:
    """CEL over declared facts (`name -> "int" | "double" | "bool" | "string"`).

    For each fact that an event may or may not state there is a bool `known.<fact>`, true when it
    does: `known.device.is_emulator && device.is_emulator` asks nothing of a caller who tells
    nothing. These are the facts with a dot and those that begin with `event_`; a counter has
    none, for a counter that cannot be read is a gap that must show.

    A list that an expression asks about becomes one more bool fact, `list.<list>.<kind>`, in
    `fact_types` and in `listed` once the expression was compiled.
    """

    def __init__(self, fact_types: Mapping[str, str]) -> None:
        known = {f"{KNOWN}{name}": "bool" for name in fact_types if _may_be_unstated(name)}
        self.fact_types = {**fact_types, **known}
        self.listed: tuple[Listed, ...] = ()
        self._env = self._environment()

    def declare(self, sources: Iterable[str]) -> None:
        """Make facts of all lists that these expressions ask about: at once is faster."""
        asked = {
            call.listed
            for source in sources
            for call in list_calls(source)
            if isinstance(call, ListCall)
        }
        if not asked.issubset(self.listed):
            self.listed = tuple(sorted(asked.union(self.listed)))
            self.fact_types.update({listed.fact: "bool" for listed in self.listed})
            self._env = self._environment()

    def _environment(self) -> Any:
        variables = {name: _TYPES[kind] for name, kind in self.fact_types.items()}
        return cel.NewEnv(variables=variables, functions=_FUNCTIONS)

    def compile(self, source: str) -> tuple[Any, list[ExpressionProblem]]:
        """Return the compiled boolean expression, or None and every problem."""
        problems = [
            ExpressionProblem(
                *position(source, name.start),
                "cel-has",
                "has() does not tell whether a fact is there",
                "use known.<fact>, or a fact such as has_user",
            )
            for name in names_in(source)
            if name.text == "has" and name.is_called and not name.is_member
        ]
        calls: list[ListCall] = []
        for found in list_calls(source):
            if isinstance(found, ListCall):
                calls.append(found)
            else:
                problems.append(found)
        if problems:
            return None, problems
        self.declare([source])
        try:
            expression = self._env.compile(source)
            if calls:
                expression = self._env.compile(rewritten(source, calls))
        except RuntimeError as error:  # the runtime's only kind of error here
            return None, explain(source, str(error), self.fact_types)
        except (ValueError, TypeError):
            return None, [ExpressionProblem(1, 1, "cel", "the text is no valid Unicode")]
        kind = expression.return_type()
        if kind != cel.Type.BOOL:
            message = f"the expression gives {kind.name().lower()}, not bool"
            return None, [ExpressionProblem(1, 1, "cel-not-bool", message, "compare it")]
        return expression, []

    def rewritten(self, source: str) -> str:
        """Return an expression that compiles as it is evaluated: with facts in place of lists."""
        return rewritten(source, [c for c in list_calls(source) if isinstance(c, ListCall)])

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
        used = {call.listed.fact for call in list_calls(source) if isinstance(call, ListCall)}
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
