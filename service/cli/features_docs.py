"""What may a rule or a model know, and who uses it? `touchstone features docs`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from service.cli.options import Var

if TYPE_CHECKING:
    from features.catalog_text import Entry
    from service.fact_uses import FactUses

TITLES = {
    "series": ("Velocities: what happened before", "速度特征：之前发生过什么"),
    "derived": ("Ratios of velocities", "速度特征之比"),
    "event_features": ("What the event says by itself", "事件自身说明什么"),
    "profiles": ("Profiles: slow features", "画像：慢变特征"),
    "fields": ("What the event states", "事件直接给出什么"),
    "presence": ("Which parts the event has", "事件包含哪些部分"),
}
HEADS = {
    "en": ("Fact", "Type", "What it is", "Unknown when", "rules", "model"),
    "zh": ("特征", "类型", "含义", "何时未知", "规则", "模型"),
}


def docs(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORD]...", help="Only facts whose name contains one of these"),
    ] = None,
    lang: Annotated[Literal["en", "zh"], typer.Option(help="Language of the sentences")] = "en",
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a Markdown page instead")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead")] = False,
    var: Var = None,
) -> None:
    """Print every fact of the catalog: what it is, its type, when it is unknown and who uses it.

    The model's column is the fact's share of the live model's split gain.
    """
    import orjson
    from rich.console import Console

    shown, note = _collect(var)
    if words:
        shown = [(entry, use) for entry, use in shown if any(word in entry.name for word in words)]
    if not shown:
        raise typer.BadParameter(f"no fact has a name with {' or '.join(words or ['it'])} in it")
    if as_json:
        typer.echo(orjson.dumps([_plain(entry, use) for entry, use in shown], option=2).decode())
    elif markdown is not None:
        try:
            markdown.write_text(_page(shown, note, lang), encoding="utf-8")
        except OSError as error:
            raise typer.BadParameter(f"cannot write {markdown}: {error.strerror}") from None
        typer.echo(f"{len(shown)} facts written to {markdown}")
    else:
        _print(Console(), shown, note, lang)


def _collect(var: Path | None) -> tuple[list[tuple[Entry, FactUses]], str]:
    import rules
    from features.catalog import DEFAULT_PATH, Catalog
    from rules.ruleset import RuleSet
    from service.bundle import BundleError, current_bundle, read_bundle
    from service.fact_uses import uses_of
    from service.settings import load_settings

    settings = load_settings(var)
    catalog = Catalog.load(settings.catalog or DEFAULT_PATH)
    ruleset = RuleSet.load((settings.rules_dir or Path(rules.__file__).parent) / "packs")
    bundle, note = None, "no model yet: `touchstone train` makes one"
    try:
        directory = current_bundle(settings.var)
        if directory is not None:
            bundle = read_bundle(directory, catalog)
            note = f"bundle {bundle.version[:16]}"
    except BundleError as error:
        note = f"no model: {error}"
    uses = uses_of(catalog, ruleset, bundle)
    what = f"catalog {catalog.short_version}, rule set {ruleset.version[:16]}, {note}"
    return [(entry, uses[entry.name]) for entry in catalog.entries], what


def _sections(
    shown: list[tuple[Entry, FactUses]], lang: str
) -> list[tuple[str, list[tuple[Entry, FactUses]]]]:
    titles = {section: both[lang == "zh"] for section, both in TITLES.items()}
    grouped = [
        (title, [pair for pair in shown if pair[0].section == section])
        for section, title in titles.items()
    ]
    return [(title, pairs) for title, pairs in grouped if pairs]


def _gain(use: FactUses) -> str:
    if use.gain is None:
        return "–"
    return "0" if use.gain == 0 else f"{use.gain:.1%}"


def _print(console: Any, shown: list[tuple[Entry, FactUses]], note: str, lang: str) -> None:
    from rich.padding import Padding
    from rich.text import Text

    rules_word, model_word = HEADS[lang][4:]
    for title, pairs in _sections(shown, lang):
        console.print(Text(f"\n{title}", "bold"))
        for entry, use in pairs:
            head = Text.assemble((entry.name, "cyan"), " ", (entry.type, "dim"))
            if use.gain is not None:
                head.append(f"  {model_word} {_gain(use)}", "green" if use.gain else "dim")
            console.print(head, soft_wrap=True)
            console.print(Padding(Text(entry.text[lang]), (0, 0, 0, 4)))
            if use.rules:
                readers = Text(f"{rules_word}: {', '.join(use.rules)}", "yellow")
                console.print(Padding(readers, (0, 0, 0, 4)))
    console.print(Text(f"\n{note}", "dim"))


def _page(shown: list[tuple[Entry, FactUses]], note: str, lang: str) -> str:
    lines = [f"# {'Facts' if lang == 'en' else '特征'}", "", note, ""]
    for title, pairs in _sections(shown, lang):
        lines += [f"## {title}", "", "| " + " | ".join(HEADS[lang]) + " |", "|---" * 6 + "|"]
        for entry, use in pairs:
            text, missing = (one[lang].replace("|", r"\|") for one in (entry.text, entry.missing))
            readers = ", ".join(f"`{rule}`" for rule in use.rules) or "–"
            lines.append(
                f"| `{entry.name}` | {entry.type} | {text} | {missing} | {readers} | {_gain(use)} |"
            )
        lines.append("")
    return "\n".join(lines)


def _plain(entry: Entry, use: FactUses) -> dict[str, Any]:
    return {
        **entry._asdict(),
        "rules": list(use.rules),
        "model_gain_share": use.gain,
    }
