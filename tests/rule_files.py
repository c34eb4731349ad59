"""Rule sets for tests: a pack, with reasons and a policy that fit."""

from __future__ import annotations

from rules.files import RuleSetFiles

FACT_TYPES = {
    "has_user": "bool",
    "event.type": "string",
    "event.business_line": "string",
    "event.region": "string",
    "order.channel": "string",
    "user_orders_7d": "int",
    "user_returns_7d": "int",
    "user_share_7d": "double",
}
POLICY = """\
default: {challenge_at: 0.5, review_at: 0.8, decline_at: null, step_up: captcha}
"""
REASONS = """\
COUPON_TOO_MANY: {kind: rule, en: Too many., zh: 太多。}
RETURN_TOO_MANY: {kind: rule, en: Too many returns., zh: 退货太多。}
CHECKS_INCOMPLETE: {kind: policy, en: Incomplete., zh: 不完整。}
MODEL_OTHER: {kind: model, en: Other., zh: 其他。}
"""


def rule_files(pack: str, **more: str) -> RuleSetFiles:
    """Return a rule set of one pack (`a.yaml`); `more` are tables, name -> text."""
    tables = {f"tables/{name}.csv": text for name, text in more.items()}
    return RuleSetFiles.of(
        {"packs/a.yaml": pack, "policy.yaml": POLICY, "reasons.yaml": REASONS, **tables}
    )
