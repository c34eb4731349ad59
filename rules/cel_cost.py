"""How much work can a checked expression be, at worst, and what of it is too much?

An abstract evaluation: every value is known by its size only (characters of a text, entries of a
list and the size of an entry), every branch is taken, every loop runs to its end. Invariant: an
expression without a problem here ends within `MAX_COST` steps, whatever the facts are.

Measured on one core: 0.05 us a node, 0.07 us a node within a loop, 8 us and at most 26 us a state
for `matches` on 1,024 characters; a step stands for 0.1 us.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from rules import limits
from rules.cel_names import position
from rules.cel_problems import FUNCTIONS, ExpressionProblem
from rules.cel_regex import fault, states
from rules.cel_tree import Applied, Gathered, Loop, Named, Tree, Written
from rules.diagnostic import did_you_mean

_STEPS_OF_MATCHES = 80
_STEPS_OF_STATE = 260
_STEPS_OF_CONVERSION = 20
_CHARACTERS_OF_STEP = 32  # copied or compared
_ENTRIES_OF_STEP = 3  # copied: 25 to 33 ns each


_COMPARISONS = ("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "startsWith", "endsWith")
_SAFE = {
    *_COMPARISONS,
    "_&&_",
    "_||_",
    "!_",
    "_?_:_",
    "@in",
    "contains",
    "matches",
    "size",
    "in_list",
}


@dataclass(frozen=True, slots=True)
class Work:
    """The worst case: steps of 0.1 us, and elements visited by comprehensions.

    A safe expression compares and combines facts: it fails for no other reason than a fact that is
    missing.
    """

    steps: int
    iterations: int
    is_safe: bool


NO_WORK = Work(0, 0, is_safe=True)


@dataclass(frozen=True, slots=True)
class _Size:
    """A value's length and the size of its largest entry; a scalar has the length 1."""

    length: int = 1
    entry: _Size | None = None

    @property
    def all(self) -> int:
        """Characters, and numbers and bools, in all of it."""
        return max(1, self.length * (self.entry.all if self.entry else 1))

    @property
    def comparison(self) -> int:
        """Steps to compare it with a value of the same size: each entry, and the characters."""
        return self.entries + self.all // _CHARACTERS_OF_STEP

    @property
    def entries(self) -> int:
        return self.length * max(1, self.entry.entries) if self.entry else 0


_SCALAR = _Size()


@dataclass(slots=True)
class _Count:
    """One walk through an expression."""

    source: str
    facts: Mapping[str, str]
    steps: int = 0
    iterations: int = 0
    is_safe: bool = True
    problems: list[ExpressionProblem] = field(default_factory=list)

    def report(self, at: int, code: str, message: str, hint: str = "") -> None:
        self.problems.append(ExpressionProblem(*position(self.source, at), code, message, hint))

    def size(self, tree: Tree, variables: Mapping[str, _Size], depth: int) -> _Size:
        """Return the size of what the tree gives, adding its work."""
        self.steps += 1
        match tree:
            case Written():
                return self._written(tree)
            case Named():
                if tree.name in variables:
                    return variables[tree.name]
                is_text = self.facts.get(tree.name) == "string"
                return _Size(limits.MAX_FACT_CHARACTERS) if is_text else _SCALAR
            case Gathered():
                parts = [self.size(part, variables, depth) for part in tree.parts]
                return self._gathered(tree, parts)
            case Applied():
                parts = [self.size(part, variables, depth) for part in tree.arguments]
                return self._applied(tree, parts)
            case Loop():
                return self._loop(tree, variables, depth)

    def _written(self, tree: Written) -> _Size:
        if not isinstance(tree.value, str | bytes):
            return _SCALAR
        length = len(tree.value)
        if length > limits.MAX_LITERAL_CHARACTERS:
            allowed = f"{limits.MAX_LITERAL_CHARACTERS:,} are allowed"
            self.report(tree.at, "cel-costly", f"a text of {length:,} characters; {allowed}")
        return _Size(max(1, length))

    def _gathered(self, tree: Gathered, parts: Sequence[_Size]) -> _Size:
        if tree.kind == "member":
            self.is_safe = False
            return parts[0].entry or _SCALAR
        if tree.kind == "map":  # a key may stand there twice
            self.is_safe = False
        length = len(parts) if tree.kind == "list" else len(parts) // 2
        if length > limits.MAX_LITERAL_ENTRIES:
            message = f"{length:,} entries; {limits.MAX_LITERAL_ENTRIES:,} are allowed"
            hint = 'keep them in a list: in_list("name", "kind"), or in a decision table'
            self.report(tree.at, "cel-costly", message, hint)
        return _Size(length, _largest(parts))

    def _applied(self, tree: Applied, parts: Sequence[_Size]) -> _Size:
        name = tree.function
        self.is_safe = self.is_safe and name in _SAFE
        if name.strip("_@").isidentifier() and not name.startswith("@") and name not in FUNCTIONS:
            hint = did_you_mean(name, FUNCTIONS)
            self.report(tree.at, "cel-function", f"the function '{name}' is not available", hint)
        elif name == "matches":
            self._matches(tree)
        elif name in _COMPARISONS:
            self.steps += min(part.comparison for part in parts)
        elif name == "contains":
            self.steps += parts[0].all * parts[1].all // 4096  # 22 us at worst for 1,024 each
        elif name == "@in":
            entries, entry = parts[1].length, parts[1].entry or _SCALAR
            self.steps += entries * (1 + min(parts[0].comparison, entry.comparison))
        elif name in ("timestamp", "duration", "int", "double", "string", "bool"):
            self.steps += _STEPS_OF_CONVERSION + parts[0].all // _CHARACTERS_OF_STEP
            return _Size(max(parts[0].length, 40)) if name == "string" else _SCALAR
        elif name == "_+_":
            total = parts[0].length + parts[1].length
            is_list = any(part.entry for part in parts)
            self.steps += total // (_ENTRIES_OF_STEP if is_list else _CHARACTERS_OF_STEP)
            return _Size(total, _largest([p.entry for p in parts if p.entry]))
        elif name == "_?_:_":
            return _largest(parts[1:]) or _SCALAR
        elif name == "_[_]":
            return parts[0].entry or _SCALAR
        elif name == "size":
            self.steps += parts[0].length // _CHARACTERS_OF_STEP
        return _SCALAR

    def _matches(self, tree: Applied) -> None:
        pattern = tree.arguments[-1]
        if not isinstance(pattern, Written) or not isinstance(pattern.value, str):
            hint = "it is checked once, here, and not for every event"
            self.report(pattern.at, "cel-regex", "a pattern must be written out", hint)
            return
        size = states(pattern.value)
        self.steps += _STEPS_OF_MATCHES + _STEPS_OF_STATE * size
        if len(pattern.value) > limits.MAX_REGEX_CHARACTERS:
            message = f"a pattern of {len(pattern.value):,} characters"
            allowed = f"{limits.MAX_REGEX_CHARACTERS:,} are allowed"
            self.report(pattern.at, "cel-regex", f"{message}; {allowed}")
        elif size > limits.MAX_REGEX_STATES:
            message = f"the pattern has {size:,} states, repetitions written out"
            allowed = f"{limits.MAX_REGEX_STATES:,} are allowed"
            hint = "a Unicode class such as \\pL counts for 40, x{1,30} for 30"
            self.report(pattern.at, "cel-regex", f"{message}; {allowed}", hint)
        elif (why := fault(pattern.value)) is not None:
            self.report(pattern.at, "cel-regex", f"no regular expression: {why}", "syntax of RE2")

    def _loop(self, tree: Loop, variables: Mapping[str, _Size], depth: int) -> _Size:
        if depth >= limits.MAX_NESTED_COMPREHENSIONS:
            allowed = f"{limits.MAX_NESTED_COMPREHENSIONS} are allowed"
            message = f"comprehensions within each other, {depth + 1} deep; {allowed}"
            self.report(tree.at, "cel-costly", message)
            return _SCALAR
        self.is_safe = False
        over = self.size(tree.over, variables, depth)
        start = self.size(tree.start, variables, depth)
        inner = {**variables, tree.total: start}
        inner.update(dict.fromkeys(tree.variables, over.entry or _SCALAR))
        steps, iterations, problems = self.steps, self.iterations, len(self.problems)
        after = self.size(tree.step, inner, depth + 1)
        grown = start.length + over.length * max(0, after.length - start.length)
        total = replace(after, length=grown)
        # Again, with the total as large as it gets: `map` and `filter` copy it in each step.
        self.steps, self.iterations = steps, iterations
        del self.problems[problems:]
        inner[tree.total] = total
        self.size(tree.condition, inner, depth + 1)
        self.size(tree.step, inner, depth + 1)
        self.steps = steps + over.length * (self.steps - steps + 1)
        self.iterations = iterations + over.length * (self.iterations - iterations + 1)
        return self.size(tree.result, {**variables, tree.total: total}, depth)


def _largest(sizes: Sequence[_Size]) -> _Size | None:
    if not sizes:
        return None
    entries = [size.entry for size in sizes if size.entry]
    return _Size(max(size.length for size in sizes), _largest(entries))


def count(
    source: str, tree: Tree, fact_types: Mapping[str, str]
) -> tuple[Work, list[ExpressionProblem]]:
    """Return the worst case of an expression, and everything in it that is too much."""
    counted = _Count(source, fact_types)
    counted.size(tree, {}, 0)
    if not counted.problems:
        for what, found, most in (
            ("comprehensions visit up to {:,} elements", counted.iterations, limits.MAX_ITERATIONS),
            ("the expression may take {:,} steps", counted.steps, limits.MAX_COST),
        ):
            if found > most:
                message = f"{what.format(found)}; {most:,} are allowed"
                counted.report(0, "cel-costly", message, "split the rule, or use a list or a table")
    return Work(counted.steps, counted.iterations, counted.is_safe), counted.problems
