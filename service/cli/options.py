"""Which options do several commands share?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Var = Annotated[
    Path | None,
    typer.Option(
        "--var",
        metavar="DIR",
        help="Data directory. Default: TOUCHSTONE_VAR, else ./var",
        show_default=False,
    ),
]
