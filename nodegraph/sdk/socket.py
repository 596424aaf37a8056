"""Socket types: values that travel along links and cannot be typed into a document (images, latents, conditionings)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

C = TypeVar("C", bound=type)

ATTRIBUTE = "__nodegraph_socket__"


class Buffer(NamedTuple):
    """A tensor as safetensors writes it: its name for the dtype ("F32", "BF16", "U8" ...), contiguous little-endian bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: Any


@dataclass(frozen=True, slots=True)
class Codec:
    """How a value becomes bytes: JSON plus named tensors (written as safetensors), and back.

    The buffers that `decode` gets are read-only memory that others may share: what it makes of them must be a copy.
    """

    encode: Callable[[Any], tuple[Any, Mapping[str, Buffer]]]
    decode: Callable[[Any, Mapping[str, Buffer]], Any]


class Storage(NamedTuple):
    """A piece of memory that a value keeps alive. Values that share it are counted once; `device` is "" for the host's."""

    id: Hashable
    nbytes: int
    device: str = ""


@dataclass(frozen=True, slots=True)
class SocketType:
    """What the system knows of a socket type. Every function takes a value of it.

    `nbytes` is what keeping it costs, or `storages` where values may share memory or lie on devices; `to_host` and
    `to_device` move it; `generation` gives a number that grows when the value is written into, so that a node that breaks
    immutability is caught by name; `artifact` encodes it as a file; `describe` says in a few words what it is, for errors.
    Values of a `durable` type always go to the disk cache, however cheap they were.
    """

    name: str
    color: str = "#9e9e9e"
    description: str = ""
    codec: Codec | None = None
    nbytes: Callable[[Any], int] | None = None
    storages: Callable[[Any], Iterable[Storage]] | None = None
    to_host: Callable[[Any], Any] | None = None
    to_device: Callable[[Any, Any], Any] | None = None
    generation: Callable[[Any], int] | None = None
    artifact: Callable[[Any], Artifact] | None = None
    describe: Callable[[Any], str] | None = None
    durable: bool = False


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file as a value: encoded bytes, a name template, and how much of the workflow travels inside.

    `name` may hold `{workflow}`, `{node}`, `{index}`, `{digest}` and the names of the workflow's interface inputs. `embed` is
    `full` (the document as it ran), `parameters` (readable text) or `none`.
    """

    data: bytes
    media_type: str
    name: str = "{workflow}-{digest}"
    embed: str = "full"


def socket(*, name: str | None = None, color: str = "#9e9e9e", **properties: Any) -> Callable[[C], C]:
    """Class decorator: values of this class travel along links. `properties` are SocketType's fields."""

    def decorate(cls: C) -> C:
        description = (cls.__doc__ or "").strip().split("\n")[0]
        setattr(cls, ATTRIBUTE, SocketType(name or cls.__name__, color, description, **properties))
        return cls

    return decorate


def socket_of(annotation: Any) -> SocketType | None:
    """The SocketType that a class was decorated with, if any."""
    return annotation.__dict__.get(ATTRIBUTE) if isinstance(annotation, type) else None


socket(
    name="Artifact",
    color="#8d6e63",
    nbytes=lambda artifact: len(artifact.data),
    codec=Codec(
        encode=lambda a: (
            {"media_type": a.media_type, "name": a.name, "embed": a.embed},
            {"data": Buffer("U8", (len(a.data),), a.data)},
        ),
        decode=lambda meta, buffers: Artifact(bytes(buffers["data"].data), **meta),
    ),
    artifact=lambda artifact: artifact,
)(Artifact)
