"""What values occupy and what their types can do: looked up once per node type, from the socket types of its pack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nodegraph.engine.library import Library
from nodegraph.sdk.socket import SocketType, Storage
from nodegraph.sdk.spec import NodeSpec
from nodegraph.sdk.typeexpr import TypeExpr

_NUMBERS = (int, float, bool)
_NUMBER_BYTES, _OBJECT_BYTES, _UNKNOWN_BYTES = 32, 64, 256


class Extents:
    """The sizes of results, by node type."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._inputs: dict[str, tuple[NodeSpec, dict[str, SocketType]]] = {}
        self._outputs: dict[str, dict[str, SocketType | None]] = {}

    def inputs_of(self, spec: NodeSpec) -> Mapping[str, SocketType]:
        """The socket types of a node type's inputs, where the pack has said something about them."""
        found = self._inputs.get(spec.id)
        if found is None or found[0] is not spec:
            by_input = {item.name: self.socket(item.type) for item in spec.inputs if not item.lazy}
            found = (spec, {name: socket for name, socket in by_input.items() if socket is not None})
            self._inputs[spec.id] = found
        return found[1]

    def of(self, type_id: str, values: Mapping[str, Any]) -> tuple[int, list[Storage]]:
        """What keeping these outputs of a node of this type costs: bytes of their own, and storages that may be shared."""
        outputs, storages = self._outputs_of(type_id), list[Storage]()
        return sum(_size(value, outputs.get(name), storages) for name, value in values.items()), storages

    def on_host(self, type_id: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """These outputs of a node of this type, in the host's memory."""
        outputs = self._outputs_of(type_id)
        return {name: _moved(value, outputs.get(name)) for name, value in values.items()}

    def _outputs_of(self, type_id: str) -> Mapping[str, SocketType | None]:
        outputs = self._outputs.get(type_id)
        if outputs is None:
            spec = self._library.catalog.nodes.get(type_id)
            outputs = {} if spec is None else {output.name: self.socket(output.type) for output in spec.outputs}
            self._outputs[type_id] = outputs
        return outputs

    def socket(self, expr: TypeExpr) -> SocketType | None:
        """The socket type of a type, or of what a list or an optional holds."""
        if expr.kind == "socket":
            return self._library.sockets.get(expr.name)
        return self.socket(expr.args[0]) if expr.kind in ("list", "optional") else None


def _moved(value: Any, socket: SocketType | None) -> Any:
    if socket is None or socket.to_host is None or value is None:
        return value
    return [_moved(item, socket) for item in value] if isinstance(value, list) else socket.to_host(value)


def _size(value: Any, socket: SocketType | None, storages: list[Storage]) -> int:
    if type(value) in _NUMBERS:
        return _NUMBER_BYTES
    if isinstance(value, (list, tuple)):
        return _OBJECT_BYTES + sum(_size(item, socket, storages) for item in value)
    if isinstance(value, dict):
        return _OBJECT_BYTES + sum(_size(item, socket, storages) for item in value.values())
    if isinstance(value, (str, bytes)):
        return _OBJECT_BYTES + len(value)
    if socket is not None and socket.storages is not None:
        storages.extend(socket.storages(value))
        return _OBJECT_BYTES
    sizer: Callable[[Any], int] | None = socket.nbytes if socket is not None else None
    size = sizer(value) if sizer is not None else getattr(value, "nbytes", None)
    return size if isinstance(size, int) else _UNKNOWN_BYTES
