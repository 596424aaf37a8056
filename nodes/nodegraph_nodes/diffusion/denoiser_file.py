"""A denoising network in a file of its own, as GGUF files and fine-tunes of transformers come."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from nodegraph import ModelFile, NodeError, node
from nodegraph_nodes.diffusion.families import ModelError, describe_model, outline
from nodegraph_nodes.diffusion.families.kinds import CHECKPOINT, DENOISER, kind_of
from nodegraph_nodes.diffusion.unfit import unfit
from nodegraph_nodes.types import Denoiser, Storage


@node(category="diffusion/model")
def denoiser_from_file(
    file: Annotated[
        ModelFile[Literal["diffusion_model", "checkpoint"]],
        Field(description="A file that holds a denoising network alone, as GGUF files for U-Nets and transformers do."),
    ],
    like: Annotated[
        Denoiser, Field(description="The denoiser of a whole model of the same kind, which it takes the place of.")
    ],
    storage: Annotated[
        Storage, Field(description="How weights lie in memory; as_stored leaves GGUF and float8 files as small as they are.")
    ] = "as_stored",
) -> Denoiser:
    """Use another file's denoising network with the text encoder and autoencoder of a model."""
    kind = kind_of(file.path)
    if kind not in (DENOISER, CHECKPOINT, None):
        raise unfit(file, "denoiser", ModelError(str(file.path), "it is no denoiser"), DENOISER, socket="file")
    if kind == CHECKPOINT and (family := describe_model(file.path, file.digest).denoiser.family) != like.family:
        raise NodeError(f"{file.name!r} is another kind of model.", socket="file", expected=like.family, got=family)
    found = replace(like, path=str(file.path), digest=file.digest, storage=storage)
    try:
        outline(found)
    except ModelError as error:
        raise NodeError(
            f"{file.name!r} cannot be used: {error.problem}", socket="file", expected=f"a denoiser like that of {like.family}"
        ) from None
    return found
