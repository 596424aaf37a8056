"""Pictures in the rows of a .parquet file, as Hugging Face's data sets have: bytes, or {bytes, path}, beside text and labels.

A picture is named `COLUMN/ROW`. pyarrow reads such files; it does not come with nodegraph.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from nodegraph import NodeError

from .decoding import UnreadablePicture

PICTURE_COLUMNS = ("image", "img", "picture", "jpg", "jpeg", "png", "webp", "bytes")
"""What columns of pictures are called."""

_KEPT = 4  # groups of rows in memory


class ParquetSource:
    """A .parquet file. Raises NodeError where pyarrow is missing, or the file or its pictures cannot be read."""

    def __init__(self, path: str) -> None:
        try:
            import pyarrow  # type: ignore[import-not-found, import-untyped, unused-ignore]
            import pyarrow.parquet  # type: ignore[import-not-found, import-untyped, unused-ignore]
        except ImportError:
            raise NodeError(
                "Reading .parquet files needs pyarrow, which is not installed.",
                socket="pictures",
                hint="Install it: pip install 'nodegraph[training]', or pip install pyarrow.",
            ) from None
        self._path = path
        try:
            self._file: Any = pyarrow.parquet.ParquetFile(path)
        except (OSError, ValueError, pyarrow.ArrowException) as error:
            got = str(error).split("\n")[0]
            raise NodeError(
                f"{Path(path).name} cannot be read.", socket="pictures", expected="a .parquet file", got=got
            ) from None
        counts = [self._file.metadata.row_group(group).num_rows for group in range(self._file.metadata.num_row_groups)]
        self._first = np.cumsum([0, *counts])
        self._errors = (OSError, ValueError, pyarrow.ArrowException)
        self._groups: OrderedDict[tuple[str, int], Any] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def columns(self) -> list[str]:
        return list(self._file.schema_arrow.names)

    def picture_column(self, wanted: str = "") -> str:
        """The column that has the pictures. Raises NodeError."""
        found = next((name for name in ((wanted,) if wanted else PICTURE_COLUMNS) if name in self.columns), None)
        if found is None:
            raise NodeError(
                f"{Path(self._path).name} has no column of pictures.",
                socket="pictures",
                expected=wanted or " or ".join(PICTURE_COLUMNS[:4]),
                got=", ".join(self.columns),
                hint="Name the column in `picture_column`.",
            )
        return found

    def names(self, column: str = "") -> list[str]:
        found = self.picture_column(column)
        return [f"{found}/{row}" for row in range(int(self._first[-1]))]

    def read(self, name: str) -> bytes:
        column, _, row = name.rpartition("/")
        try:
            value = self._value(column, int(row))
        except (*self._errors, IndexError, KeyError) as error:
            raise UnreadablePicture(name, f"it cannot be read: {str(error).splitlines()[0] if str(error) else error}") from None
        if isinstance(value, dict):
            value = value.get("bytes")
        if not isinstance(value, bytes):
            raise UnreadablePicture(name, "there are no bytes of a picture in this row")
        return value

    def rows(self, columns: list[str]) -> list[dict[str, Any]]:
        """The values of columns (not of pictures), row by row."""
        try:
            found: list[dict[str, Any]] = self._file.read(columns=columns).to_pylist() if columns else []
        except self._errors as error:
            got = str(error).split("\n")[0]
            raise NodeError(f"{Path(self._path).name} cannot be read.", socket="pictures", got=got) from None
        return found

    def class_names(self, column: str) -> tuple[str, ...]:
        """The names of a column of class numbers, as Hugging Face's data sets write them into the file."""
        about = (self._file.schema_arrow.metadata or {}).get(b"huggingface")
        try:
            return tuple(map(str, json.loads(about)["info"]["features"][column]["names"])) if about else ()
        except (ValueError, LookupError, TypeError):
            return ()

    def digest(self) -> str:
        about = self._file.metadata
        with Path(self._path).open("rb") as file:  # the footer has the sizes and statistics of every part
            file.seek(-min(Path(self._path).stat().st_size, about.serialized_size + 8), 2)
            return hashlib.sha256(file.read()).hexdigest()

    def close(self) -> None:
        self._groups.clear()
        self._file.close()

    def _value(self, column: str, row: int) -> Any:
        group = int(np.searchsorted(self._first, row, side="right")) - 1
        if not 0 <= row < self._first[-1]:
            raise IndexError(f"there is no row {row}")
        with self._lock:
            key = (column, group)
            if key not in self._groups:
                self._groups[key] = self._file.read_row_group(group, columns=[column]).column(column)
                while len(self._groups) > _KEPT:
                    self._groups.popitem(last=False)
            self._groups.move_to_end(key)
            return self._groups[key][row - int(self._first[group])].as_py()
