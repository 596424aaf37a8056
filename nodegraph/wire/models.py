"""Models over the API: what there is, and what reading one whole has shown."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from nodegraph.wire.jobs import Digest
from nodegraph.wire.problems import ProblemRow

ModelName = Annotated[str, Field(min_length=1, max_length=1000, description="A model's name, its `/` written as %2F.")]


class ModelView(BaseModel):
    """A model that workflows can name."""

    name: str = Field(description="What a model input takes.")
    kind: str | None = Field(default=None, description="checkpoint, lora, autoencoder ...; missing where nothing tells.")
    family: str | None = Field(default=None, description="sd1, sdxl, flux ...; missing where nothing tells.")
    bytes: int
    folder: str = Field(description="The name of the folder that it lies in.")
    digest: Digest | None = Field(default=None, description="Its sha256, where it has been read before.")
    trouble: str | None = Field(default=None, description="Why it cannot be used.")
    thumbnail: str | None = Field(default=None, description="A small picture, where one lies beside it.")


class ModelList(BaseModel):
    """All models, in the order in which names are looked up."""

    models: list[ModelView]


class ModelVerified(BaseModel):
    """What reading a model whole has shown."""

    model: ModelView
    ok: bool
    compared_with: list[str] = Field(description="remembered: its digest of before; sidecar: the .sha256 beside it.")
    problems: list[ProblemRow] = []
