"""The commands that are grouped under a word: `nodegraph cache ...`, `models`, `jobs`, `secret`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nodegraph.cli.options import Data, Json, Models
from nodegraph.cli.server_option import Server, ServerCommand

cache = typer.Typer(help="See and empty the cache on disk.", no_args_is_help=True, rich_markup_mode=None)
model_files = typer.Typer(help="See, add and verify models.", no_args_is_help=True, rich_markup_mode=None)
jobs = typer.Typer(help="See, cancel and retry a server's jobs.", no_args_is_help=True, rich_markup_mode=None)
secret = typer.Typer(help="Keep secrets that nodes read by name.", no_args_is_help=True, rich_markup_mode=None)


# ---- cache ----


@cache.command("info")
def cache_info(json: Json = False, data: Data = None) -> None:
    """Show what the cache holds: by node type, its size and the time that it saves."""
    from nodegraph.cli.cache import info_command

    raise typer.Exit(info_command(json, data))


@cache.command("clear")
def cache_clear(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Thumbnails, past runs and work left unfinished for a day, too.")] = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Remove all cached results."""
    from nodegraph.cli.cache import clear_command

    raise typer.Exit(clear_command(json, data, yes, all_))


@cache.command("gc")
def cache_gc(json: Json = False, data: Data = None) -> None:
    """Check the cache's folder against its index, mend what is wrong, keep to the budget; work left for 30 days goes."""
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


# ---- models ----


@model_files.command("list")
def models_list(json: Json = False, data: Data = None, models: Models = None) -> None:
    """List the models that workflows can name, with what their headers tell and where they lie."""
    from nodegraph.cli.models import list_command

    raise typer.Exit(list_command(json, data, models or []))


@model_files.command("add")
def models_add(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="ComfyUI's or A1111's folder, or any folder with models.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take the folder off the list instead.")] = False,
    json: Json = False,
    data: Data = None,
) -> None:
    """Let workflows use the models of another program's folder, where they are. Nothing is copied or written there."""
    from nodegraph.cli.models import add_command

    raise typer.Exit(add_command(folder, remove, json, data))


@model_files.command("verify")
def models_verify(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One model; none: all of them.")] = None,
    json: Json = False,
    data: Data = None,
    models: Models = None,
) -> None:
    """Read models whole: are they as they were, and as the .sha256 files beside them say? Exit code 1: one is not."""
    from nodegraph.cli.models import verify_command

    raise typer.Exit(verify_command(name, json, data, models or []))


# ---- jobs ----


@jobs.command("list", cls=ServerCommand)
def jobs_list(
    state: Annotated[
        list[str] | None, typer.Option("--state", metavar="STATE", help="Only those in this state; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="How many at most.")] = 20,
    server: Server = None,
    json: Json = False,
    data: Data = None,
) -> None:
    """List jobs, the newest first."""
    from nodegraph.cli.jobs import list_command

    raise typer.Exit(list_command(server, json, data, state or [], limit))


@jobs.command("show", cls=ServerCommand)
def jobs_show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `nodegraph jobs list` shows it.")],
    server: Server = None,
    json: Json = False,
    data: Data = None,
) -> None:
    """Show a job: its state, its inputs, what it gave, and why it failed."""
    from nodegraph.cli.jobs import show_command

    raise typer.Exit(show_command(server, json, data, id_))


@jobs.command("cancel", cls=ServerCommand)
def jobs_cancel(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `nodegraph jobs list` shows it.")],
    server: Server = None,
    json: Json = False,
    data: Data = None,
) -> None:
    """Cancel a job. One that runs stops after the step that it is at."""
    from nodegraph.cli.jobs import cancel_command

    raise typer.Exit(cancel_command(server, json, data, id_))


@jobs.command("retry", cls=ServerCommand)
def jobs_retry(
    id_: Annotated[str, typer.Argument(metavar="ID", help="A job that failed or was cancelled.")],
    server: Server = None,
    json: Json = False,
    data: Data = None,
) -> None:
    """Queue a job once more that did not succeed. What was finished is not computed again."""
    from nodegraph.cli.jobs import retry_command

    raise typer.Exit(retry_command(server, json, data, id_))


# ---- secret ----


@secret.command("set", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def secret_set(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name that workflows call it by, without regard to case.")],
    json: Json = False,
    data: Data = None,
) -> None:
    """Keep a secret. Its value is typed unseen, or comes over stdin; it goes into the system's keyring where there is one."""
    from nodegraph.cli.secret import set_command

    raise typer.Exit(set_command(name, context.args, json, data))


@secret.command("list")
def secret_list(json: Json = False, data: Data = None) -> None:
    """List the names of all secrets, and where each lies."""
    from nodegraph.cli.secret import list_command

    raise typer.Exit(list_command(json, data))


@secret.command("remove")
def secret_remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `nodegraph secret list` names it.")],
    json: Json = False,
    data: Data = None,
) -> None:
    """Forget a secret."""
    from nodegraph.cli.secret import remove_command

    raise typer.Exit(remove_command(name, json, data))
