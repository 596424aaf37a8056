"""Prompts for parts of the picture: ComfyUI's masks and areas, as regions."""

from __future__ import annotations

from nodegraph.importing.comfyui.draft import Draft, Unmappable, number, whole
from nodegraph.importing.comfyui.sizes import picture_size
from nodegraph.importing.comfyui.source import SourceNode

_HOPS = 12
_SHARED_SIDE = 1024  # of a mask that is read in shares: finer than any latent


def set_mask(draft: Draft) -> None:
    area = draft.value("set_cond_area", "default")
    if area != "default":
        raise Unmappable(f"its area is {area!r}: it shows the network the bounds of the mask alone, which no region does here")
    part = _region(draft)
    draft.take(f"{part}.mask", "mask", value=False)
    draft.note("the mask is laid over the whole picture; ComfyUI scales it too")


def set_area_percentage(draft: Draft) -> None:
    x, y, width, height = (
        _number(draft, name, usual) for name, usual in (("x", 0.0), ("y", 0.0), ("width", 1.0), ("height", 1.0))
    )
    _area(draft, (_SHARED_SIDE, _SHARED_SIDE), (x, y, x + width, y + height), "share")


def set_area(draft: Draft) -> None:
    x, y, width, height = (_number(draft, name, usual) for name, usual in (("x", 0), ("y", 0), ("width", 64), ("height", 64)))
    size = _size_of_picture(draft)
    if size is None:
        raise Unmappable("the size of the picture that its area lies in is not known here")
    _area(draft, size, (x, y, x + width, y + height), "pixels")


def _area(draft: Draft, size: tuple[int, int], edges: tuple[float, ...], unit: str) -> None:
    part, mask = _region(draft), draft.add("area", "mask/rectangle_mask")
    draft.set(f"{mask}.width", size[0])
    draft.set(f"{mask}.height", size[1])
    for name, edge in zip(("left", "top", "right", "bottom"), edges, strict=True):
        draft.set(f"{mask}.{name}", round(edge, 6))
    draft.set(f"{mask}.unit", unit)
    draft.link(f"{part}.mask", f"{mask}.mask")
    draft.note(
        "the network sees the whole picture here, and what it says of the area counts; ComfyUI shows it the area alone, and "
        "fades the area at its edges"
    )


def _region(draft: Draft) -> str:
    part = draft.add("region", "diffusion/region")
    draft.main = part
    draft.take(f"{part}.conditioning", "conditioning", value=False)
    draft.take(f"{part}.weight", "strength", otherwise=1.0)
    draft.output(0, f"{part}.conditioning")
    draft.note("where no prompt's region lies all prompts count here, and none in ComfyUI")
    return part


def _number(draft: Draft, name: str, usual: float) -> float:
    found = number(draft.value(name, usual))
    if found is None:
        raise Unmappable(f"its {name} is no number")
    return found


def _size_of_picture(draft: Draft) -> tuple[int, int] | None:
    """The size of the first run that the prompt comes to, where it is typed."""
    level: list[str] = [draft.node.id]
    seen = set(level)
    for _ in range(_HOPS):
        readers = [
            draft.scope.graph.nodes[reader.node] for node in level for reader in draft.scope.wiring.readers.get(node, ())
        ]
        for node in readers:
            if "latent_image" in node.input_by_name:
                return _typed_size(draft, node)
        level = [node.id for node in readers if node.id not in seen]
        seen.update(level)
    return None


def _typed_size(draft: Draft, sampler: SourceNode) -> tuple[int, int] | None:
    size = picture_size(draft, sampler, "latent_image")
    if size is None or size.pixels:
        return None
    sides = [whole(draft.scope.constant(size.node, side)) for side in ("width", "height")]
    width, height = (8 * round((side or 0) // 8 * size.scale) for side in sides)
    return (width, height) if width and height else None
