"""A record as bytes: one safetensors file whose metadata holds the record's JSON and a checksum over every byte.

So any tool that reads safetensors opens it, and what is not exactly what was written is found out before it is used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, BinaryIO, Literal, NamedTuple, get_args

from nodegraph.sdk.socket import Buffer

Kind = Literal["result", "alias", "trace"]
KINDS: frozenset[str] = frozenset(get_args(Kind))

FORMAT = 1
"""Grows when the meaning of a record's bytes or of the index changes; what has another number is foreign."""

# The header starts like this, so the checksum's place is fixed and it can cover all bytes but its own.
_START = b'{"__metadata__":{"nodegraph":"%d","blake2b":"' % FORMAT
_SUM_BYTES = 20
_SUM_AT = 8 + len(_START)
_SUM_END = _SUM_AT + 2 * _SUM_BYTES
_LONGEST_HEADER = 100_000_000  # as safetensors itself has it
_ATOMS = frozenset({str, int, float, bool, type(None)})

_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}


class Damaged(ValueError):
    """Bytes that are not the record they should be."""


class Record(NamedTuple):
    """What is kept under a key. `type` is the node type that made it, `seconds` what computing it again would cost."""

    key: str
    kind: Kind
    data: Any
    buffers: Mapping[str, Buffer] = MappingProxyType({})
    type: str = ""
    seconds: float = 0.0


def pack(record: Record) -> bytes:
    """The record as a safetensors file. Raises TypeError or ValueError for what would not come back as it was."""
    return b"".join(pieces(record))


def pieces(record: Record) -> list[bytes | memoryview]:
    """`pack` in parts, without a copy of the buffers."""
    _require_json(record.data)
    if record.kind not in KINDS:
        raise ValueError(f"{record.kind!r} is no kind of record")
    outline = {"key": record.key, "kind": record.kind, "type": record.type, "seconds": float(record.seconds)}
    text = json.dumps({**outline, "data": record.data}, ensure_ascii=False, separators=(",", ":"))
    metadata = {"record": text}
    try:
        text.encode()
    except UnicodeEncodeError:  # half characters: their bytes, one character each, because metadata must be proper text
        metadata = {"encoding": "latin-1", "record": text.encode("utf-8", "surrogatepass").decode("latin-1")}
    table, views = _lay_out(record.buffers)
    rest = json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))[1:]
    if table:
        rest += "," + json.dumps(table, ensure_ascii=False, separators=(",", ":"))[1:-1]
    header = _START + b"0" * (2 * _SUM_BYTES) + b'",' + rest.encode() + b"}"
    header += b" " * (-len(header) % 8)
    if len(header) > _LONGEST_HEADER:
        raise ValueError(f"a record's JSON of {len(header):,} bytes does not fit into a safetensors header")
    head = len(header).to_bytes(8, "little") + header
    checksum = _checksum(head, views)
    return [head[:_SUM_AT] + checksum + head[_SUM_END:], *views]


def unpack(data: bytes | bytearray | memoryview, key: str) -> Record:
    """The record that `pack` wrote under `key`; its buffers are views of `data`. Raises Damaged for anything else."""
    view = memoryview(data).cast("B")
    length = int.from_bytes(view[:8], "little")
    if view[8:_SUM_AT] != _START or not _SUM_END <= 8 + length <= len(view):
        raise Damaged("not a record of this format")
    head, body = bytes(view[: 8 + length]), view[8 + length :]
    if _checksum(head, [body]) != head[_SUM_AT:_SUM_END]:
        raise Damaged("the checksum differs")
    record, table = _read_header(head[8:], len(body))
    if record.key != key:
        raise Damaged("the record of another key")
    buffers = {
        name: Buffer(row["dtype"], tuple(row["shape"]), body[slice(*row["data_offsets"])]) for name, row in table.items()
    }
    return record._replace(buffers=buffers)


def peek(file: BinaryIO, size: int) -> Record:
    """The record without its buffers, from a file's header alone: its end is checked, its checksum is not. Raises Damaged."""
    start = file.read(_SUM_AT)
    length = int.from_bytes(start[:8], "little")
    if start[8:] != _START or not _SUM_END <= 8 + length <= min(size, 8 + _LONGEST_HEADER):
        raise Damaged("not a record of this format")
    return _read_header(start[8:] + file.read(8 + length - _SUM_AT), size - 8 - length)[0]


def _read_header(header: bytes, body_bytes: int) -> tuple[Record, dict[str, Any]]:
    """The record without its buffers, and the table that cuts these out of a body of so many bytes.

    A checksum only says that nothing changed since somebody took it, so nothing in here is believed for its sake.
    """
    try:
        table = json.loads(header)
        metadata = table.pop("__metadata__")
        text = metadata["record"]
        if "encoding" in metadata:
            text = text.encode(metadata["encoding"]).decode("utf-8", "surrogatepass")
        made = Record(**json.loads(text))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise Damaged(f"the header cannot be read: {error}") from None
    if not (type(made.key) is type(made.kind) is type(made.type) is str and made.kind in KINDS):
        raise Damaged("the header is of no record")
    if type(made.seconds) not in (int, float):
        raise Damaged("the header's cost is no number")
    if not all(_is_within(row, body_bytes) for row in table.values()):
        raise Damaged("the header's table does not fit the bytes after it")
    if max((row["data_offsets"][1] for row in table.values()), default=0) != body_bytes:
        raise Damaged("the file is not as long as its header says")
    return made, table


def _is_within(row: Any, body_bytes: int) -> bool:
    """Whether a row of the table describes a buffer of exactly the bytes that it names, all of them in the body."""
    try:
        shape, (first, last) = row["shape"], row["data_offsets"]
        whole = all(type(number) is int and number >= 0 for number in (first, last, *shape))
        return whole and first <= last <= body_bytes and math.prod(shape) * _BITS[row["dtype"]] == 8 * (last - first)
    except (LookupError, TypeError, ValueError):
        return False


def _checksum(head: bytes, body: list[memoryview]) -> bytes:
    digest = blake2b(head[:_SUM_AT], digest_size=_SUM_BYTES)
    digest.update(head[_SUM_END:])
    for view in body:
        digest.update(view)
    return digest.hexdigest().encode()


def _lay_out(buffers: Mapping[str, Buffer]) -> tuple[dict[str, Any], list[memoryview]]:
    """The header's table of tensors and their bytes, widest numbers first so that each lies aligned."""
    for name, buffer in buffers.items():
        if buffer.dtype not in _BITS or name == "__metadata__":
            raise ValueError(f"no safetensors file can hold buffer {name!r} of dtype {buffer.dtype!r}")
    table: dict[str, Any] = {}
    views: list[memoryview] = []
    offset = 0
    for name, (dtype, shape, data) in sorted(buffers.items(), key=lambda item: -_BITS[item[1].dtype]):
        view = memoryview(data)
        view = view.cast("B") if view.nbytes else memoryview(b"")
        if view.nbytes * 8 != math.prod(shape) * _BITS[dtype]:
            raise ValueError(f"buffer {name!r} has {view.nbytes} bytes, not those of {dtype} {list(shape)}")
        table[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + view.nbytes]}
        views.append(view)
        offset += view.nbytes
    return table, views


def _require_json(value: Any) -> None:
    """Only exactly what JSON gives back: a tuple would return as a list, a subclass of str as a str."""
    waiting = [[value]]
    while waiting:
        for item in waiting.pop():
            kind = type(item)
            if kind is list:
                if not _ATOMS.issuperset(map(type, item)):
                    waiting.append(item)
            elif kind is dict:
                if not all(type(name) is str for name in item):
                    raise TypeError("a dict with keys that are not text does not survive JSON")
                waiting.append(list(item.values()))
            elif kind not in _ATOMS:
                raise TypeError(f"a {kind.__name__} does not survive JSON")
