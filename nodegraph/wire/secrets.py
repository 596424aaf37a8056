"""Secrets over the API: names and places. Values go in and never come out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

SecretName = Annotated[
    str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$", description="Letters, digits and `_`; case does not count.")
]
Place = Literal["environment", "keyring", "file"]


class SecretValue(BaseModel):
    """A secret's value. Other fields are passed over: a refusal would repeat their names, which may be the secret itself."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    value: SecretStr = Field(min_length=1, max_length=1 << 16)


class SecretRow(BaseModel):
    """A secret by its name, and where it lies. The place that counts stands first."""

    name: str
    places: list[Place]


class SecretList(BaseModel):
    """The names of all secrets."""

    secrets: list[SecretRow]
