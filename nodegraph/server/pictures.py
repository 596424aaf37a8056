"""Workflows inside pictures that lie here already: artifacts by digest, uploads by name. No other file is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nodegraph.api.records import LARGEST_PICTURE
from nodegraph.artifacts import Metadata, read_metadata
from nodegraph.artifacts.kept import path_of
from nodegraph.artifacts.reading import TITLES
from nodegraph.graph import Catalog, Document, parse_document
from nodegraph.sdk.errors import InvalidWorkflow, Problem
from nodegraph.server.problems import Refused, not_found
from nodegraph.server.service import Server

if TYPE_CHECKING:
    from nodegraph.importing import Imported


def picture(server: Server, artifact: str | None, upload: str | None) -> Metadata:
    """What a picture carries. Raises Refused where there is no such file, InvalidWorkflow where it is no picture."""
    folder = server.data / "inputs" / "uploads"
    path = path_of(server.artifacts, artifact) if artifact else folder / str(upload)
    home = server.artifacts if artifact else folder
    found = read_metadata(_bytes(path, home, "artifact" if artifact else "upload"))
    if not found.format:
        expected = "a PNG, JPEG, WebP or AVIF file"
        raise InvalidWorkflow([Problem("no_picture", "This is no picture that can be read.", expected=expected)])
    return found


def _bytes(path: Path | None, home: Path, what: str) -> bytes:
    try:
        if path is None or not path.is_file() or not path.resolve().is_relative_to(home.resolve()):
            raise not_found(what)
        if path.stat().st_size > LARGEST_PICTURE:
            raise Refused(413, "too_large", f"Pictures of at most {LARGEST_PICTURE >> 30} GiB are looked into.")
        return path.read_bytes()
    except OSError:
        raise not_found(what) from None


def workflow_in(found: Metadata) -> Document:
    """The workflow of ours that a picture carries. Raises InvalidWorkflow, which says what is there instead."""
    text = found.of("nodegraph").get("workflow") or found.of("unknown").get("workflow")
    if text is not None:
        return parse_document(text)
    hint = "Pictures lose it when they are edited or sent around."
    if found.program in ("comfyui", "a1111"):
        hint = f"It carries settings of {TITLES[found.program]}: POST /api/workflows/import makes a workflow of them."
    elif found.program not in (None, "nodegraph"):
        hint = f"It carries settings of {TITLES[found.program]}, which cannot be turned into a workflow."
    raise InvalidWorkflow([Problem("no_workflow", "This picture carries no nodegraph workflow.", hint=hint)])


def imported_from(found: Metadata, catalog: Catalog, title: str) -> Imported:
    """What another program left in a picture, as a workflow. Raises InvalidWorkflow."""
    if texts := found.of("comfyui"):
        return _comfyui(texts, catalog, title)
    if text := found.of("a1111").get("parameters"):
        return from_text(text, catalog, title)
    if found.program == "nodegraph":
        hint = "POST /api/workflows/open opens it."
        raise InvalidWorkflow([Problem("no_import", "This picture carries a workflow of nodegraph.", hint=hint)])
    raise InvalidWorkflow([Problem("no_import", "This picture carries no other program's workflow.")])


def _comfyui(texts: Mapping[str, str], catalog: Catalog, title: str) -> Imported:
    from nodegraph.importing import from_comfyui, read_foreign_json

    problems: list[Problem] = []
    for name in ("workflow", "prompt"):  # the graph as drawn says more than what was run
        if name in texts:
            try:
                return from_comfyui(read_foreign_json(texts[name]), catalog, title)
            except InvalidWorkflow as error:
                problems += error.problems
    raise InvalidWorkflow(problems or [Problem("no_import", "This picture carries no other program's workflow.")])


def from_text(text: str, catalog: Catalog, title: str) -> Imported:
    """The web UI's parameters as a workflow. Raises InvalidWorkflow."""
    from nodegraph.importing import Imported, Report
    from nodegraph.importing.parameters import parse_parameters
    from nodegraph.importing.text_to_image import from_parameters

    fields = parse_parameters(text)
    if fields is None:
        message = f"These are no parameters as {TITLES['a1111']} writes them."
        hint = "They are a prompt, then lines that begin with Negative prompt: and Steps:."
        raise InvalidWorkflow([Problem("bad_parameters", message, hint=hint)])
    document, notes = from_parameters(fields, catalog)
    if title:
        document = document.model_copy(update={"title": title})
    return Imported(document, Report("a1111", notes=tuple(notes)))
