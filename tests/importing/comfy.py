"""ComfyUI workflows in a few lines, for the tests beside this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from nodegraph.api.paths import data_folder
from nodegraph.graph import Catalog, Document, dump_document, installed_catalog, parse_document
from nodegraph.importing import Imported, Row, from_comfyui

OUTPUTS = {
    "CheckpointLoaderSimple": "MODEL CLIP VAE",
    "CLIPTextEncode": "CONDITIONING",
    "ConditioningZeroOut": "CONDITIONING",
    "ConditioningAverage": "CONDITIONING",
    "ConditioningCombine": "CONDITIONING",
    "ConditioningConcat": "CONDITIONING",
    "ConditioningSetTimestepRange": "CONDITIONING",
    "CLIPSetLastLayer": "CLIP",
    "EmptyLatentImage": "LATENT",
    "ControlNetLoader": "CONTROL_NET",
    "ControlNetApply": "CONDITIONING",
    "ControlNetApplyAdvanced": "CONDITIONING CONDITIONING",
    "Canny": "IMAGE",
    "KSampler": "LATENT",
    "KSamplerAdvanced": "LATENT",
    "KSamplerSelect": "SAMPLER",
    "BasicScheduler": "SIGMAS",
    "RandomNoise": "NOISE",
    "CFGGuider": "GUIDER",
    "BasicGuider": "GUIDER",
    "SamplerCustomAdvanced": "LATENT LATENT",
    "VAEDecode": "IMAGE",
    "VAEEncode": "LATENT",
    "LoadImage": "IMAGE MASK",
    "ImageScale": "IMAGE",
    "ImageScaleBy": "IMAGE",
    **dict.fromkeys(("LoraLoader", "LoraLoaderBypass"), "MODEL CLIP"),
    **dict.fromkeys(("LoraLoaderModelOnly", "DifferentialDiffusion", "RescaleCFG", "ModelSamplingDiscrete"), "MODEL"),
    **dict.fromkeys(("ModelSamplingSD3", "ModelSamplingFlux", "UNETLoader"), "MODEL"),
    **dict.fromkeys(("CLIPLoader", "DualCLIPLoader"), "CLIP"),
    **dict.fromkeys(("FluxGuidance", "ConditioningSetMask"), "CONDITIONING"),
    **dict.fromkeys(("ConditioningSetArea", "ConditioningSetAreaPercentage"), "CONDITIONING"),
    "VAELoader": "VAE",
    **dict.fromkeys(("VAEDecodeTiled", "ImageInvert", "ImageScaleToTotalPixels", "ImageUpscaleWithModel"), "IMAGE"),
    "VAEEncodeTiled": "LATENT",
    "UpscaleModelLoader": "UPSCALE_MODEL",
    "PerpNegGuider": "GUIDER",
    **dict.fromkeys(("KarrasScheduler", "ExponentialScheduler", "PolyexponentialScheduler"), "SIGMAS"),
    **dict.fromkeys(("SDTurboScheduler", "BetaSamplingScheduler", "ManualSigmas"), "SIGMAS"),
    "SamplerCustom": "LATENT LATENT",
    "LatentUpscale": "LATENT",
    "LatentUpscaleBy": "LATENT",
    "SetLatentNoiseMask": "LATENT",
    "VAEEncodeForInpaint": "LATENT",
    "InpaintModelConditioning": "CONDITIONING CONDITIONING LATENT",
    "ImagePadForOutpaint": "IMAGE MASK",
    "LoadImageMask": "MASK",
    **dict.fromkeys(("ImageToMask", "InvertMask", "GrowMask", "FeatherMask", "MaskComposite"), "MASK"),
    **dict.fromkeys(("MaskToImage", "ImageCompositeMasked"), "IMAGE"),
    "PrimitiveInt": "INT",
    "PrimitiveFloat": "FLOAT",
    "PrimitiveNode": "INT",
    "Reroute": "*",
    "SetNode": "*",
    "GetNode": "*",
    "StringConcatenate": "STRING",
    "Mystery": "IMAGE",
}


@cache
def catalog() -> Catalog:
    return installed_catalog(data_folder(None) / "catalog")


def node(
    id: int, type: str, values: Any = None, links: Mapping[str, tuple[int, int]] | None = None, **more: Any
) -> dict[str, Any]:
    """A node of the UI format; `links` maps input names to (node, slot), or to None for an input that stays empty."""
    widgets = more.pop("widgets", ())
    inputs = [{"name": name, "type": "*", "link": target} for name, target in (links or {}).items()]
    for slot in inputs:
        if slot["name"] in widgets:
            slot["widget"] = {"name": slot["name"]}
    outputs = [{"name": name, "type": name, "links": []} for name in OUTPUTS.get(type, "").split()]
    return {
        "id": id,
        "type": type,
        "mode": 0,
        "pos": [100 * id, 50],
        "inputs": inputs,
        "outputs": outputs,
        "widgets_values": values,
        **more,
    }


def ui(*nodes: dict[str, Any], objects: bool = False, **more: Any) -> dict[str, Any]:
    """A file in the UI format: link targets become numbered links, and inputs get the type of what they read."""
    kinds = {(n["id"], slot): output["type"] for n in nodes for slot, output in enumerate(n["outputs"])}
    links: list[Any] = []
    for entry in nodes:
        for slot, item in enumerate(entry["inputs"]):
            if item["link"] is None or isinstance(item["link"], int):
                continue
            origin, number, kind = *item["link"], kinds.get(tuple(item["link"]), "*")
            if item["type"] == "*" and entry["type"] not in ("Reroute", "SetNode"):
                item["type"] = kind
            item["link"] = len(links) + 1
            ends = (len(links) + 1, origin, number, entry["id"], slot, kind)
            names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
            links.append(dict(zip(names, ends, strict=True)) if objects else list(ends))
    return {
        "last_node_id": 99,
        "last_link_id": 99,
        "nodes": list(nodes),
        "links": links,
        "version": 1 if objects else 0.4,
        **more,
    }


def picture(
    *, sampler: Sequence[Any] = (7, "randomize", 20, 8.0, "euler", "normal", 1.0), model: str = "starter"
) -> list[dict[str, Any]]:
    """The nodes of ComfyUI's default workflow: a picture from a text."""
    return [
        node(4, "CheckpointLoaderSimple", [model]),
        node(6, "CLIPTextEncode", ["a red apple"], {"clip": (4, 1)}),
        node(7, "CLIPTextEncode", ["text, watermark"], {"clip": (4, 1)}),
        node(5, "EmptyLatentImage", [64, 48, 1]),
        node(3, "KSampler", list(sampler), {"model": (4, 0), "positive": (6, 0), "negative": (7, 0), "latent_image": (5, 0)}),
        node(8, "VAEDecode", None, {"samples": (3, 0), "vae": (4, 2)}),
        node(9, "SaveImage", ["ComfyUI"], {"images": (8, 0)}),
    ]


API: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 7, "steps": 20, "cfg": 8.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
            "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
        },
        "_meta": {"title": "KSampler"},
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "starter"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 48, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a red apple", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "text, watermark", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
    "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "ComfyUI", "images": ["8", 0]}},
}  # fmt: skip
"""ComfyUI's default workflow in the API format."""


def imported(data: Any) -> Imported:
    """The import, after its document has been written and read again."""
    found = from_comfyui(data, catalog())
    assert parse_document(dump_document(found.document)) is not None
    return found


def document(*nodes: dict[str, Any], **more: Any) -> Document:
    return imported(ui(*nodes, **more)).document


def row(found: Imported, id: object) -> Row:
    return next(row for row in found.report.rows if row.id == str(id))


def templates() -> list[Path]:
    """ComfyUI's own templates, as far as they are installed: the package `comfyui-workflow-templates-json`."""
    try:
        import comfyui_workflow_templates_json as package
    except ImportError:
        return []
    folder = Path(package.__file__ or "").parent / "templates"
    return [file for file in sorted(folder.glob("*.json")) if not file.name.startswith(("index", "fuse_options"))]
