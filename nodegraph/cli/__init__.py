"""The command line: `nodegraph run`, `validate`, `nodes`, `cache`.

Commands import what they need when they run, so that `--help` is quick.
"""

from __future__ import annotations


def main() -> None:
    """The `nodegraph` command."""
    from nodegraph.cli.app import app

    app()


__all__ = ["main"]
