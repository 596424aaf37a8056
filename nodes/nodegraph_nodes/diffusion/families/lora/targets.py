"""The layers of a network by the names that LoRA files give them.

Each layer is known by its own (diffusers' or transformers') name and, where the architecture was published in another layout,
by its name there too; there one name may stand for several layers, each with rows of its own.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from torch import nn

from nodegraph_nodes.diffusion.families import flux_names, ldm_names, sd3_names

from .reading import Component

Piece = tuple[str, tuple[int, int | None] | None, bool]
Index = Mapping[tuple[Component, str], "tuple[Target, ...]"]


class Target(NamedTuple):
    """A layer that can be changed. module: the network that it is in; layer: its name there; shape: of its weight.

    rows: of a file's change, those that are this layer's; None for all. swapped: their halves change places.
    """

    module: nn.Module
    layer: str
    shape: tuple[int, ...]
    rows: tuple[int, int | None] | None = None
    swapped: bool = False


def filled_modules(network: Any) -> list[nn.Module]:
    """The modules of a loaded network that were filled from its file, in the order in which it holds them."""
    found: list[nn.Module] = []
    _collect(network, found, 0)
    return found


def _collect(value: Any, found: list[nn.Module], depth: int) -> None:
    if isinstance(value, nn.Module):
        if "originals" in value.__dict__ and all(value is not known for known in found):
            found.append(value)
    elif isinstance(value, list | tuple):
        for item in value:
            _collect(item, found, depth)
    elif depth < 3 and type(value).__module__.startswith(__name__.split(".")[0]):
        for item in getattr(value, "__dict__", {}).values():
            _collect(item, found, depth + 1)


def denoiser_index(network: Any) -> Index:
    """A loaded denoiser's layers by name."""
    index: dict[tuple[Component, str], tuple[Target, ...]] = {}
    for module in filled_modules(network):
        for layer, part in _layers(module):
            for name, target in _named(module, layer, part):
                index["denoiser", name] = (*index.get(("denoiser", name), ()), target)
    return index


def text_index(network: Any) -> Index:
    """A loaded text encoder's layers by name. A file's third encoder is the last one here, whether or not there are three."""
    modules = filled_modules(network)
    index: dict[tuple[Component, str], tuple[Target, ...]] = {}
    components: tuple[Component, ...] = ("text", "text_2", "text_3")
    for component, module in zip(components, modules, strict=False):
        for layer, part in _layers(module):
            name, target = layer.replace(".", "_").removeprefix("text_model_"), Target(module, layer, _shape(part))
            index[component, name] = (target,)
            if len(modules) == 2 and component == "text_2":
                index["text_3", name] = (target,)
    return index


def find(index: Index, component: Component, layer: str) -> tuple[Target, ...]:
    """The layers that a file means by a name; none where the network has no such."""
    if component == "denoiser":
        candidates = [layer, f"{layer}_0" if layer.endswith("to_out") else layer]
    else:
        layer = layer.removeprefix("text_model_").removeprefix("transformer_text_model_").removeprefix("transformer_")
        renamed = layer
        for old, new in (("_to_q", "_q_proj"), ("_to_k", "_k_proj"), ("_to_v", "_v_proj"), ("_to_out", "_out_proj")):
            renamed = renamed.removesuffix(old) + new if renamed.endswith(old) else renamed
        candidates = [layer, renamed]
    return next((index[component, name] for name in candidates if (component, name) in index), ())


def _layers(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear | nn.Conv2d) and name:
            yield name, part


def _shape(part: Any) -> tuple[int, ...]:
    if isinstance(part, nn.Linear):
        return part.out_features, part.in_features
    return part.out_channels, part.in_channels // part.groups, *part.kernel_size


def _named(module: Any, layer: str, part: nn.Module) -> Iterator[tuple[str, Target]]:
    """A layer under its own name, and under that of the original layout."""
    target = Target(module, layer, _shape(part))
    own = layer.replace(".", "_")
    yield own, target
    original = _ORIGINAL.get(type(module).__name__)
    if original is not None:
        name, rows, swapped = original(f"{layer}.weight", module.config)
        other = name.removesuffix(".weight").replace(".", "_")
        if other != own:
            yield other, target._replace(rows=rows, swapped=swapped)


def _in_unet(name: str, config: Any) -> Piece:
    return ldm_names.unet_name(name, config).removeprefix(ldm_names.UNET), None, False


_ORIGINAL: dict[str, Callable[[str, Any], Piece]] = {
    "UNet2DConditionModel": _in_unet,
    "FluxTransformer2DModel": lambda name, config: flux_names.piece(name, config, ""),
    "SD3Transformer2DModel": lambda name, config: sd3_names.piece(name, config, ""),
}
"""By diffusers' class: (a weight's name, config) -> its name in the original layout, and which part of that it is."""
