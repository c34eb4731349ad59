"""Who holds the key-encryption key (KEK)? The one door: `open_wrapper`. See README.md."""

from __future__ import annotations

from service.keys.held import HeldKeks, open_wrapper

__all__ = ["HeldKeks", "open_wrapper"]
