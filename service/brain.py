"""What decides?

Knowledge of what there is to know, the model, and the rulings in force. Immutable: a change makes
another brain, and every decision uses one brain from its beginning to its end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from features.catalog import Catalog
from features.geo import GeoTable
from features.money import CurrencyTable
from features.tags import Tagger
from rules.decision import RuleHit
from rules.files import RuleSetFiles
from rules.ruling import Ruling
from service.scorer import Scorer
from service.subject import SUBJECT_KINDS

Versions = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Rollout:
    """A candidate that decides for a stable share of the subjects: `share_bp` of 10,000."""

    ruling: Ruling
    share_bp: int
    salt: str


@dataclass(frozen=True, slots=True)
class Parts:
    """What decides besides the rule sets: the same from a worker's start to its end."""

    catalog: Catalog
    tagger: Tagger
    currencies: CurrencyTable
    scorer: Scorer | None
    geo: GeoTable
    code: str

    def brain(
        self,
        live: Ruling,
        *,
        catalog: Catalog | None = None,
        rollout: Rollout | None = None,
        shadows: tuple[RuleSetFiles, ...] = (),
        stopped: frozenset[str] = frozenset(),
    ) -> Brain:
        """Return a brain. `catalog`: this one with the series that the rule sets declare."""
        return Brain(
            catalog=catalog or self.catalog,
            tagger=self.tagger,
            currencies=self.currencies,
            scorer=self.scorer,
            geo=self.geo,
            code=self.code,
            live=live,
            rollout=rollout,
            shadows=shadows,
            stopped=stopped,
        )


@dataclass(frozen=True, slots=True)
class Brain:
    """Everything that decides; each part is immutable and named by its version.

    `shadows`: sets that are asked after the reply, in a process of their own.
    `stopped`: ids of the rules that an emergency stop takes the effect from, whatever version.
    """

    catalog: Catalog
    tagger: Tagger
    currencies: CurrencyTable
    scorer: Scorer | None
    geo: GeoTable
    code: str
    live: Ruling
    rollout: Rollout | None = None
    shadows: tuple[RuleSetFiles, ...] = ()
    stopped: frozenset[str] = frozenset()

    def ruling_for(self, tags: Mapping[str, str]) -> Ruling:
        """Return the ruling that decides for the subject of an event with these tags.

        The same subject has the same ruling as long as the rollout lasts, and keeps it as the share
        grows.
        """
        rollout = self.rollout
        if rollout is None:
            return self.live
        owner = next((tags[kind] for kind in SUBJECT_KINDS if kind in tags), None)
        is_in = owner is not None and bucket(rollout.salt, owner) < rollout.share_bp
        return rollout.ruling if is_in else self.live

    def effective(self, hits: Sequence[RuleHit]) -> Sequence[RuleHit]:
        """Return the hits with those of stopped rules marked, which takes their effect away."""
        return marked(hits, self.stopped) if self.stopped else hits

    def versions(self, ruling: Ruling) -> Versions:
        """Return what an answer and its entry say of what decided."""
        return {
            "rule_set": ruling.version,
            "bundle": None if self.scorer is None else self.scorer.version,
            "catalog": self.catalog.version,
            "policy": ruling.policy.version,
            "code": self.code,
        }


def marked(hits: Sequence[RuleHit], stopped: Collection[str]) -> Sequence[RuleHit]:
    """Return the hits with those of these rules marked as stopped."""
    return [replace(hit, mode="stopped") if hit.rule_id in stopped else hit for hit in hits]


def bucket(salt: str, tag: str) -> int:
    """Return the place of a tag among 10,000, evenly spread and the same everywhere.

    >>> bucket("r1", "tag") == bucket("r1", "tag"), 0 <= bucket("r1", "tag") < 10_000
    (True, True)
    """
    digest = hashlib.sha256(f"{salt}/{tag}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 10_000
