"""How well pictures fit their captions, to a network that reads both."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field

from nodegraph import Context, ModelFile, NodeError, Table, loader, node
from nodegraph_nodes.diffusion.families import ModelError, compute_dtype
from nodegraph_nodes.diffusion.families.kinds import Kind
from nodegraph_nodes.diffusion.unfit import unfit
from nodegraph_nodes.training.evaluate import clip_scores
from nodegraph_nodes.training.features.joint import ClipBoth, joint_recipe, load_joint
from nodegraph_nodes.types import Image, JointEncoder, Precision

_BOTH = Kind("CLIP with both of its sides", "training/load_joint_encoder")


class Agreement(NamedTuple):
    score: Annotated[float, Field(description="Mean over the pictures: 2.5 times the cosine, 0 where that is negative.")]
    deviation: Annotated[float, Field(description="Over the pictures.")]
    table: Annotated[Table, Field(description="Each picture's caption and score, the worst first.")]


@node(title="Load CLIP", category="training/evaluate")
def load_joint_encoder(
    model: Annotated[
        ModelFile[Literal["clip"]],
        Field(description="A folder with CLIP's text and picture sides: transformers' config.json and model.safetensors."),
    ],
    precision: Annotated[Precision, Field(description="Figures of another precision differ a little.")] = "float32",
) -> JointEncoder:
    """Read what a CLIP model is. Its weights stay on disk until a node needs them."""
    try:
        return joint_recipe(model.path, model.digest, precision)
    except ModelError as error:
        raise unfit(model, "CLIP model", error, _BOTH) from None


@loader(JointEncoder)
def joint_encoder_network(recipe: JointEncoder, device: torch.device) -> ClipBoth:
    """A CLIP model on a device."""
    try:
        return load_joint(recipe, device, compute_dtype(recipe.precision, device))
    except ModelError as error:
        raise NodeError(f"The CLIP model cannot be loaded: {error}") from None


@node(title="CLIP score", category="training/evaluate", lane="gpu")
def clip_score(
    context: Context,
    encoder: JointEncoder,
    images: list[Image],
    captions: Annotated[list[str], Field(description="One for each picture.")],
    prefix: Annotated[str, Field(description="Put before each caption, as the published figures do.")] = "A photo depicts",
    batch: Annotated[int, Field(ge=1, le=4096)] = 32,
) -> Agreement:
    """CLIPScore (Hessel et al. 2021): how well pictures fit their captions."""
    paired(images, captions)
    network: ClipBoth = context.resident(encoder)
    found = []
    for first in range(0, len(images), batch):
        context.check_cancelled()
        said = [f"{prefix} {caption}".strip() for caption in captions[first : first + batch]]
        found.append(clip_scores(network.pictures(images[first : first + batch]), network.texts(said)))
        context.progress(min(first + batch, len(images)), len(images))
    scores = torch.cat(found)
    order = scores.argsort().tolist()
    rows: list[list[bool | int | float | str | None]] = [[i, captions[i], round(scores[i].item(), 4)] for i in order]
    table = Table(columns=["picture", "caption", "score"], rows=rows)
    return Agreement(scores.mean().item(), scores.std(correction=0).item(), table)


def paired(images: list[Image], captions: list[str]) -> None:
    """Each picture has a caption, and there is one; all of them are pictures that can be judged. Raises NodeError."""
    if not images:
        raise NodeError("There are no pictures.", socket="images", expected="at least one picture", got="none")
    if len(images) != len(captions):
        raise NodeError(
            "Every picture needs a caption.", socket="captions", expected=f"{len(images)} captions", got=str(len(captions))
        )
    if broken := [number for number, image in enumerate(images) if not bool(image.isfinite().all())]:
        raise NodeError(
            f"{len(broken)} of {len(images)} pictures hold values that are no numbers.",
            socket="images",
            expected="values from 0 to 1",
            got=f"NaN or infinity in picture {broken[0]}" + (f" and {len(broken) - 1} more" if len(broken) > 1 else ""),
            hint="Whatever made them is broken, or computed in a precision that is too low for it.",
        )
