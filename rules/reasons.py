"""Which reasons are given to people, and in which words?

Every code has an English and a Chinese text. Invariant: at most four reasons, those of the rules
that decided first, and no outcome other than approve without a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from rules.decision import Decision, HitStatus, Outcome, Reason, ReasonKind
from rules.diagnostic import Diagnostic
from rules.document import check_keys, read
from rules.errors import ReasonsInvalid
from rules.human_review import CAP, REASON, TEXT_EN, TEXT_ZH

MAX_REASONS = 4
# Given when an outcome has no other reason to name.
MODEL_FALLBACK = "MODEL_OTHER"
POLICY_FALLBACK = "CHECKS_INCOMPLETE"
_KINDS: tuple[ReasonKind, ...] = ("rule", "model", "policy")


@dataclass(frozen=True, slots=True)
class ReasonText:
    """A code's texts; `kind` says who may give it."""

    code: str
    en: str
    zh: str
    kind: ReasonKind


@dataclass(frozen=True)
class Reasons:
    """All reason codes."""

    texts: Mapping[str, ReasonText]

    @classmethod
    def parse(cls, name: str, text: str) -> Reasons:
        """Read reason texts; raise ReasonsInvalid with every problem."""
        texts, problems = read_reasons(name, text)
        if problems:
            raise ReasonsInvalid(problems)
        return cls(MappingProxyType(texts))

    @classmethod
    def load(cls, path: Path) -> Reasons:
        """Read a file of reason texts; raise ReasonsInvalid with every problem."""
        return cls.parse(path.name, path.read_text(encoding="utf-8", errors="replace"))

    def reason(self, code: str, source: str) -> Reason:
        """Return a reason; a code without a text is shown as itself, for a record must be made."""
        found = self.texts.get(code)
        if found is None and code == REASON:
            return Reason(code, TEXT_EN, TEXT_ZH, source)
        return Reason(code, found.en if found else code, found.zh if found else code, source)


def reasons_for(
    decision: Decision, explain: Iterable[tuple[str, float]], reasons: Reasons
) -> tuple[Reason, ...]:
    """Return up to four reasons, those of the deciding rules first, each code once.

    `explain` are the model's causes, the heaviest first; they count only where
    `decision.is_explained_by_model`.
    """
    hits = [h for h in decision.hits if h.mode == "live" and h.status is HitStatus.HIT]
    if decision.outcome is Outcome.APPROVE:
        # Allowed in spite of other hits, or nothing hit: only what allowed it is a reason.
        allowing = [hit for hit in hits if hit.precedence == "allow"]
        return _first_codes(reasons, [(hit.reason, f"rule:{hit.rule_id}") for hit in allowing])
    decided = set(decision.decided_by)
    hits = [hit for hit in hits if hit.precedence != "allow"]
    hits.sort(key=lambda hit: (-hit.outcome.severity, hit.rule_id))
    named = [(hit.reason, f"rule:{hit.rule_id}") for hit in hits]
    deciding = [item for item in named if item[1] in decided]
    others = [item for item in named if item[1] not in decided]
    model: list[tuple[str, str]] = []
    policy: list[tuple[str, str]] = []
    if decision.is_explained_by_model:
        causes = [code for code, weight in explain if weight > 0] or [MODEL_FALLBACK]
        model = [(code, "model") for code in causes]
    if any(cause.startswith("missing:") for cause in decided):
        policy = [(POLICY_FALLBACK, "policy")]
    if CAP in decided:
        policy.insert(0, (REASON, CAP))
    if "score" in decided or policy:
        deciding = deciding[: MAX_REASONS - 2]  # room for what decided beside the rules
    if "score" in decided:
        return _first_codes(reasons, [*deciding, *policy, *model, *others])
    return _first_codes(reasons, [*deciding, *policy, *others, *model])


def _first_codes(reasons: Reasons, named: Iterable[tuple[str, str]]) -> tuple[Reason, ...]:
    first: dict[str, str] = {}
    for code, source in named:
        first.setdefault(code, source)
    return tuple(reasons.reason(*item) for item in list(first.items())[:MAX_REASONS])


def read_reasons(name: str, text: str) -> tuple[dict[str, ReasonText], list[Diagnostic]]:
    """Return code -> texts, and every problem."""
    root, problems = read(name, text)
    texts: dict[str, ReasonText] = {}
    if root is None:
        return texts, problems
    if not isinstance(root.value, dict):
        return texts, [root.diagnose("shape", "the file must map reason codes to texts")]
    for code, node in root.value.items():
        place = (root.keys or {})[code]
        if not (code.isascii() and code.isupper() and code.replace("_", "A").isalnum()):
            problems.append(place.diagnose("bad-code", f"'{code}' is not UPPER_SNAKE"))
        part = check_keys(node, ("kind", "en", "zh"), f"the reason '{code}'", problems)
        for key in ("kind", "en", "zh"):
            value = part[key].value if key in part else None
            if not isinstance(value, str) or not value.strip():
                problems.append(
                    place.diagnose("missing-text", f"the reason '{code}' has no '{key}'")
                )
        kind = part["kind"].value if "kind" in part else None
        if kind is not None and kind not in _KINDS:
            message = f"'kind' must be one of {', '.join(_KINDS)}"
            problems.append(part["kind"].diagnose("bad-kind", message))
        texts[code] = ReasonText(
            code,
            str(part["en"].value) if "en" in part else "",
            str(part["zh"].value) if "zh" in part else "",
            kind if kind in _KINDS else "rule",
        )
    for code in (MODEL_FALLBACK, POLICY_FALLBACK):
        if code not in texts:
            message = f"there is no text for '{code}', which Touchstone gives itself"
            problems.append(root.diagnose("missing-text", message))
    return texts, problems
