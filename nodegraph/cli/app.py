"""The commands and their options. What they do lives in the modules beside this one."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Typed node graphs for latent diffusion: run JSON workflows, check them, see what nodes there are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

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


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nodegraph {installed_version('nodegraph')}")
        raise typer.Exit


cache = typer.Typer(help="See and empty the cache on disk.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(cache, name="cache")


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Options that every command shares."""


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    epilog="A workflow's own inputs are options too: `nodegraph run FILE --help` lists them.",
)
def run(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A workflow, or a picture that carries one.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NODE.INPUT=VALUE", help="Set any input; may be repeated.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NODE", help="Run up to this node instead; may be repeated.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where pictures go.")] = Path("outputs"),
    json: Json = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say for each node whether it was computed, and why.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would run, and run nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, only the result.")] = False,
    batched: Annotated[
        bool, typer.Option("--batched", help="Compute what fits together at once: faster, and equal to about 1e-3 only.")
    ] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither read nor write the cache on disk.")] = False,
    answer: Annotated[
        list[str] | None,
        typer.Option("--answer", metavar="NODE=VALUE", help="Answer a question of a node beforehand; may be repeated."),
    ] = None,
    data: Data = None,
    models: Models = None,
    help_: Annotated[bool, typer.Option("--help", "-h", help="Show this, and the workflow's own inputs.")] = False,
) -> None:
    """Run a workflow and save what it makes."""
    from nodegraph.cli.flags import parse_answers
    from nodegraph.cli.run import RunOptions, run_command

    if file is None or help_:
        typer.echo(context.get_help())
        if file is not None:
            from nodegraph.cli.run import show_inputs

            raise typer.Exit(show_inputs(file, data))
        raise typer.Exit(0 if help_ else 2)
    answers, problems = parse_answers(answer or [])
    if problems:
        from nodegraph.cli.show import refuse

        raise typer.Exit(refuse(problems, json))
    options = RunOptions(
        *(file, context.args, set_ or [], only or [], out, json, explain, plan, quiet, data, models or []),
        batched=batched,
        no_cache=no_cache,
        answers=answers,
    )
    raise typer.Exit(run_command(options))


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A workflow.")], json: Json = False, data: Data = None
) -> None:
    """Check a workflow and list everything that is wrong with it. No node's code is loaded."""
    from nodegraph.cli.check import validate_command

    raise typer.Exit(validate_command(file, json, data))


@app.command()
def nodes(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show one node type, or those whose name has this.")
    ] = None,
    json: Json = False,
    data: Data = None,
) -> None:
    """List the node types, or show one with its inputs and outputs."""
    from nodegraph.cli.catalog import nodes_command

    raise typer.Exit(nodes_command(name, json, data))


@cache.command("info")
def cache_info(json: Json = False, data: Data = None) -> None:
    """Show what the cache holds: by node type, its size and the time that it saves."""
    from nodegraph.cli.cache import info_command

    raise typer.Exit(info_command(json, data))


@cache.command("clear")
def cache_clear(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Thumbnails and what is remembered of past runs, too.")] = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Remove all cached results."""
    from nodegraph.cli.cache import clear_command

    raise typer.Exit(clear_command(json, data, yes, all_))


@cache.command("gc")
def cache_gc(json: Json = False, data: Data = None) -> None:
    """Check the cache's folder against its index, mend what is wrong, and keep to the budget."""
    from nodegraph.cli.cache import gc_command

    raise typer.Exit(gc_command(json, data))


@cache.command("explain", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def cache_explain(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A workflow, or a picture that carries one.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NODE.INPUT=VALUE", help="Set any input; may be repeated.")
    ] = None,
    json: Json = False,
    data: Data = None,
    models: Models = None,
) -> None:
    """Say of every node whether its result is in the cache, and if not which input changed since it last ran."""
    from nodegraph.cli.cache import explain_command

    raise typer.Exit(explain_command(file, context.args, set_ or [], json, data, models or []))
