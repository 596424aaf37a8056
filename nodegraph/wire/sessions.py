"""Signing in."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class SessionStart(BaseModel):
    """The token, as a person pastes it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    token: SecretStr = Field(max_length=512, description="The server's token.")
