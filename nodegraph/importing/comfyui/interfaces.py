"""What of an imported workflow people can set and get: prompts, seed, steps, sizes, model, and what subgraphs promote."""

from __future__ import annotations

from nodegraph.graph.document import Interface, InterfaceInput
from nodegraph.importing.comfyui.scope import Public, Scope
from nodegraph.importing.comfyui.source import Graph, Origin, OuterInput, Reader
from nodegraph.importing.comfyui.wiring import Constant
from nodegraph.importing.naming import free_name, slug

GROUPS = {
    "prompt": "",
    "negative_prompt": "",
    "image": "",
    "strength": "",
    "seed": "",
    "pictures": "",
    "width": "Size",
    "height": "Size",
    "steps": "Sampling",
    "guidance_scale": "Sampling",
    "sampler": "Sampling",
    "schedule": "Sampling",
    "model": "Model",
}
"""The inputs in the order of a form, with their groups; what is not here comes after them."""
_ORDER = list(GROUPS)


def root_interface(scope: Scope, chosen: tuple[Reader, ...]) -> Interface:
    """The workflow's own interface. `chosen` are the inputs that its author put into app mode: they come first."""
    inputs: dict[str, InterfaceInput] = {}
    taken: set[str] = set()
    for item in _ordered(scope, chosen):
        reader, title = _source(scope, item)
        to = [place for place in dict.fromkeys(scope.targets.get(reader, ())) if _settable(scope, place)]
        if to and taken.isdisjoint(to):
            taken.update(to)
            name = free_name(item.name, inputs)
            number = name.removeprefix(item.name).lstrip("_")
            inputs[name] = InterfaceInput(to=to, title=f"{title} {number}".strip(), group=GROUPS.get(item.name, ""))
    outputs: dict[str, str] = {}
    for name, place in shown(scope):
        outputs[free_name(name, outputs)] = place
    return Interface(inputs=inputs, outputs=outputs)


def _ordered(scope: Scope, chosen: tuple[Reader, ...]) -> list[Public]:
    known = {item.reader: item for item in scope.public}
    first = [known.get(reader) or Public(slug(reader.input, "input"), "", reader) for reader in chosen]
    rest = [item for item in scope.public if item.reader not in chosen]
    rest.sort(key=lambda item: _ORDER.index(item.name) if item.name in GROUPS else len(_ORDER))
    return first + rest


def _source(scope: Scope, item: Public) -> tuple[Reader, str]:
    """Where the value really stands: in a primitive node, where one is linked."""
    node = scope.graph.nodes.get(item.reader.node)
    place = scope.wiring.place(node, item.reader.input) if node is not None else None
    if isinstance(place, Constant):
        return Reader(place.node, "value"), item.title
    if isinstance(place, Origin) and scope.graph.nodes[place.node].type.startswith("Primitive"):
        return Reader(place.node, "value"), item.title
    return item.reader, item.title


def _settable(scope: Scope, place: str) -> bool:
    """Whether a value can be typed there: the node type is known, it runs, and no link overrules the value."""
    id, _, key = place.partition(".")
    entry = scope.entries[id]
    if entry.disabled or key in entry.links:
        return False
    if entry.type.startswith("subgraph/"):
        return any(key in function.specs for function in scope.functions.values() if entry.type == f"subgraph/{function.name}")
    spec = scope.catalog.nodes.get(entry.type)
    return spec is not None and key in spec.input_by_name and spec.input_by_name[key].schema is not None


def inner_interface(
    scope: Scope, graph: Graph, promoted: list[Reader]
) -> tuple[Interface, dict[str, str], list[str | None], list[tuple[str, str]]]:
    """A subgraph's interface; the names of ours by ComfyUI's input names; those of its outputs by slot; and what it shows.

    `promoted` are inner inputs that its instances show as their own, without a socket.
    """
    inputs: dict[str, InterfaceInput] = {}
    names: dict[str, str] = {}
    taken: set[str] = set()

    def add(outer: OuterInput, to: list[str]) -> None:
        to = [place for place in dict.fromkeys(to) if place not in taken]
        if to:
            taken.update(to)
            names[outer.name] = free_name(slug(outer.name, "input"), inputs)
            title = outer.label if outer.label != outer.name else ""
            inputs[names[outer.name]] = InterfaceInput(to=to, title=title)

    for outer in graph.inputs:
        add(outer, scope.outer.get(outer.name, []))
    for reader in promoted:
        linked = [place for place in scope.targets.get(reader, ()) if not _is_linked(scope, place)]
        add(OuterInput(free_name(reader.input, names), "", ""), linked)
    outputs: dict[str, str] = {}
    slots: list[str | None] = []
    for output in graph.outputs:
        place = scope.wiring.effective(output.link)
        ref = scope.resolve(place) if isinstance(place, Origin) else None
        key = free_name(slug(output.label or output.name, "output"), outputs) if ref is not None else None
        if key is not None and ref is not None:
            outputs[key] = ref
        slots.append(key)
    more: list[tuple[str, str]] = []
    for name, ref in shown(scope):
        key = free_name(name, outputs)
        outputs[key] = ref
        more.append((name, key))
    return Interface(inputs=inputs, outputs=outputs), names, slots, more


def _is_linked(scope: Scope, place: str) -> bool:
    id, _, key = place.partition(".")
    return key in scope.entries[id].links


def shown(scope: Scope) -> list[tuple[str, str]]:
    """What is for people's eyes, by name and place; what does not run is left out."""
    found = []
    for item in scope.shown:
        if scope.graph.nodes[item.node].mode != "active" or item.node in scope.wiring.off:
            continue
        place = scope.resolve(item.place) if isinstance(item.place, Origin) else item.place
        if place is not None:
            found.append((item.name, place))
    return found
