"""Of which parts is a rule set made, and which of them are the same in another?

Each rule and each file that is no pack has a digest. By these the database finds who wrote what a
version changes, whatever its pusher says it was made from. Invariant: a rule's digest is that of
its content; layout, comments and the pack it stands in do not count.
"""

from __future__ import annotations

import hashlib
import json

from rules.files import RuleSetFiles
from rules.pack import read_packs
from rules.rule import Rule

RULE = "rule:"


def parts_of(files: RuleSetFiles) -> dict[str, str]:
    """Return part -> digest: `rule:ID` of every rule that can be read, and the other files."""
    parts = {
        name: hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        for name, text in files.texts.items()
        if not name.startswith("packs/")
    }
    parts |= {RULE + rule.id: digest_of(rule) for rule in read_rules(files).values()}
    return parts


def read_rules(files: RuleSetFiles) -> dict[str, Rule]:
    """Return id -> rule of every rule that can be read, whatever else is wrong with the files."""
    rules = read_packs(files.packs, files.tables).rules
    return {rule.id: rule for rule in rules}


def digest_of(rule: Rule) -> str:
    """Return the SHA-256 of a rule's content.

    What is empty does not count, so that a key which rules may have from a later release on leaves
    the digests of those without it as they are.
    """
    stated = {key: value for key, value in rule.content().items() if value}
    content = json.dumps(
        stated, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str
    )
    return hashlib.sha256(content.encode("utf-8", "replace")).hexdigest()
