"""What does a rule's CEL expression mean, which facts does it use, and what is wrong with it?

A wrapper on Google's CEL runtime. Invariant: `Language.compile` never raises; an expression is
either compiled or comes back with every problem, each with a line, a column and a hint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cel_expr_python import cel

from rules import limits
from rules.cel_cost import NO_WORK, Work, count
from rules.cel_lists import IN_LIST, ListCall, list_calls, rewritten
from rules.cel_names import deepest_bracket, names_in, position
from rules.cel_problems import KNOWN, ExpressionProblem, explain
from rules.cel_tree import Tree, tree_of
from rules.listed import Listed

_TYPES: dict[str, Any] = {
    "int": cel.Type.INT,
    "double": cel.Type.DOUBLE,
    "bool": cel.Type.BOOL,
    "string": cel.Type.STRING,
}


# The runtime's own, for its loops: true for true and for an error. No rule may use it.
_NOT_FALSE = "__not_strictly_false__"

_TEXT = cel.Type.STRING
# Declared and never called: expressions are evaluated with a fact in its place.
_FUNCTIONS = [
    cel.FunctionDecl(
        IN_LIST, [cel.Overload(IN_LIST, return_type=cel.Type.BOOL, parameters=[_TEXT, _TEXT])]
    )
]


_TOO_DEEP = ExpressionProblem(1, 1, "cel-too-deep", "the expression is nested too deeply")
_NO_UNICODE = ExpressionProblem(1, 1, "cel", "the text is no valid Unicode")


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
        """Return the compiled boolean expression, or None and every problem.

        What compiles ends within `limits.MAX_COST` steps on any facts.
        """
        expression, _, problems = self.compile_counted(source)
        return expression, problems

    def compile_counted(self, source: str) -> tuple[Any, Work, list[ExpressionProblem]]:
        """Return what `compile` does, and the worst case of the expression."""
        too_large = _too_large(source)
        if too_large is not None:
            return None, NO_WORK, [too_large]
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
            return None, NO_WORK, problems
        self.declare([source])
        try:
            asked = self._env.compile(source)
            expression = self._env.compile(rewritten(source, calls)) if calls else asked
        except RuntimeError as error:  # the runtime's only kind of error here
            return None, NO_WORK, explain(source, str(error), self.fact_types)
        except (ValueError, TypeError):
            return None, NO_WORK, [_NO_UNICODE]
        kind = expression.return_type()
        if kind != cel.Type.BOOL:
            message = f"the expression gives {kind.name().lower()}, not bool"
            return None, NO_WORK, [ExpressionProblem(1, 1, "cel-not-bool", message, "compare it")]
        tree = tree_of(asked)
        if tree is None:
            return None, NO_WORK, [_TOO_DEEP]
        work, problems = count(source, tree, self.fact_types)
        if problems:
            return None, NO_WORK, problems
        self._warm(expression)
        return expression, work, []

    def tree(self, source: str) -> Tree | None:
        """Return what an expression that compiles is made of, at its author's places."""
        return tree_of(self._env.compile(source))

    def rewritten(self, source: str) -> str:
        """Return an expression that compiles as it is evaluated: with facts in place of lists."""
        return rewritten(source, [c for c in list_calls(source) if isinstance(c, ListCall)])

    def compile_doubts(self, sources: Sequence[str], negation: str = "") -> Any:
        """Return one expression for the list of which of these are not certainly false, or None.

        Each must compile by itself; with the negation `!`, they are not certainly true. Errors are
        not: an expression that errs gives true. None when the whole is too much for the runtime,
        which the parts are not.
        """
        # A line break ends a comment that an expression may end with.
        parts = [f"{_NOT_FALSE}({negation}({self.rewritten(one)}\n))" for one in sources]
        try:
            expression = self._env.compile(f"[{','.join(parts)}]")
        except RuntimeError:
            return None
        self._warm(expression)
        return expression

    def _warm(self, expression: Any) -> None:
        """Have the program planned, which the runtime does at the first evaluation."""
        expression.eval(self._env.Activation({}))

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
            for length in range(1, len(parts) + 1):
                prefix = ".".join(parts[:length])
                if prefix in self.fact_types:
                    used.add(prefix)
        return frozenset(used)


def _too_large(source: str) -> ExpressionProblem | None:
    """Return what the runtime should not even be asked to read."""
    hint = "split the rule, or use a list or a decision table"
    if len(source) > limits.MAX_EXPRESSION_CHARACTERS:
        allowed = f"{limits.MAX_EXPRESSION_CHARACTERS:,} are allowed"
        message = f"the expression has {len(source):,} characters; {allowed}"
        return ExpressionProblem(1, 1, "cel-too-long", message, hint)
    depth, at = deepest_bracket(source)
    if depth > limits.MAX_NESTING:
        message = f"brackets within each other, {depth} deep; {limits.MAX_NESTING} are allowed"
        return ExpressionProblem(*position(source, at), "cel-too-deep", message, hint)
    return None


def _may_be_unstated(name: str) -> bool:
    return "." in name or name.startswith("event_")
