"""For which values of the facts does a condition hold?

A condition becomes alternatives, each a set of values for some facts; what cannot be understood (a
function, a comparison of two facts) is a fact of its own that is true or false. Invariant: a
condition that can hold has an alternative, so one without alternatives never holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rules.cel_names import names_in
from rules.cel_tree import Applied, Gathered, Loop, Named, Tree, Written
from rules.value_sets import Names, Numbers, ValueSet, overlap, shared

# Values of facts that hold together.
Alternative = Mapping[str, ValueSet]
ANYTHING: Alternative = {}
# A condition of ten questions, half of them joined by ||, has 32 alternatives.
MAX_ALTERNATIVES = 256

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_NEGATED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_COMPARISONS = {f"_{sign}_": sign for sign in _FLIPPED}


class TooMany(Exception):
    """A condition with more alternatives than can be looked at."""


def alternatives(
    tree: Tree, fact_types: Mapping[str, str], *, is_true: bool = True
) -> tuple[Alternative, ...]:
    """Return the alternatives in which a condition holds, or does not; raise `TooMany`."""
    if isinstance(tree, Applied):
        match tree.function, tree.arguments:
            case "!_", (part,):
                return alternatives(part, fact_types, is_true=not is_true)
            case ("_&&_" | "_||_") as junction, parts:
                found = [alternatives(part, fact_types, is_true=is_true) for part in parts]
                return both(found) if (junction == "_&&_") is is_true else either(found)
            case "_?_:_", (condition, first, second):
                taken = (
                    alternatives(condition, fact_types),
                    alternatives(first, fact_types, is_true=is_true),
                )
                left = (
                    alternatives(condition, fact_types, is_true=False),
                    alternatives(second, fact_types, is_true=is_true),
                )
                return either([both(taken), both(left)])
    if isinstance(tree, Written) and isinstance(tree.value, bool):
        return (ANYTHING,) if tree.value is is_true else ()
    fact, values = _question(tree, fact_types, is_true=is_true)
    return () if values.is_empty else ({fact: values},)


def both(parts: Iterable[Sequence[Alternative]]) -> tuple[Alternative, ...]:
    """Return the alternatives in which all of the parts hold; raise `TooMany`."""
    found: tuple[Alternative, ...] = (ANYTHING,)
    for part in parts:
        if len(found) * len(part) > MAX_ALTERNATIVES:
            raise TooMany
        joined = [met for one in found for other in part if (met := _met(one, other)) is not None]
        found = tuple(joined)
    return found


def either(parts: Iterable[Sequence[Alternative]]) -> tuple[Alternative, ...]:
    """Return the alternatives in which one of the parts holds; raise `TooMany`."""
    found = tuple(one for part in parts for one in part)
    if len(found) > MAX_ALTERNATIVES:
        raise TooMany
    return found


def meets(one: Alternative, other: Alternative) -> bool:
    """Say whether both can hold at once."""
    return all(fact not in one or overlap(one[fact], values) for fact, values in other.items())


def _met(one: Alternative, other: Alternative) -> Alternative | None:
    if not one or not other:
        return one or other
    met = dict(one)
    for fact, values in other.items():
        held = shared(met[fact], values) if fact in met else values
        if held.is_empty:
            return None
        met[fact] = held
    return met


def conjuncts(tree: Tree) -> Iterator[Tree]:
    """Yield what a condition joins by `&&`, in the order of its text."""
    if isinstance(tree, Applied) and tree.function == "_&&_":
        for part in tree.arguments:
            yield from conjuncts(part)
    else:
        yield tree


def disjuncts(tree: Tree) -> Iterator[Tree]:
    """Yield what is joined by `||` anywhere in a condition."""
    if isinstance(tree, Applied):
        if tree.function == "_||_":
            for part in tree.arguments:
                if not (isinstance(part, Applied) and part.function == "_||_"):
                    yield part
        if tree.function in ("_||_", "_&&_"):
            for part in tree.arguments:
                yield from disjuncts(part)


def start_of(tree: Tree, source: str) -> int:
    """Return the first character of a part; an operator's own place is that of its sign."""
    at = _first(tree)
    return next((n.start for n in names_in(source) if n.start <= at <= n.end), at)


def _first(tree: Tree) -> int:
    parts: Sequence[Tree] = ()
    if isinstance(tree, Applied):
        parts = tree.arguments
    elif isinstance(tree, Gathered):
        parts = tree.parts
    elif isinstance(tree, Loop):
        parts = (tree.over,)
    return min([tree.at, *(_first(part) for part in parts)])


def _question(tree: Tree, fact_types: Mapping[str, str], *, is_true: bool) -> tuple[str, ValueSet]:
    """Return a fact and the values that answer the question so."""
    match tree:
        case Named(name=name):
            return name, Names.of([is_true])
        case Applied(function="@in", arguments=(Named(name=name), Gathered(kind="list") as listed)):
            values = _listed(listed, fact_types.get(name))
            if values is not None:
                return name, values if is_true else ~values
        case Applied(function=function, arguments=(left, right)) if function in _COMPARISONS:
            sign = _COMPARISONS[function]
            if isinstance(left, Written):
                left, right, sign = right, left, _FLIPPED[sign]
            if isinstance(left, Named) and isinstance(right, Written):
                compared = _compared(sign if is_true else _NEGATED[sign], right.value)
                if compared is not None:
                    return left.name, compared
    return f"({key(tree)})", Names.of([is_true])


def _compared(sign: str, value: object) -> ValueSet | None:
    if isinstance(value, bool | str):
        if sign not in ("==", "!="):
            return None
        names = Names.of([value])
        return names if sign == "==" else ~names
    if isinstance(value, int | float):
        return Numbers.compared(sign, value, is_whole=isinstance(value, int))
    return None


def _listed(listed: Gathered, kind: str | None) -> ValueSet | None:
    values = [part.value for part in listed.parts if isinstance(part, Written)]
    if kind not in ("string", "int", "double") or len(values) < len(listed.parts):
        return None
    if kind == "string":
        return Names.of([value for value in values if isinstance(value, str)])
    found: ValueSet = Numbers((), is_whole=kind == "int")
    for value in values:
        one = _compared("==", value)
        if not isinstance(one, Numbers) or not isinstance(found, Numbers):
            return None
        found = found | one
    return found


def key(tree: Tree) -> str:
    """Return a text that two parts share if they are written alike, wherever they stand."""
    match tree:
        case Written():
            return repr(tree.value)
        case Named():
            return tree.name
        case Applied():
            return f"{tree.function}({', '.join(key(part) for part in tree.arguments)})"
        case Gathered():
            return f"{tree.kind}[{', '.join(key(part) for part in tree.parts)}]"
        case Loop():
            inner = (tree.over, tree.start, tree.condition, tree.step, tree.result)
            return f"{tree.variables}{[key(part) for part in inner]}"
