"""CLIP's picture side as a feature network."""

from typing import Any

from torch import Tensor, nn

CLIP_LAYERS = ("embedding", "pooled", "patches")
"""embedding: what texts are compared with; pooled: before that projection; patches: the last states of all places."""


class ClipPictures(nn.Module):
    """transformers' CLIPVisionModelWithProjection, as far as one of `CLIP_LAYERS`."""

    def __init__(self, model: Any, layer: str) -> None:
        super().__init__()
        self.model, self.layer = model, layer

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, 3, size, size], normalised -> [B, D], of patches [B, L, D]."""
        if self.layer == "embedding":
            out: Tensor = self.model(pixels).image_embeds
            return out
        seen = self.model.vision_model(pixels)
        states: Tensor = seen.pooler_output if self.layer == "pooled" else seen.last_hidden_state[:, 1:]
        return states
