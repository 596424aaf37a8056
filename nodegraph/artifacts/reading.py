"""What is inside a picture, whoever made it: which program's settings, and their text as it stands there.

Nothing here understands what the settings say; that is for `nodegraph.importing`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nodegraph.artifacts import exif, xmp
from nodegraph.artifacts.embed import format_of, look_inside

Program = Literal["nodegraph", "comfyui", "a1111", "swarmui", "fooocus", "invokeai", "novelai", "unknown"]

TITLES: Mapping[str, str] = {
    "nodegraph": "nodegraph",
    "comfyui": "ComfyUI",
    "a1111": "Stable Diffusion web UI (AUTOMATIC1111, Forge) or a program that writes as it does",
    "swarmui": "SwarmUI",
    "fooocus": "Fooocus",
    "invokeai": "InvokeAI",
    "novelai": "NovelAI",
    "unknown": "an unknown program",
}

LOOKED_FOR = (
    "a nodegraph workflow, ComfyUI's prompt and workflow, and parameters texts in the manner of AUTOMATIC1111, "
    "in PNG text chunks, XMP and Exif"
)

_INVOKEAI = ("invokeai_metadata", "sd-metadata", "invokeai_workflow", "invokeai_graph", "Dream")
_OURS = re.compile(r'\s*\{\s*"nodegraph"\s*:')
_PLACES = ("Make", "Model", "ImageDescription", "UserComment")
_PREFIX = re.compile(r"\s*(workflow|prompt)\s*:\s*(?=[{\[])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """One program's settings: its texts by name (`workflow`, `parameters`, `prompt`), as they stand in the file."""

    program: Program
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a picture says of how it was made. `format` is empty where the file is no picture of a kind that is read."""

    format: str
    found: tuple[Found, ...] = ()
    notes: tuple[str, ...] = ()

    def of(self, program: Program) -> Mapping[str, str]:
        """One program's texts; empty where there are none."""
        return next((found.texts for found in self.found if found.program == program), {})

    @property
    def program(self) -> Program | None:
        """The program that says most: ours before others, a graph before a list of parameters."""
        return self.found[0].program if self.found else None


def read_metadata(data: bytes) -> Metadata:
    """Every program's settings in a picture file. Never raises: `notes` say what is damaged or too large to be read."""
    inside = look_inside(data)
    ours = {key: text for packet in inside.xmp for key, text in xmp.texts(packet).items()}
    fields = exif.fields(inside.exif)
    texts: dict[str, dict[str, str]] = {"nodegraph": ours} if ours else {}
    for program, key, text in (*_in_chunks(inside.texts), *_in_exif(fields)):
        texts.setdefault(program, {}).setdefault(key, text)
    found = tuple(Found(program, texts[program]) for program in TITLES if program in texts)  # type: ignore[arg-type]
    return Metadata(format_of(data), found, inside.notes)


def _in_chunks(texts: Mapping[str, str]) -> Iterator[tuple[Program, str, str]]:
    """What a PNG's text chunks hold: program, name, text."""
    ours = False
    for key in ("workflow", "prompt"):
        if key in texts:
            program = _maker_of_graph(texts[key]) if key == "workflow" else "comfyui"
            ours |= program == "nodegraph"
            yield program, key, texts[key]
    if "parameters" in texts:
        program = _maker_of_parameters(texts["parameters"], texts)
        yield "nodegraph" if ours else program, "parameters", texts["parameters"]
    for key in _INVOKEAI:
        if key in texts:
            yield "invokeai", key, texts[key]
    if texts.get("Software") == "NovelAI" and "Comment" in texts:
        yield "novelai", "Comment", texts["Comment"]


def _in_exif(fields: Mapping[str, str]) -> Iterator[tuple[Program, str, str]]:
    """What Exif fields hold: ComfyUI's savers write `workflow:` or `prompt:` before JSON, the web UI its plain text."""
    for place in _PLACES:
        text = fields.get(place, "")
        prefix = _PREFIX.match(text)
        if prefix:
            yield "comfyui", prefix[1].lower(), text[prefix.end() :]
        elif place == "UserComment" and text:
            data = _json(text)
            graphs = {key: data[key] for key in ("workflow", "prompt") if isinstance(data, dict) and data.get(key)}
            if _is_comfy(data):
                yield "comfyui", "prompt", text
            elif graphs and any(map(_is_comfy, map(_opened, graphs.values()))):
                for key, graph in graphs.items():
                    yield "comfyui", key, graph if isinstance(graph, str) else json.dumps(graph, ensure_ascii=False)
            elif isinstance(data, dict) and "sui_image_params" in data:
                yield "swarmui", "parameters", text
            elif _is_a1111(text):
                yield "a1111", "parameters", text


def _maker_of_graph(text: str) -> Program:
    """Who wrote a text that is called `workflow`."""
    if _OURS.match(text):
        return "nodegraph"
    data = _json(text)
    if isinstance(data, dict) and isinstance(data.get("nodes"), dict):
        return "nodegraph"
    return "comfyui" if _is_comfy(data) else "unknown"


def _maker_of_parameters(text: str, texts: Mapping[str, str]) -> Program:
    """Who wrote a text that is called `parameters`: ours has a line for every input."""
    if _is_a1111(text):
        return "a1111"
    data = _json(text)
    if isinstance(data, dict):
        return "swarmui" if "sui_image_params" in data else "fooocus" if "fooocus_scheme" in texts else "unknown"
    lines = text.split("\n")
    return "nodegraph" if all(re.match(r"[A-Za-z_][A-Za-z0-9_-]{0,99}: ", f"{line} ") for line in lines) else "unknown"


def _is_a1111(text: str) -> bool:
    """Whether some line is the list of parameters with which such texts end."""
    lines = (line for line in text.split("\n") if line.startswith("Steps: "))
    return any(line.count(": ") >= 3 and line.count(", ") >= 2 for line in lines)


def _is_comfy(data: Any) -> bool:
    """Whether JSON is a graph of ComfyUI's: as its editor saves it, or as its API takes it."""
    if not isinstance(data, dict):
        return False
    if isinstance(data.get("nodes"), list) or "last_node_id" in data:
        return True
    return any(isinstance(node, dict) and "class_type" in node for node in data.values())


def _opened(value: Any) -> Any:
    return _json(value) if isinstance(value, str) else value


def _json(text: str) -> Any:
    """The JSON value that a text is, or None."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
