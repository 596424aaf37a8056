"""`@node` and `@composite`: a plain typed function becomes a node type and stays callable as the function it is."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property, update_wrapper
from typing import Any, Literal, TypeVar, get_origin

from nodegraph.sdk.annotations import Parameter, input_parameter, outputs_of, title_of
from nodegraph.sdk.batching import Batched, Inputs
from nodegraph.sdk.builder import GraphBuilder, links_in
from nodegraph.sdk.context import Context
from nodegraph.sdk.errors import Problem
from nodegraph.sdk.socket import SocketType
from nodegraph.sdk.spec import CachePolicy, InputSpec, Iterates, Lane, NodeSpec, OutputSpec, View
from nodegraph.sdk.views import VIEWS, needed_outputs

Check = Callable[..., Iterable[Problem] | None]
RunMany = TypeVar("RunMany", bound=Callable[[Sequence[Inputs]], Sequence[Any]])


class Node:
    """A node type: the function, what its annotations declare, and the properties its author stated.

    Reading the signature is put off until somebody asks, so importing a pack stays cheap. `names` are further names that its
    annotations may use.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        title: str = "",
        category: str = "",
        lane: Lane | None = None,
        output: bool = False,
        view: View = "",
        output_name: str | None = None,
        version: int = 1,
        revision: int | None = None,
        deprecated: str = "",
        cache: CachePolicy = "content",
        check: Check | None = None,
        permissions: Iterable[str] = (),
        composite: bool = False,
        iterates: Iterates = "",
        names: Mapping[str, Any] | None = None,
    ) -> None:
        update_wrapper(self, function)
        self.function = function
        self.name: str = function.__name__
        self.title = title or title_of(self.name)
        self.category = category
        self.is_async = inspect.iscoroutinefunction(function)
        self.lane: Lane = lane or ("io" if self.is_async else "cpu")
        self.output, self.output_name = output, output_name
        self.view: View = view
        self.version, self.revision, self.deprecated = version, revision, deprecated
        self.cache: CachePolicy = cache
        self.check = check
        self.permissions = tuple(sorted(permissions))
        self.composite = composite
        self.iterates: Iterates = iterates
        self.batch: Batched | None = None
        self._names = names
        if self.is_async and self.lane != "io":
            raise TypeError(f"{self.name}: an async node runs on the io lane, not {self.lane}")
        if view and view not in VIEWS:
            raise TypeError(f"{self.name}: there is no view {view!r}; there are {', '.join(VIEWS)}")
        if view and not output:
            raise TypeError(f"{self.name}: a view is for a node that runs unasked; add output=True")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function; with links among the arguments, add the node to their graph instead.

        A composite that is given a builder is called in any case: its nodes become part of that graph.
        """
        given = (*args, *kwargs.values())
        if any(isinstance(item, GraphBuilder) for item in given) or not any(links_in(item) for item in given):
            return self.function(*args, **kwargs)
        return self.linked(*args, **kwargs)

    def linked(self, *args: Any, **kwargs: Any) -> Any:
        """Add the node to the graph that the links among the arguments come from. Raises TypeError where there are none."""
        links = [link for item in (*args, *kwargs.values()) for link in links_in(item)]
        if not links:
            raise TypeError(f"{self.name}: no argument is a link, so there is no graph to add the node to; use graph.add")
        signature = inspect.signature(self.function)
        shown = [item for name, item in signature.parameters.items() if self.hints.get(name) not in (Context, GraphBuilder)]
        captured = {name: kwargs.pop(name) for name in list(kwargs) if self.iterates and name not in signature.parameters}
        inputs = signature.replace(parameters=shown).bind_partial(*args, **kwargs).arguments
        return links[0].builder.add(self, None, **inputs, **captured)

    def batched(self, *, key: Callable[[Inputs], Hashable], limit: int = 64) -> Callable[[RunMany], RunMany]:
        """Declare how several calls run at once: the function takes a list of `Inputs` and gives as many results.

        Calls with equal `key(inputs)` may meet in one batch, whatever run or branch they come from; None fits nothing. A
        result that is an exception fails its own call alone.
        """

        def decorate(run: RunMany) -> RunMany:
            self.batch = Batched(run, key, limit)
            return run

        return decorate

    def __repr__(self) -> str:
        return f"<node {self.name}>"

    # ---- what the signature declares ----

    @cached_property
    def hints(self) -> dict[str, Any]:
        """The annotations of the function's parameters and of what it returns, as objects."""
        return typing.get_type_hints(self.function, localns=self._names, include_extras=True)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        found = []
        for name, parameter in inspect.signature(self.function).parameters.items():
            annotation = self.hints.get(name)
            if annotation is None:
                raise TypeError(f"{self.name}: parameter {name!r} needs a type annotation")
            if annotation not in (Context, GraphBuilder):
                found.append(input_parameter(parameter, annotation))
        return tuple(found)

    def _parameter_of(self, wanted: type) -> str | None:
        signature = inspect.signature(self.function).parameters
        return next((name for name in signature if self.hints.get(name) is wanted), None)

    @cached_property
    def context_parameter(self) -> str | None:
        return self._parameter_of(Context)

    @cached_property
    def builder_parameter(self) -> str | None:
        return self._parameter_of(GraphBuilder)

    @cached_property
    def variadic(self) -> str | None:
        return next((parameter.spec.name for parameter in self.parameters if parameter.spec.many), None)

    @cached_property
    def has_lazy(self) -> bool:
        return any(spec.lazy for spec in self.inputs)

    @cached_property
    def converters(self) -> dict[str, Callable[[Any], Any]]:
        return {item.spec.name: item.convert for item in self.parameters if item.convert is not None}

    @cached_property
    def inputs(self) -> tuple[InputSpec, ...]:
        return tuple(parameter.spec for parameter in self.parameters)

    @cached_property
    def _returns(self) -> tuple[tuple[OutputSpec, ...], tuple[SocketType, ...]]:
        if "return" not in self.hints:
            raise TypeError(f"{self.name}: the return type needs an annotation")
        return outputs_of(self.hints["return"], self.output_name)

    @property
    def outputs(self) -> tuple[OutputSpec, ...]:
        return self._returns[0]

    @cached_property
    def sockets(self) -> tuple[SocketType, ...]:
        """Every socket type that the signature mentions."""
        return (*(found for parameter in self.parameters for found in parameter.sockets), *self._returns[1])

    def pack_outputs(self, values: list[Any]) -> Any:
        """Several outputs as the function's NamedTuple, one as itself, none as None."""
        if len(values) > 1 or (get_origin(self.hints["return"]) is None and hasattr(self.hints["return"], "_fields")):
            return self.hints["return"](*values)
        return values[0] if values else None

    def spec(self, pack: str, revision: str) -> NodeSpec:
        """The catalog's entry. `revision` (the digest of the pack's source) counts where the author set none."""
        if self.has_lazy and self.lane == "gpu":
            raise TypeError(f"{self.name}: a node with lazy inputs decides what to compute; it cannot run on the gpu lane")
        files = {found.name for found in self.sockets if found.artifact is not None}
        if needed := needed_outputs(self.view, self.outputs, files):
            raise TypeError(f"{self.name}: the view {self.view!r} shows {needed}")
        return NodeSpec(
            id=f"{pack}/{self.name}",
            revision=str(self.revision) if self.revision is not None else revision,
            inputs=self.inputs,
            outputs=self.outputs,
            title=self.title,
            category=self.category or pack,
            description=inspect.getdoc(self.function) or "",
            version=self.version,
            lane=self.lane,
            output=self.output,
            view=self.view,
            composite=self.composite,
            checked=self.check is not None,
            cache=self.cache,
            batched=self.batch is not None,
            iterates=self.iterates,
            deprecated=self.deprecated,
            permissions=self.permissions,
        )


def _names_around(function: Callable[..., Any]) -> Mapping[str, Any] | None:
    """What a function's annotations may name besides its module's globals: the locals of the function it is defined in."""
    return sys._getframe(2).f_locals if "<locals>" in function.__qualname__ else None


def node(
    *,
    category: str = "",
    title: str = "",
    lane: Lane | None = None,
    output: bool = False,
    view: View = "",
    output_name: str | None = None,
    version: int = 1,
    revision: int | None = None,
    deprecated: str = "",
    cache: Literal["content", "memory", "never"] = "content",
    check: Check | None = None,
    permissions: Iterable[str] = (),
) -> Callable[[Callable[..., Any]], Node]:
    """Declare a node. Inputs are the parameters, outputs the return type; nothing is guessed from names.

    `lane` is where it runs (gpu, cpu; async functions run on io), `output` marks what a run evaluates unasked, `version` is
    the schema's, `revision` guards cached results (default: the digest of the pack's source), `cache` says how far results
    are kept, `check(**values)` sees the typed values before anything runs and yields Problems.

    `view` says how the result of an `output` node is shown; without one the kind of the value decides. Each view takes:

    - `image`, `video`: one file, an Artifact or what becomes one (an Image); a video is an animated WebP.
    - `images`: a list of such.
    - `compare`: two files, as a NamedTuple: before, after.
    - `text`: a str, shown as it is, line by line.
    - `table`: a Table: {"columns": [NAME ...], "rows": [[CELL ...] ...]}; a cell is text, a number, true, false or null.
    - `plot`: a Plot: {"title", "x": {"label", "scale"}, "y": {"label", "scale"}, "series": [{"name", "x": [...], "y": [...],
      "kind"}]}; scale is linear or log, kind is line, points or bars, null in y is a gap.
    """

    def decorate(function: Callable[..., Any]) -> Node:
        return Node(
            function,
            title=title,
            category=category,
            lane=lane,
            output=output,
            view=view,
            output_name=output_name,
            version=version,
            revision=revision,
            deprecated=deprecated,
            cache=cache,
            check=check,
            permissions=permissions,
            names=_names_around(function),
        )

    return decorate


def composite(
    *,
    category: str = "",
    title: str = "",
    output_name: str | None = None,
    version: int = 1,
    revision: int | None = None,
    deprecated: str = "",
    check: Check | None = None,
    iterates: Iterates = "",
) -> Callable[[Callable[..., Any]], Node]:
    """Declare a node that expands into other nodes.

    The function takes a GraphBuilder; its socket inputs arrive as links, its values as values, and it returns links. The
    inner nodes are cached one by one.

    With `iterates` the engine expands it instead, over the subgraph that the input `body` names, for at most `limit` rounds:
    the signature then only shows what such a node looks like, and its real sockets follow from the subgraph's interface.
    """

    def decorate(function: Callable[..., Any]) -> Node:
        return Node(
            function,
            title=title,
            category=category,
            output_name=output_name,
            version=version,
            revision=revision,
            deprecated=deprecated,
            check=check,
            composite=True,
            iterates=iterates,
            names=_names_around(function),
        )

    return decorate
