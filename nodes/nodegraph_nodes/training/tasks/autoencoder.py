"""The first phase (Rombach et al. 2022, section 3.1): an autoencoder that keeps what eyes see and drops the rest.

Lowered are a pixel loss, a perceptual one, KL or VQ regularisation, and from some step on what a discriminator of patches says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from nodegraph import NodeError
from nodegraph_nodes.image.measure import structural_similarity
from nodegraph_nodes.training.data import BatchPlan, Example, Pick, Reader, held_out
from nodegraph_nodes.training.loop import Moment, Networks, Part, Run, Share, bare
from nodegraph_nodes.training.losses import (
    PatchDiscriminator,
    PerceptualDistance,
    adaptive_weight,
    gradient_distance,
    hinge_loss,
    pixel_distance,
)
from nodegraph_nodes.training.losses.pixels import PixelLoss
from nodegraph_nodes.types import Autoencoder, Dataset, PreviewFactors

from .autoencoder_networks import Passing, even_out, revive
from .latent_colours import fit_colours

AUTOENCODER, DISCRIMINATOR = "autoencoder", "discriminator"
_HELD_OUT, _SHOWN = 64, 8
_REVIVED_EVERY = 200  # steps
_COLLAPSED_AFTER = 500  # steps


@dataclass(frozen=True, slots=True)
class AutoencoderLosses:
    """What counts how much. adversarial_start: the step from which the discriminator takes part; 0 adversarial: never.

    adversarial: against the reconstruction's pull on the last layer (1: as strong).
    """

    pixels: PixelLoss = "both"
    perceptual: float = 0.5
    gradients: float = 0.5
    regular: float = 1e-3
    adversarial: float = 0.5
    adversarial_start: int = 5000


class AutoencoderTask:
    """Training an autoencoder on pictures. perceptual: the distance that is used, if any."""

    betas: Mapping[str, tuple[float, float]] = {DISCRIMINATOR: (0.5, 0.9)}
    averaged = (AUTOENCODER,)

    def __init__(
        self,
        network: Any,
        dataset: Dataset,
        validation: Dataset | None,
        losses: AutoencoderLosses,
        perceptual: PerceptualDistance | None,
        *,
        batch: int,
        seed: int,
        device: torch.device,
        share: Share | None = None,
    ) -> None:
        self._losses, self._device, self._share = losses, device, share or Share()
        self._perceptual = None if perceptual is None else perceptual.to(device)
        self._passing = Passing(network)
        self.networks: dict[str, nn.Module] = {AUTOENCODER: self._passing}
        if losses.adversarial:
            self.networks[DISCRIMINATOR] = PatchDiscriminator()
        if device.type != "mps":
            for name, module in self.networks.items():
                self.networks[name] = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._reader = Reader(dataset, seed=seed)
        self._plan = BatchPlan(dataset, batch, seed)
        kept = validation or dataset
        self._seen = [Reader(kept, seed=seed).read(pick) for pick in held_out(kept, _HELD_OUT, seed)]
        self._counts: Tensor | None = None
        self._last_latents: Tensor | None = None
        self._collapses = 0
        self._step = 0

    # ---- examples ----

    def picks(self, number: int) -> Sequence[Pick]:
        return self._plan[number]

    def read(self, pick: Pick) -> Example:
        return self._reader.read(pick)

    def collate(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        return {"pictures": as_pictures(examples)}

    # ---- a step ----

    def losses(self, run: Run, batch: Mapping[str, Tensor], moment: Moment) -> Iterator[Part]:
        weights, wanted = self._losses, batch["pictures"]
        noise = None if self._passing.is_vq else self._noise(wanted, moment.random)
        made, regular, used = run[AUTOENCODER](wanted, noise)
        if used is not None:
            self._count(used, wanted, moment)
        figures = {"regularisation": regular}
        distance = pixel_distance(made, wanted, weights.pixels)
        figures["pixels"] = distance
        if weights.gradients:
            distance = distance + weights.gradients * gradient_distance(made, wanted)
        if self._perceptual is not None:
            seen = self._perceptual(made, wanted)
            figures["perceptual"] = seen
            distance = distance + weights.perceptual * seen
        total = distance + weights.regular * regular if not self._passing.is_vq else distance + regular
        judged = weights.adversarial > 0 and moment.step >= weights.adversarial_start
        if judged:
            judge = bare(run[DISCRIMINATOR]).requires_grad_(False)
            fooling = -judge(made).float().mean()
            pull = adaptive_weight(distance, fooling, self._passing.last_layer)
            total = total + weights.adversarial * pull * fooling
        figures["loss"] = total
        yield Part(AUTOENCODER, total, figures)
        if judged:
            judge.requires_grad_(True)
            both = run[DISCRIMINATOR](torch.cat([wanted, made.detach()]))
            real, false = both.float().chunk(2)
            loss = hinge_loss(real, false)
            yield Part(DISCRIMINATOR, loss, {"discriminator": loss})

    def _noise(self, pictures: Tensor, random: torch.Generator) -> Tensor:
        config = self._passing.network.config
        scale = 2 ** (len(config.block_out_channels) - 1)
        shape = (len(pictures), config.latent_channels, pictures.shape[2] // scale, pictures.shape[3] // scale)
        return torch.randn(shape, generator=random, device=random.device)

    def _count(self, used: Tensor, pictures: Tensor, moment: Moment) -> None:
        """Remember which entries of the codebook were used; before a revival also where the latents lie."""
        entries = self._passing.network.config.num_vq_embeddings
        if self._counts is None:
            self._counts = torch.zeros(entries, device=used.device)
        self._counts += torch.bincount(used.reshape(-1), minlength=entries)
        if (moment.step + 1) % _REVIVED_EVERY == 0:
            with torch.no_grad():
                network = self._passing.network
                raw = network.quant_conv(network.encoder(pictures)) if hasattr(network, "quant_conv") else None
                self._last_latents = None if raw is None else raw.movedim(1, -1).flatten(0, -2).float()

    def after_step(self, moment: Moment) -> None:
        """Entries of the codebook that nothing used for a while, in any process, are put where the latents are."""
        self._step = moment.step + 1
        if self._counts is not None and self._last_latents is not None:
            codebook, counts = self._passing.network.quantize.embedding, self._share.sum(self._counts)
            revive(codebook, counts, self._last_latents, moment.random)
            self._share.from_first(codebook.weight.data)
            self._counts, self._last_latents = None, None

    # ---- looking ----

    def validate(self, networks: Networks) -> dict[str, float]:
        """PSNR in dB and SSIM of the held-out pictures; of a codebook, the share of its entries that they use."""
        passing: Any = networks[AUTOENCODER]
        squared, alike, used, count = 0.0, 0.0, set[int](), 0
        for first in range(0, len(self._seen), 16):
            wanted = as_pictures(self._seen[first : first + 16]).to(self._device)
            made, _, entries = passing(wanted, None)
            made = made.clamp(-1, 1)
            squared += (made - wanted).square().mean((1, 2, 3)).sum().item()
            alike += sum(structural_similarity(a, b) for a, b in zip(_planes(made), _planes(wanted), strict=True))
            used |= set() if entries is None else set(entries.reshape(-1).tolist())
            count += len(wanted)
        measured = {"psnr": 10 * math.log10(4 / max(squared / count, 1e-12)), "ssim": alike / count}
        if passing.is_vq:
            entries_known = passing.network.config.num_vq_embeddings
            measured["codebook"] = len(used) / entries_known
            self._guard(len(used), entries_known)
        return measured

    def _guard(self, used: int, entries: int) -> None:
        """A codebook of which one entry is used carries nothing; seen twice, the training is given up."""
        self._collapses = self._collapses + 1 if used < 2 and entries > 1 and self._step >= _COLLAPSED_AFTER else 0
        if self._collapses >= 2:
            raise NodeError(
                f"The codebook is dead: {used} of its {entries} entries is used, so every picture is the same to it.",
                socket="plan",
                hint="Use a lower learning_rate or a smaller codebook. The last checkpoint is kept.",
            )

    def picture(self, networks: Networks) -> Tensor | None:
        """Held-out pictures, and below each what becomes of it."""
        wanted = as_pictures(self._seen[:_SHOWN]).to(self._device)
        made = networks[AUTOENCODER](wanted, None)[0].clamp(-1, 1)
        rows = [torch.cat([(plane / 2 + 0.5).movedim(0, -1) for plane in row], 1) for row in (wanted, made)]
        return torch.cat(rows, 0).float().cpu()

    # ---- the end ----

    def even_out(self, networks: Networks) -> None:
        """Bring all channels of a KL autoencoder's latents to one scale; those of a codebook are what its entries say."""
        passing: Any = networks[AUTOENCODER]
        if not passing.is_vq and getattr(passing.network, "quant_conv", None) is not None:
            latents, _ = self._latents(passing)
            even_out(passing.network, *(each.to(self._device) for each in (latents.mean(0), latents.std(0).clamp_min(1e-6))))

    @torch.no_grad()
    def statistics(self, networks: Networks, given: Autoencoder | None = None) -> tuple[float, float, PreviewFactors]:
        """Of the held-out pictures' raw latents: mean and standard deviation, over all channels and places, and how they look.

        given: an autoencoder whose mean and standard deviation are kept.

        The preview is the linear map from normalised latents to the pictures' colours that fits best (least squares).
        """
        every, colours = self._latents(networks[AUTOENCODER])
        mean, std = every.mean().item(), every.std().clamp_min(1e-6).item()
        if given is not None:
            mean, std = given.shift, 1 / given.scale
        return mean, std, fit_colours((every - mean) / std, colours)

    @torch.no_grad()
    def _latents(self, passing: Any) -> tuple[Tensor, Tensor]:
        """The held-out pictures' raw latents [N, C], and the mean colour at each place [N, 3], 0..1."""
        latents, colours = [], []
        for first in range(0, len(self._seen), 16):
            pictures = as_pictures(self._seen[first : first + 16]).to(self._device)
            raw = passing.latents(pictures)
            latents.append(raw.movedim(1, -1).flatten(0, -2).cpu())
            small = adaptive_avg_pool2d(pictures, raw.shape[2:]) / 2 + 0.5
            colours.append(small.movedim(1, -1).flatten(0, -2).cpu())
        return torch.cat(latents), torch.cat(colours)


def as_pictures(examples: Sequence[Example]) -> Tensor:
    """Examples of one size as [B, 3, H, W] float32, -1..1, channels last in memory."""
    pixels = torch.stack([example.pixels for example in examples])
    return pixels.permute(0, 3, 1, 2).float().div(127.5).sub(1)


def _planes(pictures: Tensor) -> list[Tensor]:
    """[B, 3, H, W], -1..1 -> images [H, W, 3], 0..1."""
    return [(each / 2 + 0.5).movedim(0, -1).float().cpu() for each in pictures]
