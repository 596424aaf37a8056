"""What passes between a training's node and the processes it starts: values in a folder and lines of JSON; no pickles."""

from __future__ import annotations

import base64
import contextlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nodegraph import Context, NodeError, Preview
from nodegraph.sdk.writing import write_atomically
from nodegraph_nodes.tensors import buffer, tensor
from nodegraph_nodes.types import CODEC

from .checkpoint import write_tensors

INPUTS, RESULT, STOP = "inputs", "result", "stop"


def error_file(folder: Path, rank: int) -> Path:
    """Where a process says why it ended, if that is worth saying to a user."""
    return folder / f"error-{rank}.json"


def log_file(folder: Path, rank: int) -> Path:
    """Where a process's stderr goes."""
    return folder / f"process-{rank}.log"


def mistake_file(folder: Path, rank: int) -> Path:
    """There where a process ended by an exception that is no NodeError; the oldest is the cause of the others."""
    return folder / f"mistake-{rank}"


def first_mistake(folder: Path) -> int | None:
    """The process that made the first mistake."""
    found = min(folder.glob("mistake-*"), key=lambda file: file.stat().st_mtime_ns, default=None)
    return None if found is None else int(found.name.partition("-")[2])


def clear(folder: Path) -> None:
    """Forget what processes before left here."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        with contextlib.suppress(OSError):
            file.unlink()


def write_value(folder: Path, name: str, value: Any) -> None:
    """A value of tensors, recipes and JSON, whole or not at all. Raises OSError; TypeError for what it cannot hold."""
    data, buffers = CODEC.encode(value)
    if buffers:
        write_tensors(folder / f"{name}.safetensors", {key: tensor(each) for key, each in buffers.items()})
    else:
        (folder / f"{name}.safetensors").unlink(missing_ok=True)
    write_atomically(folder / f"{name}.json", json.dumps(data).encode())


def read_value(folder: Path, name: str) -> Any:
    """What `write_value` has written. Raises OSError."""
    from safetensors.torch import load_file

    data = json.loads((folder / f"{name}.json").read_text("utf-8"))
    file = folder / f"{name}.safetensors"
    tensors = load_file(file) if file.exists() else {}
    return CODEC.decode(data, {key: buffer(each) for key, each in tensors.items()})


def preview_to_json(preview: Preview) -> dict[str, Any]:
    rgb = base64.b64encode(zlib.compress(preview.rgb, 1)).decode("ascii")
    return {"width": preview.width, "height": preview.height, "rgb": rgb}


def preview_of(data: Mapping[str, Any]) -> Preview:
    return Preview(data["width"], data["height"], zlib.decompress(base64.b64decode(data["rgb"])))


_FIELDS = ("socket", "expected", "got", "hint")


def write_error(folder: Path, rank: int, error: NodeError) -> None:
    data = {"message": str(error), **{name: getattr(error, name) for name in _FIELDS}}
    write_atomically(error_file(folder, rank), json.dumps(data).encode())


def read_error(folder: Path) -> NodeError | None:
    """The first user's error that any process has left."""
    found = sorted(folder.glob("error-*.json"), key=lambda file: file.stat().st_mtime_ns)
    if not found:
        return None
    data = json.loads(found[0].read_text("utf-8"))
    return NodeError(data["message"], **{name: data[name] for name in _FIELDS})


# ---- lines of the first process ----


def line_of(kind: str, **data: Any) -> bytes:
    return json.dumps({"kind": kind, **data}).encode() + b"\n"


def pass_on(line: bytes, context: Context) -> None:
    """Tell the context what a line says. What a library has printed among them is passed over."""
    try:
        data = json.loads(line)
        kind = data["kind"]
    except (ValueError, TypeError, KeyError):
        return
    if kind == "progress":
        context.progress(data["done"], data["total"])
    elif kind == "preview":
        context.preview(lambda: preview_of(data))
    elif kind == "log":
        context.log.log(data["level"], "%s", data["text"])
