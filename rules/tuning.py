"""How is a rule's parameter given another value, in the text that its author wrote?

Invariant: only the value's own characters change: comments, order and layout stay, and a value
outside of the parameter's bounds changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rules.diagnostic import did_you_mean
from rules.document import Node
from rules.errors import ParameterRefused
from rules.files import RuleSetFiles
from rules.pack import read_packs
from rules.parameters import Parameter, Value, literal_of, quoted
from rules.rule import Rule

# What YAML reads as a text without quotes, whatever stands beside it.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
_NO_TEXT = frozenset({"true", "false", "null"})


def set_parameter(files: RuleSetFiles, rule_id: str, name: str, value: Value) -> RuleSetFiles:
    """Return the rule set with another value of a parameter.

    `rule_id` is that of a rule, of a decision table or of a score card. A parameter of the whole
    pack is changed for the pack. Raises `ParameterRefused`.
    """
    parameter = parameter_of(files, rule_id, name)
    refusal = parameter.refusal_of(value)
    if refusal:
        raise ParameterRefused(f"'{name}' of {rule_id} {refusal}, not {literal_of(value)}")
    if parameter.type == "double" and isinstance(value, int):
        value = float(value)
    assert parameter.node is not None
    place: Node = parameter.node.value["value"]
    file_name = f"packs/{place.file.name}"
    text = files.texts[file_name]
    changed = text[: place.start] + _spelled(value, place) + text[place.end :]
    found = RuleSetFiles.of({**files.texts, file_name: changed})
    if parameter_of(found, rule_id, name).value != value:
        raise ParameterRefused(f"'{name}' of {rule_id}: this value cannot be written in the file")
    return found


def parameter_of(files: RuleSetFiles, rule_id: str, name: str) -> Parameter:
    """Return a parameter of a rule, a table or a card; raise `ParameterRefused`."""
    rules = read_packs(files.packs, files.tables).rules
    named = [rule for rule in rules if rule_id in (rule.id, rule.made_by)]
    if not named:
        hint = did_you_mean(rule_id, [rule.id for rule in rules])
        raise ParameterRefused(f"there is no rule '{rule_id}'" + (f"; {hint}" if hint else ""))
    parameters = _parameters(named)
    if name not in parameters:
        hint = did_you_mean(name, parameters) or _known(parameters)
        raise ParameterRefused(f"'{name}' is no parameter of {rule_id}; {hint}")
    return parameters[name]


def value_from(parameter: Parameter, text: str) -> Value:
    """Read a value as people type it; raise `ParameterRefused` if it is not of the type.

    >>> value_from(Parameter("n", "double", 3.0, 1, 9), "4")
    4.0
    """
    try:
        if parameter.type == "bool":
            return {"true": True, "false": False}[text.strip().lower()]
        if parameter.type == "int":
            return int(text)
        return float(text) if parameter.type == "double" else text
    except (KeyError, ValueError):
        raise ParameterRefused(f"'{parameter.name}' must be {parameter.kind_in_words}") from None


def _parameters(rules: Iterable[Rule]) -> dict[str, Parameter]:
    return {each.name: each for rule in rules for each in rule.parameters}


def _known(parameters: Iterable[str]) -> str:
    names = sorted(parameters)
    return f"it has {', '.join(names)}" if names else "it has none"


def _spelled(value: Value, place: Node) -> str:
    """Return a value as YAML writes it, in the style of the one before it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return repr(value)
    if place.style is None and _PLAIN.match(value) and value.lower() not in _NO_TEXT:
        return value
    if place.style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return quoted(value) + ("\n" if place.style in ("|", ">") else "")
