"""What is different between two rule sets, rule by rule?

Invariant: equal content of a rule is no difference, wherever and however it is written; equal bytes
of a file are no difference, and every other file is shown.
"""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Mapping
from typing import Any

import yaml

from rules.files import POLICY, REASONS, SERIES, RuleSetFiles
from rules.reasons import read_reasons
from rules.rule import Rule
from service.rule_sets.parts import read_rules

Answer = dict[str, Any]
CONTEXT_LINES = 3


def difference(old: RuleSetFiles, new: RuleSetFiles) -> Answer:
    """Return the rules and files that were added, removed and changed, each with its text diff.

    `keys` of a changed rule are those of its content that differ; `whole_shop` are the files whose
    change concerns every part of the shop.
    """
    before, after = read_rules(old), read_rules(new)
    old_texts, new_texts = _rule_texts(old, before), _rule_texts(new, after)
    rules = []
    for rule_id in sorted({*before, *after}):
        was, becomes = before.get(rule_id), after.get(rule_id)
        keys = _changed_keys(was, becomes)
        if was is not None and becomes is not None and not keys:
            continue
        one, other = old_texts.get(rule_id, ""), new_texts.get(rule_id, "")
        if one == other and was is not None and becomes is not None:
            # What changed stands elsewhere: in a table, in a parameter of the pack.
            one, other = _canonical(was, keys), _canonical(becomes, keys)
        rules.append(
            {
                "id": rule_id,
                "change": _change(was, becomes),
                "keys": keys,
                "before": _scope(was),
                "after": _scope(becomes),
                "diff": _diff(one, other, rule_id),
            }
        )
    files = [
        {
            "name": name,
            "change": _change(old.texts.get(name), new.texts.get(name)),
            "diff": _diff(old.texts.get(name, ""), new.texts.get(name, ""), name),
        }
        for name in sorted({*old.texts, *new.texts})
        if old.texts.get(name) != new.texts.get(name)
    ]
    return {
        "from": old.version,
        "to": new.version,
        "rules": rules,
        "files": files,
        "whole_shop": _whole_shop(old, new),
    }


def _whole_shop(old: RuleSetFiles, new: RuleSetFiles) -> list[str]:
    """Return which files change what rules of every part of the shop use.

    A reason that is added concerns nobody else's rules.
    """
    found = [name for name in (POLICY, SERIES) if old.texts.get(name) != new.texts.get(name)]
    texts, _ = read_reasons(REASONS, old.texts[REASONS])
    new_texts, _ = read_reasons(REASONS, new.texts[REASONS])
    if any(new_texts.get(code) != text for code, text in texts.items()):
        found.append(REASONS)
    return found


def _change(was: object, becomes: object) -> str:
    return "added" if was is None else "removed" if becomes is None else "changed"


def _changed_keys(was: Rule | None, becomes: Rule | None) -> list[str]:
    if was is None or becomes is None:
        return []
    old, new = was.content(), becomes.content()
    return [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]


def _scope(rule: Rule | None) -> Answer | None:
    if rule is None:
        return None
    return {
        "id": rule.id,
        "description": rule.description,
        "outcome": rule.outcome.value,
        "mode": rule.mode,
        "event_types": list(rule.event_types),
        "business_lines": list(rule.business_lines),
        "regions": list(rule.regions),
    }


def _rule_texts(files: RuleSetFiles, rules: Mapping[str, Rule]) -> dict[str, str]:
    """Return each rule as it is written, from its first line to the next rule's."""
    places = {
        rule.id: (f"packs/{rule.node.file.name.removeprefix('packs/')}", rule.node.line)
        for rule in rules.values()
        if rule.node is not None
    }
    texts = {}
    for rule_id, (name, line) in places.items():
        later = [at for of, at in places.values() if of == name and at > line]
        lines = files.texts.get(name, "").splitlines()[line - 1 : min(later, default=0) - 1 or None]
        while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
            lines.pop()
        if lines and lines[0].lstrip().startswith("- "):
            lines[0] = lines[0].replace("- ", "  ", 1)
        texts[rule_id] = textwrap.dedent("\n".join(lines))
    return texts


def _canonical(rule: Rule, keys: list[str]) -> str:
    content = rule.content()
    shown = {key: content.get(key) for key in keys}
    return yaml.safe_dump(shown, allow_unicode=True, sort_keys=False, width=100)


def _diff(old: str, new: str, name: str) -> str:
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), f"a/{name}", f"b/{name}", n=CONTEXT_LINES, lineterm=""
    )
    return "\n".join(lines)
