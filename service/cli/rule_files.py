"""Which rule set does a word of the command line mean: a directory, or a version of the service?

Invariant: a directory that `rules pull` filled knows the version it holds, so that what is pushed
from it says what it was made from.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.settings import Settings

if TYPE_CHECKING:
    from rules.files import RuleSetFiles
    from service.cli.api_client import ApiClient

MARKER = ".touchstone-rules.json"
SHOWN = 12  # hex digits of a version that people see and type
SHIPPED_NAME = "shipped"

Version = Annotated[
    str,
    typer.Argument(
        metavar="VERSION", help="Six digits or more of a version, or live, previous, latest"
    ),
]


class NoRuleSet(Exception):
    """A word means no rule set; the text says why."""

    code = "no_rule_set"


def short(version: str | None) -> str:
    """Return what people see of a version."""
    return "-" if version is None else version[:SHOWN]


def files_at(
    target: str | None, settings: Settings, client: Callable[[], ApiClient]
) -> RuleSetFiles:
    """Return the files of a directory, of a version, or of `shipped`; None is the directory of the
    settings, else what was shipped.

    Raises `NoRuleSet`, `RuleSetInvalid` and `ApiRefused`.
    """
    from rules.files import SHIPPED, RuleSetFiles
    from service.cli.api_client import path

    if target is None or target == SHIPPED_NAME:
        return RuleSetFiles.load(settings.rules_dir or SHIPPED)
    if is_version(target):
        return RuleSetFiles.of(client().get(path("v1", "rule-sets", target, "files"))["files"])
    directory = Path(target)
    if not directory.is_dir():
        raise NoRuleSet(f"there is no directory {target}")
    if not (directory / "packs").is_dir():
        raise NoRuleSet(f"{target} has no packs/: it is no directory of a rule set")
    return RuleSetFiles.load(directory)


def is_version(target: str) -> bool:
    """Say whether a word means a version and not a directory, which has the first right to it.

    >>> is_version("live"), is_version("./live"), is_version("shipped")
    (True, False, False)
    """
    if target == SHIPPED_NAME or "/" in target or target.startswith("."):
        return False
    return not Path(target).is_dir()


def pulled_version(directory: Path) -> str | None:
    """Return the version that a directory was pulled from, or last pushed as."""
    try:
        found = json.loads((directory / MARKER).read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def remember(directory: Path, version: str) -> None:
    """Note which version a directory holds."""
    text = json.dumps({"version": version}) + "\n"
    (directory / MARKER).write_text(text, encoding="utf-8")


def is_set_file(name: str) -> bool:
    """Say whether a file of this name is a part of a rule set."""
    from rules.files import POLICY, REASONS, SERIES

    folder, _, rest = name.rpartition("/")
    if folder:
        return (folder, rest.rpartition(".")[2]) in (("packs", "yaml"), ("tables", "csv"))
    return rest in (POLICY, REASONS, SERIES)


def set_files(directory: Path) -> dict[str, Path]:
    """Return the files of a directory that are parts of a rule set, by name."""
    found = {
        path.relative_to(directory).as_posix(): path
        for path in [*directory.glob("*"), *directory.glob("packs/*"), *directory.glob("tables/*")]
        if path.is_file()
    }
    return {name: path for name, path in sorted(found.items()) if is_set_file(name)}
