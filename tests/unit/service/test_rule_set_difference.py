"""What differs between two rule sets, as people are shown it."""

from __future__ import annotations

from rules.files import SHIPPED, RuleSetFiles
from service.rule_sets.difference import difference
from service.rule_sets.parts import parts_of
from tests.rule_sets import COUPONS, FIRST, LOGINS, changed, variant


def test_nothing_is_different_from_itself() -> None:
    """A set is equal to itself."""
    found = difference(FIRST, FIRST)
    assert (found["rules"], found["files"], found["whole_shop"]) == ([], [], [])


def test_a_comment_is_no_change_of_a_rule() -> None:
    """Comments and layout change a file and no rule; the version is another."""
    other = changed(FIRST, "# The address", "# The  address", COUPONS)
    found = difference(FIRST, other)
    assert found["rules"] == []
    assert [one["name"] for one in found["files"]] == [COUPONS]
    assert parts_of(FIRST) == parts_of(other)
    assert FIRST.version != other.version


def test_a_rule_that_moves_is_the_same() -> None:
    """A rule in another pack is the same rule."""
    texts = dict(FIRST.texts)
    texts["packs/entries.yaml"] = texts.pop(LOGINS)
    moved = RuleSetFiles.of(texts)
    assert difference(FIRST, moved)["rules"] == []
    assert parts_of(FIRST) == parts_of(moved)


def test_added_removed_and_changed_rules_are_told_apart() -> None:
    """Each rule with how it changed, which keys, and its own text."""
    texts = dict(variant(4).texts)
    texts[LOGINS] = texts[LOGINS].replace("login-many-failures", "login-some-failures")
    found = difference(FIRST, RuleSetFiles.of(texts))
    assert [(one["id"], one["change"], one["keys"]) for one in found["rules"]] == [
        ("coupon-crowded-address", "changed", ["parameters", "when"]),
        ("login-many-failures", "removed", []),
        ("login-some-failures", "added", []),
    ]
    changed_rule, removed, added = (one["diff"] for one in found["rules"])
    assert "\n-  most_accounts: {type: int, value: 6," in changed_rule
    assert "\n+  most_accounts: {type: int, value: 4," in changed_rule
    assert "login-many" not in changed_rule
    assert "\n-id: login-many-failures" in removed
    assert "\n+id: login-some-failures" in added


def test_a_change_outside_of_the_rule_is_shown_by_its_effect() -> None:
    """A pack's owner belongs to its rules, though their own text is the same."""
    found = difference(FIRST, changed(FIRST, "owner: risk-team", "owner: fraud-team", LOGINS))
    [rule] = found["rules"]
    assert (rule["id"], rule["keys"]) == ("login-many-failures", ["owner"])
    assert "+owner: fraud-team" in rule["diff"]


def test_what_concerns_the_whole_shop_is_named() -> None:
    """Policy, series and texts that others use; a text that is added concerns nobody else."""
    policy = changed(FIRST, "captcha", "one_time_code", "policy.yaml")
    assert difference(FIRST, policy)["whole_shop"] == ["policy.yaml"]
    series = RuleSetFiles.of({**FIRST.texts, "series.yaml": "series: []\n"})
    assert difference(FIRST, series)["whole_shop"] == ["series.yaml"]
    texts = FIRST.texts["reasons.yaml"] + "\nSO_IT_IS: {kind: rule, en: So it is., zh: 如此。}\n"
    added = RuleSetFiles.of({**FIRST.texts, "reasons.yaml": texts})
    assert difference(FIRST, added)["whole_shop"] == []
    assert difference(added, FIRST)["whole_shop"] == ["reasons.yaml"]


def test_the_shipped_rules_have_their_own_text() -> None:
    """Removing all shipped rules shows each as it is written, up to the next."""
    shipped = RuleSetFiles.load(SHIPPED)
    texts = {name: text for name, text in shipped.texts.items() if not name.startswith("packs/")}
    empty = RuleSetFiles.of({**texts, "packs/none.yaml": "pack: none\nowner: x\nrules: []\n"})
    for rule in difference(shipped, empty)["rules"]:
        assert rule["change"] == "removed"
        assert rule["diff"].count("\n-id: ") <= 1, rule["diff"]
        assert len(rule["diff"].splitlines()) < 80


def test_what_cannot_be_read_is_removed() -> None:
    """A rule that is broken is shown as taken away: it would not run."""
    broken = changed(FIRST, "rules:\n", "rules: [\n", LOGINS)
    found = difference(FIRST, broken)
    assert [(one["id"], one["change"]) for one in found["rules"]] == [
        ("login-many-failures", "removed")
    ]
