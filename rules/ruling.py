"""What does a rule set decide by, once it is loaded?

Engine, policy and reason texts of one version, together: a decision uses all of one ruling or none.
Invariant: a ruling that was made evaluates and settles every event without raising.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rules.engine import Engine
from rules.files import POLICY, REASONS, RuleSetFiles
from rules.policy import Policy
from rules.reasons import Reasons
from rules.ruleset import RuleSet


@dataclass(frozen=True, slots=True)
class Ruling:
    """One version of a rule set, ready to decide. `version` is that of its files."""

    version: str
    engine: Engine
    policy: Policy
    reasons: Reasons

    @classmethod
    def load(
        cls,
        files: RuleSetFiles,
        fact_types: Mapping[str, str],
        pause: Callable[[], None] = lambda: None,
    ) -> Ruling:
        """Compile a rule set for facts of these types; raise `ContentError` for what is wrong.

        `pause` is called about once a millisecond while rules are compiled: see `Engine`.
        """
        return cls(
            version=files.version,
            engine=Engine(RuleSet.parse(files.packs, files.tables), fact_types, pause),
            policy=Policy.parse(POLICY, files.texts[POLICY]),
            reasons=Reasons.parse(REASONS, files.texts[REASONS]),
        )
