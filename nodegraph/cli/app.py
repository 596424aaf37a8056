"""The commands and their options; those that are grouped under a word are in `groups`. What they do lives in modules beside."""

from __future__ import annotations

from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated

import typer

from nodegraph.cli.groups import cache, jobs, model_files, secret
from nodegraph.cli.options import Data, Json, Models
from nodegraph.cli.server_option import Server, ServerCommand

app = typer.Typer(
    help="Typed node graphs for latent diffusion: run JSON workflows, check them, see what nodes there are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nodegraph {installed_version('nodegraph')}")
        raise typer.Exit


for name, group in {"cache": cache, "models": model_files, "jobs": jobs, "secret": secret}.items():
    app.add_typer(group, name=name)


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Options that every command shares."""


@app.command(
    cls=ServerCommand,
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
    lock: Annotated[
        bool, typer.Option("--lock", help="Save the workflow as it ran, with a lock: packs, models, inputs, device, versions.")
    ] = False,
    locked: Annotated[bool, typer.Option("--locked", help="Refuse to run where something is not as the lock says.")] = False,
    answer: Annotated[
        list[str] | None,
        typer.Option("--answer", metavar="NODE=VALUE", help="Answer a question of a node beforehand; may be repeated."),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Accept the secrets, files, permissions and packs that the workflow uses.")
    ] = False,
    server: Server = None,
    detach: Annotated[bool, typer.Option("--detach", help="With --server: print the job's id and do not wait for it.")] = False,
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
            from nodegraph.cli.inputs import show_inputs

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
        trust=trust,
        lock=lock,
        locked=locked,
        server=server,
        detach=detach,
    )
    if server is not None:
        from nodegraph.cli.run_on_server import run_on_server

        raise typer.Exit(run_on_server(options))
    raise typer.Exit(run_command(options))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="The workflow's own inputs are options too, for what all pictures share.",
)
def sweep(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A workflow, or a picture that carries one.")],
    x: Annotated[
        list[str], typer.Option("--x", metavar="NAME=VALUES", help="Across: seed=1,2,3 or seed=1..5 or scale=2..8:2.")
    ],
    y: Annotated[list[str] | None, typer.Option("--y", metavar="NAME=VALUES", help="Down.")] = None,
    z: Annotated[list[str] | None, typer.Option("--z", metavar="NAME=VALUES", help="A sheet for each value.")] = None,
    of: Annotated[str, typer.Option("--of", metavar="OUTPUT", help="Which output's picture, where there are several.")] = "",
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Save the sweep as a workflow as well.")] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where sheets go.")] = Path("outputs"),
    json: Json = False,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would run, and run nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, only the result.")] = False,
    batched: Annotated[
        bool, typer.Option("--batched", help="Compute what fits together at once: faster, and equal to about 1e-3 only.")
    ] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Accept the secrets, files, permissions and packs that the workflow uses.")
    ] = False,
    data: Data = None,
    models: Models = None,
) -> None:
    """Paint a workflow for every combination of some inputs' values, on labelled sheets.

    An axis that is given twice has one value each time, commas and all: --x "prompt=a cat, asleep" --x "prompt=a dog".
    """
    from nodegraph.cli.run import RunOptions, run_command
    from nodegraph.cli.sweep import Sweep

    options = RunOptions(
        *(file, context.args, [], [], out, json, False, plan, quiet, data, models or []),
        batched=batched,
        trust=trust,
        sweep=Sweep((x, y or [], z or []), of, save),
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
def schema(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A workflow, or a picture that carries one; none: the file format.")
    ] = None,
    outputs: Annotated[bool, typer.Option("--outputs", help="Of what the workflow gives, not of what it takes.")] = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Print the JSON Schema of a workflow's inputs, or that of workflow files."""
    from nodegraph.cli.schema import schema_command

    raise typer.Exit(schema_command(file, outputs, json, data))


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A locked workflow, or a picture that carries one.")],
    json: Json = False,
    data: Data = None,
    models: Models = None,
) -> None:
    """Compare a workflow's lock with what is here, field by field. Nothing runs."""
    from nodegraph.cli.verify import verify_command

    raise typer.Exit(verify_command(file, json, data, models or []))


@app.command()
def extract(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture: PNG, JPEG, WebP or AVIF.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there, not to stdout.")] = None,
    parameters: Annotated[bool, typer.Option("--parameters", help="The readable text, not the workflow.")] = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Show the workflow that a picture carries, or make one of another program's parameters."""
    from nodegraph.cli.extract import extract_command

    raise typer.Exit(extract_command(image, out, json, parameters, data))


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A ComfyUI workflow (JSON), a picture that carries one, or a Python script (.py), whose code this runs.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Which graph of a Python script (default: graph, workflow).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to write the workflow (default: FILE.nodegraph.json).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Make a workflow of another program's file, and say of each of its nodes what became of it.

    Of a Python script it makes the workflow that the script builds: this runs the file's code as `python FILE` would, but for
    what stands under `if __name__ == "__main__":`.
    """
    from nodegraph.cli.importing import import_command

    raise typer.Exit(import_command(file, out, force, json, data, name))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A workflow, a picture that carries one, or - for stdin.")],
    python: Annotated[bool, typer.Option("--python", help="As a Python script that builds the workflow, and runs it.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there, not to stdout.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Write a workflow as a Python script. Importing the script gives the workflow again, with everything in it."""
    from nodegraph.cli.scripting import export_command

    raise typer.Exit(export_command(file, python, out, force, json, data))


@app.command()
def stubs(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the stubs go.")] = Path("typings"),
    json: Json = False,
) -> None:
    """Write .pyi files for all installed packs: editors then complete nodes and links, and type checkers check them."""
    from nodegraph.cli.scripting import stubs_command

    raise typer.Exit(stubs_command(out, json))


@app.command("diff")
def diff_(
    before: Annotated[Path, typer.Argument(metavar="A", help="A workflow, a picture that carries one, or - for stdin.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="What it became.")],
    json: Json = False,
    layout: Annotated[bool, typer.Option("--layout", help="Show what was moved on the canvas, too.")] = False,
) -> None:
    """Show what differs between two workflows. Exit code 0: nothing, 1: something."""
    from nodegraph.cli.diff import diff_command

    raise typer.Exit(diff_command(before, after, json, layout))


@app.command("merge")
def merge_(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="The workflow that both come from.")],
    ours: Annotated[Path, typer.Argument(metavar="OURS", help="One version of it; it counts where both changed one place.")],
    theirs: Annotated[Path, typer.Argument(metavar="THEIRS", help="The other version.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there, not to stdout.")] = None,
    json: Json = False,
) -> None:
    """Bring the edits of two versions of a workflow together. Exit code 1: there are conflicts, and ours is kept there."""
    from nodegraph.cli.merge import merge_command

    raise typer.Exit(merge_command(base, ours, theirs, out, json))


@app.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A workflow, or a picture that carries one.")],
    layout: Annotated[bool, typer.Option("--layout", help="Also where things are on the canvas.")] = False,
) -> None:
    """Print a workflow as plain lines, one for each value and link: what git shows differences of."""
    from nodegraph.cli.outline import show_command

    raise typer.Exit(show_command(file, layout))


@app.command()
def migrate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A workflow, or a picture that carries one.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write here instead of into FILE.")] = None,
    replace_deprecated: Annotated[
        bool, typer.Option("--replace-deprecated", help="Also replace deprecated nodes by their successors.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Bring a workflow's nodes up to the installed versions, and say what that changed."""
    from nodegraph.cli.migrate import migrate_command

    raise typer.Exit(migrate_command(file, out, deprecated=replace_deprecated, dry_run=dry_run, as_json=json, data=data))


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


@app.command()
def history(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A workflow; the file may be gone.")],
    show: Annotated[str | None, typer.Option("--show", metavar="REVISION", help="Print what this revision holds.")] = None,
    json: Json = False,
    data: Data = None,
) -> None:
    """List what was saved in a file before. A `>` marks what it holds now."""
    from nodegraph.cli.history import history_command

    raise typer.Exit(history_command(file, show, json, data))


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A workflow.")],
    revision: Annotated[str, typer.Argument(metavar="REVISION", help="As `nodegraph history FILE` names it, or its number.")],
    json: Json = False,
    data: Data = None,
) -> None:
    """Put an earlier revision into a file again. What it holds now stays in the history."""
    from nodegraph.cli.history import restore_command

    raise typer.Exit(restore_command(file, revision, json, data))


@app.command()
def undo(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A workflow.")], json: Json = False, data: Data = None
) -> None:
    """Put what was saved before into a file again, one step back; a file that was deleted comes back."""
    from nodegraph.cli.history import undo_command

    raise typer.Exit(undo_command(file, json, data))


@app.command()
def redo(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A workflow.")], json: Json = False, data: Data = None
) -> None:
    """Take the last undo back."""
    from nodegraph.cli.history import redo_command

    raise typer.Exit(redo_command(file, json, data))


@app.command()
def config(
    file: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Read this file instead of config.toml in the data folder.")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of the file instead.")] = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Show all settings, and for each where its value comes from: a flag, the environment, the file or the default."""
    from nodegraph.cli.config import config_command

    raise typer.Exit(config_command(json, data, file, schema))


@app.command()
def serve(
    host: Annotated[str | None, typer.Option("--host", help="The address to listen on (default: 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option("--port", help="The port; 0 for any free one (default: 8188).")] = None,
    token: Annotated[str | None, typer.Option("--token", help="The token of clients (default: the data folder's own).")] = None,
    no_auth: Annotated[bool, typer.Option("--no-auth", help="Ask for no token; on this machine only.")] = False,
    workers: Annotated[str | None, typer.Option("--workers", help="How many worker processes (default: one per GPU).")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Compute every job as if it were alone.")] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Logs as one JSON object per line.")] = False,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings (default: config.toml in the data folder).")
    ] = None,
    data: Data = None,
    models: Models = None,
) -> None:
    """Serve the API and a page to watch jobs; run jobs that outlive restarts."""
    import gc

    gc.disable()  # what is imported stays: looking through it for garbage takes a tenth of the start
    from nodegraph.cli.serve import serve_command

    flags = {
        "data": data,
        "models": models or None,
        "server.host": host,
        "server.port": port,
        "server.token": token,
        "server.auth": False if no_auth else None,
        "workers.count": workers,
        "workers.exact": exact or None,
        "log.json_lines": log_json or None,
    }
    raise typer.Exit(serve_command({name: value for name, value in flags.items() if value is not None}, config))
