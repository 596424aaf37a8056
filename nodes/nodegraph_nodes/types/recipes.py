"""Recipes: models as data, hashable and JSON-able, never loaded networks."""

from dataclasses import dataclass
from typing import Literal

from nodegraph import socket

from .coding import CODEC

Prediction = Literal["epsilon", "v", "flow"]
"""What a network's output means: the noise, Salimans & Ho's v = alpha eps - sigma x0, or the flow velocity eps - x0."""

Told = Literal["prompt", "class", "none"]
"""What a denoiser is told of the picture: a prompt, a class's number, or nothing."""

Precision = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class ShiftBySize:
    """How a flow's shift grows with the picture (FLUX.1): mu is linear in the number of tokens, as diffusers configs say it.

    base_shift at base_tokens, max_shift at max_tokens; patch: latent positions along a token's side. The shift is exp(mu),
    or mu itself where kind is "linear".
    """

    base_shift: float = 0.5
    max_shift: float = 1.15
    base_tokens: int = 256
    max_tokens: int = 4096
    patch: int = 2
    kind: Literal["exponential", "linear"] = "exponential"


@dataclass(frozen=True, slots=True)
class NoiseProcess:
    """The parameters of a training noise process; `diffusion.schedules.make_process` gives them behaviour.

    The beta fields describe the variance-preserving kind, in diffusers' scheduler-config words; trained_betas, if
    given, replace the three before them. A rectified flow has train_steps (network timestep = train_steps * t), a shift that
    spends more of the steps at high noise (Esser et al. 2024, equation 23; 1 is none), and where the shift depends on the
    picture's size, shift_by_size; `shift` is then the one at the model's native size.
    """

    kind: Literal["variance_preserving", "rectified_flow"]
    train_steps: int = 1000
    beta_schedule: str = "scaled_linear"
    beta_start: float = 0.00085
    beta_end: float = 0.012
    trained_betas: tuple[float, ...] = ()
    zero_terminal_snr: bool = False
    shift: float = 1.0
    shift_by_size: ShiftBySize | None = None


@dataclass(frozen=True, slots=True)
class PreviewFactors:
    """A linear map from normalised latents to RGB in 0..1: latent @ factors + bias. factors: [C][3]; bias: [3]."""

    factors: tuple[tuple[float, float, float], ...]
    bias: tuple[float, float, float]


Wrap = Literal["none", "x", "y", "both"]
"""Along which axes a picture goes on at its other side."""

Storage = Literal["as_stored", "float8", "int8", "nf4"]
"""How weights lie in memory; computing is in the recipe's precision all the same."""


Compiled = Literal["off", "default", "reduce-overhead", "max-autotune"]
"""Whether torch compiles a network, and how much time it may take for that: torch.compile's own modes."""

Attention = Literal["auto", "flash", "efficient", "cudnn", "math"]
"""Which of torch's kernels computes attention; auto is its own choice."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """Work in overlapping windows that are blended. width, height, overlap: pixels."""

    width: int
    height: int
    overlap: int


@socket(color="#81c784", codec=CODEC)
@dataclass(frozen=True, slots=True)
class Lora:
    """Recipe of a low-rank change of weights (Hu et al. 2021).

    curve: (share of the schedule, factor) points that weigh it over the steps; empty for one weight throughout.
    """

    name: str
    path: str
    digest: str
    weight: float = 1.0
    curve: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Embedding:
    """Recipe of a learned word (textual inversion, Gal et al. 2022). name: how a prompt calls it."""

    name: str
    path: str
    digest: str


@socket(color="#51cf66", codec=CODEC)
@dataclass(frozen=True, slots=True)
class Denoiser:
    """Recipe of a denoising network.

    downscale: pixels per latent position. size_multiple: width and height in pixels must be multiples of it.
    native_size: (width, height) in pixels that the model was trained on. concat_channels: input channels beside the latent's
    own (an inpainting model has 5). conditioning: what it is told: a prompt, a class's number, or nothing. square: it makes
    square pictures only. largest_side: in pixels, of what it sees at once; 0: any. preview_decoder: what the picture in
    progress is decoded with, in place of `preview`.
    """

    family: str
    path: str
    digest: str
    prediction: Prediction
    process: NoiseProcess
    latent_channels: int
    downscale: int
    size_multiple: int
    native_size: tuple[int, int]
    preview: PreviewFactors
    precision: Precision = "auto"
    patches: tuple[Lora, ...] = ()
    concat_channels: int = 0
    conditioning: Told = "prompt"
    storage: Storage = "as_stored"
    wrap: Wrap = "none"
    tiles: Tiles | None = None
    compiled: Compiled = "off"
    attention: Attention = "auto"
    square: bool = False
    largest_side: int = 0
    preview_decoder: "Autoencoder | None" = None


@socket(color="#38d9a9", codec=CODEC)
@dataclass(frozen=True, slots=True)
class TextEncoder:
    """Recipe of a text encoder and its tokenizer. skip: how many of the last layers are left out ("clip skip" less one)."""

    family: str
    path: str
    digest: str
    precision: Precision = "auto"
    patches: tuple[Lora, ...] = ()
    embeddings: tuple[Embedding, ...] = ()
    skip: int = 0
    storage: Storage = "as_stored"


@socket(color="#94d82d", codec=CODEC)
@dataclass(frozen=True, slots=True)
class Autoencoder:
    """Recipe of an image autoencoder. Normalised latents are (raw - shift) * scale."""

    family: str
    path: str
    digest: str
    latent_channels: int
    downscale: int
    shift: float
    scale: float
    precision: Precision = "auto"
    wrap: Wrap = "none"
    tiles: Tiles | None = None


@socket(color="#ff922b", codec=CODEC)
@dataclass(frozen=True, slots=True)
class ControlNet:
    """Recipe of a network that steers a denoiser by a picture. family: of the denoisers that it fits.

    kind: a ControlNet (Zhang et al. 2023) or a T2I-Adapter (Mou et al. 2023).
    """

    family: str
    path: str
    digest: str
    kind: Literal["controlnet", "t2i_adapter"] = "controlnet"
    precision: Precision = "auto"


@socket(color="#ffd43b", codec=CODEC)
@dataclass(frozen=True, slots=True)
class ImageEncoder:
    """Recipe of CLIP's picture side, as IP-Adapters read it."""

    path: str
    digest: str
    precision: Precision = "auto"


@socket(color="#fab005", codec=CODEC)
@dataclass(frozen=True, slots=True)
class ImageAdapter:
    """Recipe of an IP-Adapter (Ye et al. 2023). family: of the denoisers that it fits, empty if its widths tell none.

    fine: it reads the picture's patches. text_width: of the prompts that its denoiser reads; image_width: of what it reads.
    """

    family: str
    path: str
    digest: str
    fine: bool = False
    precision: Precision = "auto"
    text_width: int = 0
    image_width: int = 0


@socket(color="#20c997", codec=CODEC)
@dataclass(frozen=True, slots=True)
class Upscaler:
    """Recipe of a network that enlarges pictures. scale: by how much."""

    path: str
    digest: str
    architecture: str
    scale: int
    precision: Precision = "auto"
