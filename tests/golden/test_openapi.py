"""The API's document, as callers' tools read it. REGENERATE_GOLDEN=1 writes it anew."""

from __future__ import annotations

import json
import os
from pathlib import Path

from service.api.app import create_app
from service.settings import Settings

GOLDEN = Path(__file__).with_name("openapi.json")


def test_the_openapi_document_is_the_one_that_was_reviewed() -> None:
    """A change of the API shows up as a change of this file."""
    document = create_app(Settings()).openapi()
    text = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if os.environ.get("REGENERATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")
