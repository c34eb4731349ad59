"""What a rule set may have too much of."""

from __future__ import annotations

from rules.check import check_files
from rules.limits import MAX_EXAMPLES_OF_RULE, MAX_LISTED, MAX_PARAMETERS_OF_RULE, MAX_RULES
from tests.rule_files import FACT_TYPES, rule_files

RULE = """
  - id: rule-{number}
    description: A rule.
    event_types: [checkout]
    when: {when}
    outcome: review
    reason: COUPON_TOO_MANY
    threshold: {{source: a, false_alarms: b}}"""
EXAMPLE = "\n      - {expect: hit, facts: {has_user: true}}"


def messages(*conditions: str, more: str = "") -> list[str]:
    """Return what the check says of rules with these conditions."""
    rules = "".join(RULE.format(number=number, when=when) for number, when in enumerate(conditions))
    files = rule_files(f"owner: tests\nrules:{rules}{more}\n")
    return [each.message for each in check_files(files, FACT_TYPES, event_types=("checkout",))]


def test_too_many_rules() -> None:
    """A rule set has as many rules as one event has time for."""
    few = messages(*["has_user"] * (MAX_RULES // 100))
    many = messages(*["has_user"] * (MAX_RULES + 1))
    told = f"there are {MAX_RULES + 1} rules, more than {MAX_RULES}"
    assert told in many
    assert not any("rules, more than" in message for message in few)


def test_too_many_lists() -> None:
    """Each list is looked up for every event."""
    asked = [f'in_list("list_{number}", "user")' for number in range(MAX_LISTED + 1)]
    told = f"the rules ask {MAX_LISTED + 1} lists for a kind of entity, more than {MAX_LISTED}"
    assert told in messages(*asked)
    assert told not in messages(*asked[1:])


def test_too_many_examples_and_parameters() -> None:
    """Examples are run at every check, and parameters are for people."""
    examples = "\n    examples:" + EXAMPLE * (MAX_EXAMPLES_OF_RULE + 1)
    assert f"a rule has {MAX_EXAMPLES_OF_RULE} examples at most" in messages(
        "has_user", more=examples
    )
    declared = "".join(
        f"\n      p{number}: {{type: bool, value: true}}"
        for number in range(MAX_PARAMETERS_OF_RULE + 1)
    )
    told = f"more than {MAX_PARAMETERS_OF_RULE} parameters, here {MAX_PARAMETERS_OF_RULE + 1}"
    assert told in messages("has_user", more=f"\n    parameters:{declared}")


def test_rules_that_are_too_costly_together() -> None:
    """Each within its own bounds, but not all of one event type; the costliest is shown."""
    costly = "order.channel.matches('a{10}b{10}c{10}')"
    together = [message for message in messages(*[costly] * 40) if "steps together" in message]
    assert len(together) == 1
    assert not any("steps together" in message for message in messages(costly))
