"""Files over the API: uploads on their way and finished, and what a picture says of how it was made."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from nodegraph.wire.jobs import Digest

UploadId = Annotated[str, Field(pattern=r"^[0-9a-hjkmnp-tv-z]{26}$", description="The id of an upload.")]
UploadedName = Annotated[str, Field(pattern=r"^[0-9a-f]{16}\.[a-z]{3,11}$", description="The name of an uploaded file.")]
ArtifactDigest = Annotated[
    str, Field(pattern=r"^(sha256:)?[0-9a-f]{64}$", description="The sha256 of the content, with or without `sha256:`.")
]


class UploadStart(BaseModel):
    """A file that is about to be sent in pieces."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="", max_length=1000, description="What it is called where it comes from.")
    bytes: int = Field(ge=1, le=2**60, description="How long it is.")
    sha256: Annotated[str, Field(pattern=r"^(sha256:)?[0-9a-f]{64}$")] | None = Field(
        default=None, description="Its digest, to be compared when everything has arrived."
    )


class Upload(BaseModel):
    """A file on its way, or one that has arrived: then `file` is what a file input of a workflow takes."""

    id: UploadId
    url: str
    state: Literal["arriving", "complete"]
    name: str
    bytes: int
    offset: int = Field(description="How much has arrived: where to go on.")
    created: datetime
    file: str | None = Field(default=None, description="The value for a file input, such as uploads/0123456789abcdef.png.")
    digest: Digest | None = None
    media_type: str | None = None
    width: int | None = None
    height: int | None = None


class UploadedFile(BaseModel):
    """A file that was uploaded and lies in the data folder."""

    name: str
    file: str = Field(description="The value for a file input.")
    url: str
    media_type: str
    bytes: int
    created: datetime


class UploadList(BaseModel):
    """What is on its way, and what has arrived, the newest first."""

    uploads: list[Upload]
    files: list[UploadedFile]


class FoundSettings(BaseModel):
    """One program's settings in a picture: its texts by name, as they stand there."""

    program: str
    title: str
    texts: dict[str, str]


class PictureMetadata(BaseModel):
    """What a picture carries beside its pixels."""

    format: str = Field(description="png, jpeg, webp, avif; empty for a file of another kind.")
    found: list[FoundSettings]
    notes: list[str] = Field(description="What is damaged, or too long to be read.")
