"""What is a checked CEL expression made of?

Reads the runtime's serialised form (cel/expr/checked.proto) into a small tree. Invariant: a node
says at which character of the text it stands; macros stand as the loops that they become.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

_SYNTAX = "cel.expr."
_PROTO = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "int64": _PROTO.TYPE_INT64,
    "uint64": _PROTO.TYPE_UINT64,
    "int32": _PROTO.TYPE_INT32,
    "double": _PROTO.TYPE_DOUBLE,
    "bool": _PROTO.TYPE_BOOL,
    "string": _PROTO.TYPE_STRING,
    "bytes": _PROTO.TYPE_BYTES,
}
# What is read of cel/expr/syntax.proto and checked.proto: number, name, type (a star: repeated).
# What is not listed (types, references, macros) is passed over.
_MESSAGES: dict[str, tuple[tuple[int, str, str], ...]] = {
    "CheckedExpr": ((4, "expr", "Expr"), (5, "source_info", "SourceInfo")),
    "SourceInfo": ((4, "positions", "Position*"),),
    "Position": ((1, "key", "int64"), (2, "value", "int32")),
    "Expr": (
        (2, "id", "int64"),
        (3, "const_expr", "Constant"),
        (4, "ident_expr", "Ident"),
        (5, "select_expr", "Select"),
        (6, "call_expr", "Call"),
        (7, "list_expr", "CreateList"),
        (8, "struct_expr", "CreateStruct"),
        (9, "comprehension_expr", "Comprehension"),
    ),
    "Constant": (
        (2, "bool_value", "bool"),
        (3, "int64_value", "int64"),
        (4, "uint64_value", "uint64"),
        (5, "double_value", "double"),
        (6, "string_value", "string"),
        (7, "bytes_value", "bytes"),
    ),
    "Ident": ((1, "name", "string"),),
    "Select": ((1, "operand", "Expr"), (2, "field", "string")),
    "Call": ((1, "target", "Expr"), (2, "function", "string"), (3, "args", "Expr*")),
    "CreateList": ((1, "elements", "Expr*"),),
    "CreateStruct": ((2, "entries", "Entry*"),),
    "Entry": ((3, "map_key", "Expr"), (4, "value", "Expr")),
    "Comprehension": (
        (1, "iter_var", "string"),
        (2, "iter_range", "Expr"),
        (3, "accu_var", "string"),
        (4, "accu_init", "Expr"),
        (5, "loop_condition", "Expr"),
        (6, "loop_step", "Expr"),
        (7, "result", "Expr"),
        (8, "iter_var2", "string"),
    ),
}


_CONSTANTS = [name for _, name, _ in _MESSAGES["Constant"]]


@dataclass(frozen=True, slots=True)
class Written:
    """A literal; null is `None`."""

    at: int
    value: bool | int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class Named:
    """A fact or a variable of a comprehension."""

    at: int
    name: str


@dataclass(frozen=True, slots=True)
class Applied:
    """A function or an operator (`_&&_`, `_>_`, `@in`) on its arguments, a receiver first."""

    at: int
    function: str
    arguments: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Gathered:
    """A list or a map (its keys and values in turn), or a member (`a.b`) of what stands in it."""

    at: int
    kind: str  # list, map, member
    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """A comprehension: for each variable in `over`, while `condition`, `total` becomes `step`."""

    at: int
    variables: tuple[str, ...]
    over: Tree
    total: str
    start: Tree
    condition: Tree
    step: Tree
    result: Tree


Tree = Written | Named | Applied | Gathered | Loop


def tree_of(expression: Any) -> Tree | None:
    """Return the tree of a compiled expression; None if it is nested too deeply to be read."""
    try:
        checked = _message_class()()
        checked.ParseFromString(any_pb2.Any.FromString(expression.serialize()).value)
    except DecodeError:  # only depth: what the runtime wrote is well formed
        return None
    places = {place.key: place.value for place in checked.source_info.positions}
    return _tree(checked.expr, places)


def _tree(node: Any, places: dict[int, int]) -> Tree:
    at = places.get(node.id, 0)
    if node.HasField("const_expr"):
        constant = node.const_expr
        for name in _CONSTANTS:
            if constant.HasField(name):
                return Written(at, getattr(constant, name))
        return Written(at, None)
    if node.HasField("ident_expr"):
        return Named(at, node.ident_expr.name)
    if node.HasField("select_expr"):
        return Gathered(at, "member", (_tree(node.select_expr.operand, places),))
    if node.HasField("call_expr"):
        call = node.call_expr
        given = [call.target, *call.args] if call.HasField("target") else list(call.args)
        return Applied(at, call.function, tuple(_tree(part, places) for part in given))
    if node.HasField("comprehension_expr"):
        loop = node.comprehension_expr
        return Loop(
            at=at,
            variables=tuple(name for name in (loop.iter_var, loop.iter_var2) if name),
            over=_tree(loop.iter_range, places),
            total=loop.accu_var,
            start=_tree(loop.accu_init, places),
            condition=_tree(loop.loop_condition, places),
            step=_tree(loop.loop_step, places),
            result=_tree(loop.result, places),
        )
    if node.HasField("list_expr"):
        return Gathered(at, "list", tuple(_tree(e, places) for e in node.list_expr.elements))
    return Gathered(at, "map", tuple(_tree(e, places) for e in _entries(node.struct_expr)))


def _entries(struct: Any) -> Iterator[Any]:
    for entry in struct.entries:
        yield entry.map_key
        yield entry.value


@cache
def _message_class() -> Any:
    """Return the class of CheckedExpr, in a pool of its own: the default may have a `cel.expr`."""
    file = descriptor_pb2.FileDescriptorProto(
        name="touchstone/cel.proto", package=_SYNTAX.rstrip("."), syntax="proto2"
    )
    for message, fields in _MESSAGES.items():
        declared = file.message_type.add(name=message)
        for number, name, kind in fields:
            kind_name = kind.rstrip("*")
            added = declared.field.add(
                name=name,
                number=number,
                label=_PROTO.LABEL_REPEATED if kind.endswith("*") else _PROTO.LABEL_OPTIONAL,
                type=_SCALARS.get(kind_name, _PROTO.TYPE_MESSAGE),
            )
            if kind_name not in _SCALARS:
                added.type_name = f".{_SYNTAX}{kind_name}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_SYNTAX}CheckedExpr"))
