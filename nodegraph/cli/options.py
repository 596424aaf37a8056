"""Options that many commands have."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Data folder: models, inputs, caches (default: $NODEGRAPH_DATA or the user data folder)."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, nothing else.")]
Models = Annotated[
    list[Path] | None, typer.Option("--models", metavar="DIR", help="Another folder that models may lie in; may be repeated.")
]
