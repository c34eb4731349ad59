"""Is the ledger whole? `touchstone ledger verify`; with `--proof`: was one entry recorded?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from service.cli.options import Var

if TYPE_CHECKING:
    from service.ledger.note import VerifierKey
    from service.ledger.placed import Trusted
    from service.ledger.report import Report

USAGE = 64

_PROVEN = {
    "en": "PROVEN: entry {} of type {}, {}, is number {} of {} signed entries of {}{}.",
    "zh": "已证明:条目 {}(类型 {},{})是第 {} 条,属于已签名的 {} 个条目,日志 {}{}。",
}
_SIGNED_AT = {"en": " on {}", "zh": ",签名于 {}"}


def verify(
    with_keys: Annotated[
        bool, typer.Option("--with-keys/--without-keys", help="Open the sealed blocks as well")
    ] = True,
    key: Annotated[
        list[str] | None,
        typer.Option(help="Public key (vkey) of the signer, or a file of such; may be repeated"),
    ] = None,
    since: Annotated[
        Path | None, typer.Option(help="A checkpoint that was kept: it must be the beginning")
    ] = None,
    proof: Annotated[
        Path | None,
        typer.Option(help="Check one entry's proof (`ledger prove`) instead, without a database"),
    ] = None,
    language: Annotated[Literal["en", "zh"], typer.Option(help="Language of the report")] = "en",
    var: Var = None,
) -> None:
    """Check the whole log: headers, seals, sequences, tree, signatures; say what that proves.

    Where the signer's memory is (VAR/signer) the tree is held against it, too.

    Exit code: 0 proven, 2 invalid, 3 gap, 4 incomplete, 5 untrusted key.
    """
    from service.cli.database import open_directory, with_dsn
    from service.keys import open_wrapper
    from service.ledger.note import NoteInvalid
    from service.ledger.verify import verify_log
    from service.rights.periods import Periods
    from service.settings import load_settings

    try:
        keys = _keys(key or [])
        note = None if since is None else since.read_text(encoding="utf-8")
        if proof is not None:
            _verify_proof(proof.read_text(encoding="utf-8"), keys, language)
        settings = load_settings(var)
        trusted = _trusted(settings, keys, note)
    except (OSError, ValueError, NoteInvalid) as error:
        typer.echo(f"error: --key, --since or --proof cannot be used: {error}", err=True)
        raise typer.Exit(USAGE) from None
    open_directory(settings)
    wrapper = open_wrapper(settings) if with_keys else None
    periods = Periods.of(settings)

    async def act(dsn: str) -> Report:
        from datetime import UTC, datetime

        now = datetime.now(UTC)
        return await verify_log(
            dsn,
            wrapper=wrapper,
            spool_dir=settings.var / "spool",
            log=settings.ledger.log_name,
            trusted=trusted,
            is_past=lambda block, kind, at: periods.is_past(block, kind, at, now),
        )

    report = with_dsn(settings, act)
    typer.echo(report.render(language))
    raise typer.Exit(report.exit_code)


def _keys(given: list[str]) -> list[VerifierKey]:
    from service.ledger.note import parse_vkey

    texts = [Path(one).read_text("utf-8") if Path(one).is_file() else one for one in given]
    return [parse_vkey(line) for text in texts for line in text.split()]


def _trusted(settings: Any, keys: list[VerifierKey], since: str | None) -> Trusted:
    """Return what is known from outside the database: what was given, and the signer's memory."""
    from service.ledger.note import Checkpoint, parse_checkpoint, parse_note, parse_vkey
    from service.ledger.placed import Trusted
    from service.signer.state import SignerFiles

    if since is not None:
        parse_checkpoint(parse_note(since).text)
    state = SignerFiles(settings.signer_dir).load()
    return Trusted(
        keys=(*keys, *([link.verifier for link in state.keys] if state and not keys else [])),
        witnesses=tuple(parse_vkey(vkey) for vkey in settings.ledger.witnesses),
        since=since,
        memory=state and Checkpoint(state.origin, state.size, state.tree().root()),
    )


def _verify_proof(text: str, keys: list[VerifierKey], language: Literal["en", "zh"]) -> None:
    from datetime import UTC, datetime

    from service.ledger.proof import UntrustedKey, verify_proof
    from service.ledger.report import INVALID, PROVEN, UNTRUSTED
    from service.ledger.tree.errors import ProofInvalid

    if not keys:
        raise ValueError("--proof needs --key: whom do you trust?")
    try:
        proven = verify_proof(text, keys)
    except ProofInvalid as error:
        typer.echo(f"INVALID: {error}")
        raise typer.Exit(INVALID) from None
    except UntrustedKey as error:
        typer.echo(f"UNTRUSTED KEY: {error}")
        raise typer.Exit(UNTRUSTED) from None
    header, signed_at = proven.header, ""
    if proven.signed_at is not None:
        signed_at = _SIGNED_AT[language].format(datetime.fromtimestamp(proven.signed_at, UTC))
    facts = (header.entry_id.hex(), header.type, header.time, proven.idx, proven.size)
    typer.echo(_PROVEN[language].format(*facts, proven.origin, signed_at))
    raise typer.Exit(PROVEN)
