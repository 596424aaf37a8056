"""What a picture carries: writing it down for pictures that runs make, and finding it in pictures from anywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nodegraph.artifacts import Machine, Metadata, read_metadata, share
from nodegraph.artifacts.reading import LOOKED_FOR, TITLES
from nodegraph.graph import Catalog, Document, dump_document, parse_document, used_inputs
from nodegraph.graph.values import shown
from nodegraph.sdk.errors import InvalidWorkflow, Problem

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".avif")
LARGEST_PICTURE = 1 << 30
"""Bytes of a picture file that is read at all."""


class Record(NamedTuple):
    """What pictures of one run carry: texts by name, the title and public inputs as they are told, and what is not told."""

    title: str
    texts: Mapping[str, str]
    inputs: Mapping[str, Any]
    left_out: tuple[str, ...]

    def kept(self, embed: str) -> dict[str, str]:
        """The texts that travel for an artifact's choice: `full`, `parameters` or `none`."""
        keep = {"full": ("workflow", "parameters"), "parameters": ("parameters",)}.get(embed, ())
        return {name: self.texts[name] for name in keep}


def record(document: Document, catalog: Catalog, machine: Machine) -> Record:
    """What pictures that this document makes carry, without anything that is this machine's own business.

    The document is complete: subgraphs from files of their own are inside (`nodegraph.api.linking`).
    """
    shared, left_out = share(document, catalog, machine)
    inputs = used_inputs(shared, catalog)
    texts = {"workflow": dump_document(shared), "parameters": parameters_text(inputs)}
    return Record(shared.title or "workflow", texts, inputs, left_out)


def parameters_text(inputs: Mapping[str, Any]) -> str:
    """A workflow's inputs as readable lines: what a person wants to know of a picture at a glance."""
    rows = (f"{name}: {value if isinstance(value, str) else shown(value)}" for name, value in inputs.items())
    return "\n".join(re.sub(r"\s*\n\s*", " ", row) for row in rows)


# ---- reading ----


def is_picture(path: Path) -> bool:
    """Whether a file is to be read as a picture, by its name."""
    return path.suffix.lower() in PICTURES and path.is_file()


def read_picture(path: Path) -> Metadata:
    """What is inside a picture file. Raises InvalidWorkflow when it cannot be read, is too large or no picture."""
    try:
        size = path.stat().st_size
        if size > LARGEST_PICTURE:
            expected, got = f"at most {LARGEST_PICTURE >> 30} GB", f"{size / (1 << 30):.1f} GB"
            raise InvalidWorkflow([Problem("too_large", f"{path} is too large for a picture.", None, None, expected, got)])
        data = path.read_bytes()
    except FileNotFoundError:
        raise InvalidWorkflow([Problem("no_file", f"There is no file {path}.")]) from None
    except OSError as error:
        raise InvalidWorkflow([Problem("no_file", f"{path} cannot be read: {error.strerror}.")]) from None
    found = read_metadata(data)
    if not found.format:
        expected = "a PNG, JPEG, WebP or AVIF file"
        got = "an empty file" if not data else f"a file that begins with {data[:8]!r}"
        raise InvalidWorkflow([Problem("no_picture", f"{path} is not a picture that can be read.", None, None, expected, got)])
    return found


def document_in_picture(path: Path) -> Document:
    """The workflow that a picture carries. Raises InvalidWorkflow, which says what else is inside and what to do with it."""
    found = read_picture(path)
    workflow = found.of("nodegraph").get("workflow") or found.of("unknown").get("workflow")
    if workflow is None:
        raise InvalidWorkflow([no_workflow(path, found)])
    try:
        return parse_document(workflow)
    except InvalidWorkflow as error:
        message = f"The workflow in {path} is damaged or from elsewhere."
        raise InvalidWorkflow([Problem("bad_document", message), *error.problems]) from None


def no_workflow(path: Path, found: Metadata) -> Problem:
    """Why a picture has no workflow of ours, and what it has instead."""
    notes = "".join(f" {note}" for note in found.notes)
    message = f"{path} is a picture without a nodegraph workflow inside."
    match found.program:
        case None:
            return Problem("no_workflow", message, hint=f"Looked for {LOOKED_FOR}.{notes}")
        case "nodegraph":
            hint = f"It carries only its parameters: nodegraph extract {path} --parameters shows them.{notes}"
        case "comfyui":
            hint = f"It carries a workflow of ComfyUI. Make one for nodegraph of it: nodegraph import {path}{notes}"
        case "a1111":
            out = path.with_suffix(".json").name
            hint = f"It carries parameters of {TITLES['a1111']}. Make a workflow of them: nodegraph extract {path} --out {out}"
            hint += notes
        case program:
            hint = f"It carries settings of {TITLES[program]}, which nodegraph cannot turn into a workflow.{notes}"
    return Problem("no_workflow", message, hint=hint)
