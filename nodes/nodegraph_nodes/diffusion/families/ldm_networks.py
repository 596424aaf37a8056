"""The networks of the first latent-diffusion models."""

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from nodegraph_nodes.types import Conditioning, Denoiser

from .classes import LABEL
from .held_model import HeldModel
from .loaded import Hints, Prompts
from .on_device import OnDevice

_TEXT_LENGTH = 77


class LDMDenoiser(OnDevice):
    """A diffusers UNet2DModel, or a UNet2DConditionModel, which attends: to a prompt, or to a row of `table` [rows, D]."""

    def __init__(self, recipe: Denoiser, unet: Any, *, attends: bool, table: Tensor | None = None) -> None:
        self.family = recipe.family
        self.prediction = recipe.prediction
        super().__init__(unet.to(memory_format=torch.channels_last))
        self._attends = attends
        self._labelled = getattr(unet, "class_embedding", None) is not None
        self._table = table

    @property
    def nbytes(self) -> int:
        return super().nbytes + (0 if self._table is None else self._table.nbytes)

    def to(self, device: torch.device | str) -> Self:
        self._table = None if self._table is None else self._table.to(device)
        return super().to(device)

    def streams_on(self, device: torch.device) -> None:
        self._table = None if self._table is None else self._table.to(device)
        super().streams_on(device)

    @torch.no_grad()
    def predict(self, x: Tensor, timesteps: Sequence[float], prompts: Prompts, hints: Hints | None = None) -> Tensor:
        """x [B, C, h, w] at one timestep per item -> the network's raw output [B, C, h, w] float32."""
        place, label = self.place, prompts.extra.get(LABEL)
        if hints is not None and hints.concat is not None:
            x = torch.cat([x, hints.concat.to(x)], 1)
        states = prompts.states.to(place) if prompts.states.numel() else None
        if self._table is not None and label is not None:
            states = self._table[label.to(place.device)][:, None]  # [B, 1, D]
        output = self.module(
            x.to(place),
            torch.tensor(timesteps, device=place.device, dtype=torch.float32),
            **({"encoder_hidden_states": states} if self._attends else {}),
            class_labels=label.to(place.device) if self._labelled and label is not None else None,
            return_dict=False,
        )[0]
        return output.float().contiguous()  # type: ignore[no-any-return]


class LDMTextEncoder(HeldModel):
    """The paper's own text transformer, with BERT's tokenizer. states: its last hidden states, padding included."""

    max_tokens = _TEXT_LENGTH - 2  # the marks at the ends

    def __init__(self, family: str, model: Any, tokenizer: Any) -> None:
        super().__init__(model)
        self.family, self._tokenizer = family, tokenizer

    def count_tokens(self, text: str) -> int:
        return len(self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> list[Conditioning]:
        """One conditioning per text: states [77, D]."""
        batch = self._tokenizer(
            list(texts), padding="max_length", max_length=_TEXT_LENGTH, truncation=True, return_tensors="pt"
        )
        ids = batch["input_ids"].to(next(self.model.parameters()).device)
        states: Tensor = self.model(ids, return_dict=True).last_hidden_state.float()
        return [Conditioning(s.clone(), self.family) for s in states]
