"""Files that workflows may read, over the API."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field


class InputRow(BaseModel):
    """A file that a file input may name."""

    name: str = Field(description="The value for a file input.")
    url: str
    media_type: str = Field(description="By its name.")
    bytes: int
    modified: datetime
    thumbnail: str | None = Field(default=None, description="A small picture of it, where it is one.")


class InputList(BaseModel):
    """Some files, the newest first, and how to get more."""

    files: list[InputRow]
    next: str | None = Field(default=None, description="The cursor of the next page; absent on the last.")
