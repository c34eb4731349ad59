"""What may somebody with a role do?

The one table from roles to scopes. Invariant: a role is a set of scopes and nothing else; whoever
has several roles has the scopes of all of them. What two people are needed for is not decided here
but in the database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

RoleName = Literal["caller", "analyst", "approver", "reviewer", "compliance", "auditor", "admin"]


@dataclass(frozen=True, slots=True)
class Role:
    """A role; `description` says in English and Chinese who has it."""

    scopes: frozenset[str]
    description: Mapping[str, str]


_READ_EVIDENCE = ("decisions:read", "rules:read", "lists:read", "labels:read")

ROLES: Mapping[str, Role] = {
    "caller": Role(
        frozenset(("score", "events:write", "decisions:read", "labels:read", "labels:write")),
        {
            "en": "A system of the shop: sends events and labels, reads decisions back.",
            "zh": "商城系统：发送事件和标签，读取决策。",
        },
    ),
    "analyst": Role(
        # Activation needs another person's approval, in the database; taking back does not.
        frozenset(
            (
                *_READ_EVIDENCE,
                "rules:write",
                "rules:activate",
                "rules:stop",
                "lists:write",
                "labels:write",
            )
        ),
        {
            "en": "Writes and tests rules, puts live what somebody else approved, takes it back.",
            "zh": "编写并测试规则，上线他人已批准的版本，可随时回滚。",
        },
    ),
    "approver": Role(
        frozenset((*_READ_EVIDENCE, "rules:approve", "rules:activate", "rules:stop")),
        {
            "en": "Approves rule sets of others, confirms emergency stops.",
            "zh": "批准他人提交的规则集，确认紧急停用。",
        },
    ),
    "reviewer": Role(
        frozenset((*_READ_EVIDENCE, "labels:write")),
        {
            "en": "Looks at single cases and says what they turned out to be.",
            "zh": "复核个案并给出结论。",
        },
    ),
    "compliance": Role(
        # A rule that breaks the law must stop at once, whoever notices.
        frozenset(
            (
                *_READ_EVIDENCE,
                "people:read",
                "rules:stop",
                "audit:read",
                "audit:reveal",
                "audit:export",
                "audit:erase",
            )
        ),
        {
            "en": "Reads, exports and proves the record, answers requests of persons about their "
            "data, stops a rule that breaks the law.",
            "zh": "查阅、导出并验证记录，处理个人信息权利请求，并可停用违法违规的规则。",
        },
    ),
    "auditor": Role(
        frozenset((*_READ_EVIDENCE, "people:read", "audit:read", "audit:export")),
        {
            "en": "Reads, exports and proves the record without the persons in it.",
            "zh": "查阅、导出并验证记录，但看不到其中的个人信息。",
        },
    ),
    "admin": Role(
        frozenset(("people:read", "people:write")),
        {
            "en": "Requests changes of roles and decides on those that other admins request.",
            "zh": "申请角色变更，并审批其他管理员的申请。",
        },
    ),
}

# What a key may do that belongs to nobody; the table `api_key` has the same list as a constraint.
PROGRAM_SCOPES = ROLES["caller"].scopes


def scopes_of(roles: Iterable[str]) -> frozenset[str]:
    """Return what all the roles together allow; a role that is not in the table allows nothing.

    >>> sorted(scopes_of(["admin"])), scopes_of([])
    (['people:read', 'people:write'], frozenset())
    """
    return frozenset().union(*(ROLES[role].scopes for role in roles if role in ROLES))
