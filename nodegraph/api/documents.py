"""Reading documents from wherever they lie, without a session: to compare, merge and show them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nodegraph.api.records import document_in_picture, is_picture
from nodegraph.artifacts.embed import format_of
from nodegraph.graph import Document, parse_document
from nodegraph.graph.opening import LARGEST_BYTES, decoded, read_bytes
from nodegraph.sdk.errors import InvalidWorkflow, Problem

STDIN = "-"


def read_document(path: str | Path) -> Document:
    """The document in a file, a picture of any name, or stdin (`-`). Raises InvalidWorkflow.

    What is empty (as `/dev/null`) is the empty document: version control systems write that for a file that is not there.
    """
    path = Path(path)
    if is_picture(path):
        return document_in_picture(path)
    data = read_file(path)
    if format_of(data):
        return document_in_picture(path)
    return parse_document(decoded(data, path)) if data.strip() else Document()


def read_file(path: Path) -> bytes:
    """The bytes of a file or of stdin. Raises InvalidWorkflow."""
    if str(path) == os.devnull:
        return b""
    if str(path) != STDIN:
        return read_bytes(path)
    data = sys.stdin.buffer.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES:
        raise InvalidWorkflow([Problem("too_large", f"What comes from stdin is larger than {LARGEST_BYTES >> 20} MiB.")])
    return data
