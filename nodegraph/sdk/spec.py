"""What is known of a node type without importing its pack: the catalog's entries, plain data with a JSON form."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal

from nodegraph.sdk.typeexpr import TypeExpr

Lane = Literal["gpu", "cpu", "io"]
CachePolicy = Literal["content", "memory", "never"]
Iterates = Literal["", "map", "fold", "while", "once"]
View = Literal["", "image", "images", "text", "table", "plot", "video", "compare"]


@dataclass(frozen=True)
class InputSpec:
    """An input: a JSON Schema (`schema`) makes it typeable into a document, `type` says what may be linked to it.

    `many` inputs (`*images`) take any number of links; `lazy` ones are evaluated only when the node asks.
    """

    name: str
    type: TypeExpr
    required: bool
    default: Any = None
    schema: dict[str, Any] | None = None
    many: bool = False
    lazy: bool = False
    title: str = ""
    description: str = ""
    file: str = ""  # "file", "folder" or "model:KIND": the value names a file, and the key holds its content

    @property
    def secret(self) -> bool:
        """Whether secrets are named here."""
        return self.type.holds("secret")

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "type": self.type.to_json()}

    @staticmethod
    def from_json(data: dict[str, Any]) -> InputSpec:
        return InputSpec(**{**data, "type": TypeExpr.from_json(data["type"])})


@dataclass(frozen=True)
class OutputSpec:
    name: str
    type: TypeExpr
    description: str = ""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "type": self.type.to_json()}

    @staticmethod
    def from_json(data: dict[str, Any]) -> OutputSpec:
        return OutputSpec(**{**data, "type": TypeExpr.from_json(data["type"])})


@dataclass(frozen=True)
class NodeSpec:
    """A node type: `pack/name`, its schema version, the revision that guards cached results, and its sockets."""

    id: str
    revision: str
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    title: str = ""
    category: str = ""
    description: str = ""
    version: int = 1
    lane: Lane = "cpu"
    output: bool = False
    view: View = ""  # how the result is shown; "": by the kind of the value
    composite: bool = False
    checked: bool = False  # the pack has a function that looks at the typed values before a run
    cache: CachePolicy = "content"
    batched: bool = False  # several calls can run at once
    iterates: Iterates = ""  # how it runs a subgraph: once (it is one), or once per round the one that its input `body` names
    deprecated: str = ""
    permissions: tuple[str, ...] = field(default=())
    docs: bool = False  # the pack ships documentation of it

    @cached_property
    def input_by_name(self) -> dict[str, InputSpec]:
        return {spec.name: spec for spec in self.inputs}

    @cached_property
    def output_by_name(self) -> dict[str, OutputSpec]:
        return {spec.name: spec for spec in self.outputs}

    @cached_property
    def file_inputs(self) -> tuple[InputSpec, ...]:
        return tuple(spec for spec in self.inputs if spec.file)

    @cached_property
    def secret_inputs(self) -> tuple[InputSpec, ...]:
        return tuple(spec for spec in self.inputs if spec.secret)

    @property
    def pack(self) -> str:
        return self.id.split("/", 1)[0]

    def with_revision(self, revision: str) -> NodeSpec:
        return replace(self, revision=revision)

    def to_json(self) -> dict[str, Any]:
        return {
            **{item.name: getattr(self, item.name) for item in fields(self)},
            "inputs": [spec.to_json() for spec in self.inputs],
            "outputs": [spec.to_json() for spec in self.outputs],
            "permissions": list(self.permissions),
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> NodeSpec:
        inputs = tuple(InputSpec.from_json(item) for item in data["inputs"])
        outputs = tuple(OutputSpec.from_json(item) for item in data["outputs"])
        return NodeSpec(**{**data, "inputs": inputs, "outputs": outputs, "permissions": tuple(data["permissions"])})


@dataclass(frozen=True, slots=True)
class SocketSpec:
    """A socket type as data: what the editor needs to draw it."""

    name: str
    color: str
    description: str
    saves: bool  # whether a value of it can become a file
