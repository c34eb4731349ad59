"""What can be done from the command line? `touchstone COMMAND`, each with --help and --var.

Commands of training/ are found by their entry points, as this package may not import them.
Invariant: an error that we expect is one clear line and an exit code that is not 0; a traceback is
always a bug of ours.
"""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Sequence

import typer

from service.cli.backup import backup, restore
from service.cli.config import config_app
from service.cli.discovered import add_command, add_if_there
from service.cli.features import features_app
from service.cli.geo import geo_app
from service.cli.keys import keys_app
from service.cli.labels import labels_app
from service.cli.ledger import ledger_app
from service.cli.lists import lists_app
from service.cli.people import people_app
from service.cli.rules import rules_app
from service.cli.serve import serve
from service.cli.subject import subject_app

GROUP = "touchstone.commands"
FAILED = 1
INTERRUPTED = 130


def main() -> int:
    """Run the command line and return its exit code."""
    words = sys.argv[1:]
    try:
        build_app(words)(args=words, prog_name="touchstone", standalone_mode=True)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        text = _sentence(error, words)
        if text is None:
            raise
        sys.stderr.write(f"error: {text}\n")
        return FAILED
    except SystemExit as exit_request:
        return _code(exit_request.code)
    return 0


def build_app(words: Sequence[str]) -> typer.Typer:
    """Return the app; of the discovered commands only the one that `words` call is loaded."""
    app = typer.Typer(
        help="Touchstone: may this go ahead? Decisions for an online shop, on the record.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.command("serve")(serve)
    app.command("backup")(backup)
    app.command("restore")(restore)
    app.add_typer(keys_app, name="keys")
    app.add_typer(people_app, name="people")
    app.add_typer(rules_app(words), name="rules")
    app.add_typer(lists_app, name="lists")
    app.add_typer(labels_app, name="labels")
    app.add_typer(ledger_app, name="ledger")
    app.add_typer(subject_app, name="subject")
    app.add_typer(config_app, name="config")
    app.add_typer(geo_app, name="geo")
    app.add_typer(features_app(words), name="features")
    called = next((word for word in words if not word.startswith("-")), None)
    built_in = {
        "serve", "backup", "restore", "keys", "people", "rules", "lists", "labels", "ledger",
        "config", "geo", "features",
    }  # fmt: skip
    for entry in sorted(importlib.metadata.entry_points(group=GROUP)):
        if called == entry.name:
            add_command(app, entry.name, entry.load())
        elif called is None or called not in built_in:
            add_if_there(app, entry)
    return app


def _sentence(error: Exception, words: Sequence[str]) -> str | None:
    """Return what to tell the user about an error that we expect, None for any other.

    Every domain error of ours has a stable `code`; a file that `words` name is the caller's.
    """
    if isinstance(error, OSError) and str(error.filename) in (w.split("=")[-1] for w in words):
        return f"cannot use {error.filename}: {error.strerror}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        if error.name.partition(".")[0] == "training":
            return "this installation is without training"
        return f"this needs the Python package {error.name}, which is not installed"
    return str(error) if isinstance(getattr(error, "code", None), str) else None


def _code(code: str | int | None) -> int:
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
        return FAILED
    return code or 0
