"""Which things can go wrong in features/, as one small tree.

Invariant: every leaf has a stable `code`; none knows HTTP, none carries a value of the caller.
"""

from __future__ import annotations

from typing import ClassVar


class FeatureError(Exception):
    """Root of what features/ raises on purpose."""

    code: ClassVar[str] = "FEATURE_ERROR"
