"""Pictures as prompts: an image encoder reads them, an IP-Adapter lets a denoiser's cross-attention read that."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field

from nodegraph import Context, ModelFile, NodeError, loader, node
from nodegraph_nodes.diffusion.families import ModelError, compute_dtype
from nodegraph_nodes.diffusion.families.image_encoder import CLIPImageEncoder, describe_image_encoder
from nodegraph_nodes.diffusion.families.image_encoder import load_image_encoder as load_encoder
from nodegraph_nodes.diffusion.families.ip_adapter import FAMILY_OF_WIDTH, IPAdapter, describe_image_adapter, load_image_adapter
from nodegraph_nodes.diffusion.families.kinds import IMAGE_ENCODER, IP_ADAPTER
from nodegraph_nodes.diffusion.guidance import Share, range_is_ordered
from nodegraph_nodes.diffusion.model import told_plainly
from nodegraph_nodes.diffusion.unfit import unfit
from nodegraph_nodes.types import (
    Guidance,
    Image,
    ImageAdapter,
    ImageEmbedding,
    ImageEncoder,
    ImagePrompt,
    Mask,
    Precision,
)

ComputeIn = Annotated[Precision, Field(description="What networks compute in; auto is the device's best.")]


@node(category="diffusion/model")
def load_image_encoder(
    model: Annotated[
        ModelFile[Literal["image_encoder"]],
        Field(description="CLIP's picture side: a folder with config.json, or a .safetensors file. The adapter says which."),
    ],
    precision: ComputeIn = "auto",
) -> ImageEncoder:
    """Read what an image encoder is. Its weights stay on disk until a node needs them."""
    try:
        return describe_image_encoder(model.path, model.digest, precision)
    except ModelError as error:
        raise unfit(model, "image encoder", error, IMAGE_ENCODER) from None


@node(title="Load IP-Adapter", category="diffusion/model")
def load_ip_adapter(
    model: Annotated[
        ModelFile[Literal["ip_adapter"]],
        Field(description="An IP-Adapter: plain, plus or full face, as a .safetensors file in the original layout."),
    ],
    precision: ComputeIn = "auto",
) -> ImageAdapter:
    """Read what an IP-Adapter is. Its weights stay on disk until a node needs them."""
    try:
        return describe_image_adapter(model.path, model.digest, precision)
    except ModelError as error:
        raise unfit(model, "IP-Adapter", error, IP_ADAPTER) from None


@node(category="diffusion/prompt", lane="gpu")
def encode_image_prompt(
    context: Context,
    encoder: ImageEncoder,
    image: Image,
    crop: Annotated[
        Literal["center", "squeeze"],
        Field(description="The encoder looks at a square. center: at the picture's middle; squeeze: at all of it, squeezed."),
    ] = "center",
) -> ImageEmbedding:
    """Turn a picture into what an IP-Adapter reads."""
    network: CLIPImageEncoder = context.resident(encoder)
    return network.encode(image, crop == "center")


@node(title="Apply IP-Adapter", category="diffusion/guidance", check=range_is_ordered)
def apply_ip_adapter(
    guidance: Guidance,
    adapter: ImageAdapter,
    *images: ImageEmbedding,
    mask: Annotated[Mask | None, Field(description="Where the pictures count; without one, everywhere.")] = None,
    weight: Annotated[
        float, Field(ge=-2, le=5, description="How much the pictures count beside the prompt; 0: not at all.")
    ] = 1.0,
    start: Annotated[Share, Field(description="Share of the steps after which they begin to count.")] = 0.0,
    end: Annotated[Share, Field(description="Share of the steps after which they no longer count.")] = 1.0,
) -> Guidance:
    """Steer a run by pictures (IP-Adapter, Ye et al. 2023). Several pictures are read together; several adapters add up."""
    if not images:
        raise NodeError("There is no picture to read.", socket="images", hint="Link diffusion/encode_image_prompt.")
    text_width = guidance.positive.states.shape[-1]
    if text_width != adapter.text_width:
        raise NodeError(
            "This IP-Adapter was made for another kind of model.",
            socket="adapter",
            expected=f"one for {guidance.positive.family}, whose prompts are {text_width} wide",
            got=_for(adapter),
        )
    for image in images:
        found = image.states if adapter.fine else image.pooled
        if found.shape[-1] != adapter.image_width:
            raise NodeError(
                "This IP-Adapter reads another image encoder.",
                socket="images",
                expected=f"an embedding {adapter.image_width} wide",
                got=f"{found.shape[-1]} wide",
                hint=_ENCODERS.get((adapter.fine, adapter.image_width), "Load the image encoder that it was trained with."),
            )
    if mask is not None and not bool((mask > 0).any()):
        raise NodeError("This mask is empty: the pictures would count nowhere.", socket="mask")
    if adapter.fine:
        embeds, empty = torch.stack([image.states for image in images]), torch.stack([image.empty for image in images])
    else:
        embeds = torch.stack([image.pooled[None] for image in images])
        empty = torch.zeros_like(embeds)
    prompt = ImagePrompt(adapter, embeds, empty, weight, start, end, mask)
    return replace(guidance, image_prompts=(*guidance.image_prompts, prompt))


_ENCODERS = {
    (False, 1024): "It was trained with CLIP ViT-H/14.",
    (True, 1280): "It was trained with CLIP ViT-H/14.",
    (False, 1280): "It was trained with CLIP ViT-bigG/14.",
    (True, 1664): "It was trained with CLIP ViT-bigG/14.",
}


def _for(adapter: ImageAdapter) -> str:
    named = FAMILY_OF_WIDTH.get(adapter.text_width)
    width = f"prompts that are {adapter.text_width} wide"
    return f"one for {named} ({width})" if named else f"one for {width}"


@loader(ImageEncoder)
def image_encoder_network(recipe: ImageEncoder, device: torch.device) -> CLIPImageEncoder:
    """An image encoder's network on a device."""
    with told_plainly():
        return load_encoder(recipe, device, compute_dtype(recipe.precision, device))


@loader(ImageAdapter)
def image_adapter_network(recipe: ImageAdapter, device: torch.device) -> IPAdapter:
    """An IP-Adapter on a device."""
    with told_plainly():
        return load_image_adapter(recipe, device, compute_dtype(recipe.precision, device))
