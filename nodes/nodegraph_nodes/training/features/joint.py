"""CLIP (Radford et al. 2021) with both of its sides, in transformers' layout: texts and pictures as vectors of one space."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodegraph_nodes.diffusion.families.assemble import fill, skeleton
from nodegraph_nodes.diffusion.families.clip_tokenizer import clip_tokenizer
from nodegraph_nodes.diffusion.families.errors import ModelError
from nodegraph_nodes.diffusion.families.held_model import HeldModel
from nodegraph_nodes.diffusion.families.image_encoder import clip_pixels
from nodegraph_nodes.diffusion.families.source import ModelSource, read_header
from nodegraph_nodes.types import JointEncoder, Precision

_WEIGHTS = ("model.safetensors", "model.fp16.safetensors")
_MARKS = ("text_projection.weight", "visual_projection.weight")


def joint_recipe(path: Path, digest: str, precision: Precision = "float32") -> JointEncoder:
    """The recipe of a folder, from its config and header alone. Raises ModelError."""
    source = ModelSource(path, digest)
    if not source.has("config.json"):
        raise ModelError(str(path), "no CLIP folder: config.json is missing.")
    config = source.json("config.json")
    if not isinstance(config.get("text_config"), dict) or not isinstance(config.get("vision_config"), dict):
        raise ModelError(str(path), "its config.json does not describe CLIP with both sides (text_config and vision_config).")
    names = {name for shard in source.shards(".", *_WEIGHTS) for name in read_header(shard)}
    if missing := [name for name in _MARKS if name not in names]:
        raise ModelError(str(path), f"no CLIP weights with both sides: {missing[0]} is missing.")
    return JointEncoder(str(path), digest, precision)


class ClipBoth(HeldModel):
    """CLIP's two sides and its tokenizer. size: the side in pixels of what it looks at."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__(model)
        self._tokenizer = tokenizer
        self.size = int(model.config.vision_config.image_size)
        self._longest = int(model.config.text_config.max_position_embeddings)

    @torch.no_grad()
    def pictures(self, pictures: Sequence[Tensor]) -> Tensor:
        """Pictures [H, W, C], 0..1, their middle squares -> [B, D], float32, on the CPU."""
        place = next(self.model.parameters())
        pixels = torch.stack([clip_pixels(picture.cpu(), self.size, crop=True) for picture in pictures])
        pooled = self.model.vision_model(pixels.to(place)).pooler_output
        out: Tensor = self.model.visual_projection(pooled).float().cpu()
        return out

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Texts -> [B, D], float32, on the CPU. What is longer than the network reads is cut off."""
        found = self._tokenizer(list(texts), padding=True, truncation=True, max_length=self._longest, return_tensors="pt").to(
            self.model.device
        )
        pooled = self.model.text_model(found["input_ids"], attention_mask=found["attention_mask"]).pooler_output
        out: Tensor = self.model.text_projection(pooled).float().cpu()
        return out


def load_joint(recipe: JointEncoder, device: torch.device | str, dtype: torch.dtype) -> ClipBoth:
    """Both networks of a recipe, on the device. Raises ModelError."""
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    source = ModelSource(Path(recipe.path), recipe.digest)
    config = CLIPConfig(**source.json("config.json"))
    network = fill(skeleton(lambda: CLIPModel(config)), source.read(".", *_WEIGHTS), recipe.path, "CLIP model", dtype)
    if source.has("vocab.json") or source.has("tokenizer.json"):
        tokenizer = CLIPTokenizer.from_pretrained(source.path, local_files_only=True)
    else:
        tokenizer = clip_tokenizer(int(config.text_config.max_position_embeddings), "<|endoftext|>")
    return ClipBoth(network, tokenizer).to(device)
