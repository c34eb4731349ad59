"""Whatever a shipped parameter is set to within its bounds, the rules pass the check."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalog import Catalog
from features.entities import ENTITY_KINDS
from features.event_types import EVENT_TYPES
from rules.check import check_files, render
from rules.diagnostic import errors_of
from rules.files import RuleSetFiles
from rules.pack import read_packs
from rules.parameters import Parameter, Value
from rules.tuning import set_parameter

SHIPPED = RuleSetFiles.load()
RULES = read_packs(SHIPPED.packs, SHIPPED.tables).rules
# By rule, table or card, and name.
PARAMETERS: dict[tuple[str, str], Parameter] = {
    (rule.made_by or rule.id, each.name): each for rule in RULES for each in rule.parameters
}
FACT_TYPES = Catalog.load().fact_types


def values_of(parameter: Parameter) -> list[Value]:
    """Return both ends of what is allowed, and one value beside the default."""
    if parameter.one_of or parameter.type == "bool":
        return list(parameter.one_of or (False, True))
    least, most, value = parameter.minimum, parameter.maximum, parameter.value
    assert least is not None
    assert most is not None
    assert isinstance(value, int | float)
    if parameter.type == "double":
        return [least, most, value + (most - value) / 7 if value < most else value - 0.01]
    return [int(least), int(most), int(value) + (1 if value < most else -1)]


def entry_of(subject: str) -> RuleSetFiles:
    """Return a rule set of one entry, which is checked sooner than all of them."""
    for text in SHIPPED.packs.values():
        section = ""
        for block in re.split(r"^(?=\S|  - )", text, flags=re.MULTILINE):
            if block.startswith(f"  - id: {subject}\n"):
                pack = f"owner: tests\n{section}{block}"
                others = {n: t for n, t in SHIPPED.texts.items() if not n.startswith("packs/")}
                return RuleSetFiles.of({**others, f"packs/{subject}.yaml": pack})
            section = section if block.startswith(" ") else block
    raise KeyError(subject)


def together(values: Mapping[tuple[str, str], Value]) -> RuleSetFiles:
    """Return the entries with parameters, each with its values."""
    found: dict[str, RuleSetFiles] = {}
    for (subject, name), value in values.items():
        files = found.get(subject) or entry_of(subject)
        found[subject] = set_parameter(files, subject, name, value)
    return RuleSetFiles.of({n: t for files in found.values() for n, t in files.texts.items()})


def assert_right(files: RuleSetFiles) -> None:
    found = check_files(files, FACT_TYPES, event_types=EVENT_TYPES, entity_kinds=ENTITY_KINDS)
    assert not errors_of(found), render(errors_of(found))


def test_there_is_something_to_tune() -> None:
    """The shipped parameters are found, those of the table and of the card, too."""
    assert len(PARAMETERS) >= 35
    assert {("settlement-gap", "wide"), ("payment-contradictions", "many")} <= PARAMETERS.keys()


@pytest.mark.parametrize("key", sorted(PARAMETERS), ids="/".join)
def test_any_value_within_its_bounds_passes_the_check(key: tuple[str, str]) -> None:
    """`rules set` with the least, the greatest or a near value gives no draft that fails."""
    files = entry_of(key[0])
    for value in values_of(PARAMETERS[key]):
        assert_right(set_parameter(files, *key, value))


@pytest.mark.parametrize("end", [0, 1])
def test_all_at_an_end_pass_the_check(end: int) -> None:
    """All parameters at their least, or at their greatest, contradict nothing."""
    assert_right(together({key: values_of(each)[end] for key, each in PARAMETERS.items()}))


@pytest.mark.parametrize("subject", sorted({subject for subject, _ in PARAMETERS}))
def test_each_corner_passes_the_check(subject: str) -> None:
    """The parameters of one rule, table or card agree, each at either end."""
    ends = {key: values_of(each)[:2] for key, each in PARAMETERS.items() if key[0] == subject}
    for corner in product(*ends.values()):
        assert_right(together(dict(zip(ends, corner, strict=True))))


@settings(max_examples=5)
@given(data=st.data())
def test_any_values_together_pass_the_check(data: st.DataObject) -> None:
    """No mixture of values within the bounds contradicts itself."""
    values: dict[tuple[str, str], Value] = {}
    for key, each in sorted(PARAMETERS.items()):
        least, most = values_of(each)[:2]
        assert isinstance(least, int | float)
        assert isinstance(most, int | float)
        some = st.integers if each.type == "int" else st.floats
        values[key] = data.draw(some(least, most), "/".join(key))  # type: ignore[arg-type]  # ints
    assert_right(together(values))
