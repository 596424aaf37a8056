"""The socket types of the first-party packs: frozen dataclasses. A value carries one image, one latent, one prompt.

Two kinds: tensors with their meaning (`Latent`, `Conditioning`, `Schedule`, `DenoiseState` ...) and recipes
(`Denoiser`, `TextEncoder`, `Autoencoder`, `ControlNet` ...): models as data, hashable and JSON-able, never loaded networks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from typing import Annotated, Any, Literal, NamedTuple

from torch import Tensor

from nodegraph import SocketType, socket
from nodegraph_nodes.pictures import mask_artifact, png_artifact
from nodegraph_nodes.tensors import codec, describe, generation, storages, to_device, to_host


def _class_named(name: str) -> type:
    """A dataclass of this module. Raises LookupError for anything else: what is read may have been written by anybody."""
    found = globals().get(name) if isinstance(name, str) else None
    if not isinstance(found, type) or not is_dataclass(found) or found.__module__ != __name__:
        raise LookupError(f"There is no type {name!r} here.")
    return found


CODEC = codec(_class_named)
"""Writes and reads every type of this module, and values that hold one another (a guidance holds conditionings)."""

_TENSORS: dict[str, Any] = {
    "codec": CODEC,
    "storages": storages,
    "generation": generation,
    "describe": describe,
    "to_host": to_host,
    "to_device": to_device,
}

Image = Annotated[Tensor, SocketType("Image", "#4f9df7", "A picture.", artifact=png_artifact, **_TENSORS)]
"""[H, W, C] float32, 0..1, sRGB; C is 3, or 4 with straight (not premultiplied) alpha."""

Mask = Annotated[Tensor, SocketType("Mask", "#b0bec5", "Where a picture counts, 0..1.", artifact=mask_artifact, **_TENSORS)]
"""[H, W] float32, 0..1, never rounded."""

Prediction = Literal["epsilon", "v", "flow"]
"""What a network's output means: the noise, Salimans & Ho's v = alpha eps - sigma x0, or the flow velocity eps - x0."""

Told = Literal["prompt", "class", "none"]
"""What a denoiser is told of the picture: a prompt, a class's number, or nothing."""

Precision = Literal["auto", "float32", "bfloat16", "float16"]


@socket(color="#c58af9", **_TENSORS)
@dataclass(frozen=True, slots=True, eq=False)
class Latent:
    """A picture in a family's normalised diffusion space: what the denoiser sees, not the autoencoder's raw output.

    samples: [C, h, w] float32. mask: [h, w], 1 where the picture is to be repainted, or None.
    """

    samples: Tensor
    family: str
    mask: Tensor | None = None


@socket(color="#f2a65a", **_TENSORS)
@dataclass(frozen=True, slots=True, eq=False)
class Conditioning:
    """An encoded prompt, and where and when it counts. states: [L, D], one row per token; pooled: [P], the prompt as a whole.

    extra: what else a family's network is told, by name (SDXL's `time_ids` [6], a `class_label` []). weight: against the
    others. start..end: the share of the schedule during which it counts. mask: [H, W], 0..1, at any size: where it counts;
    attend: there by attention alone (the network runs once for all parts) rather than by combining estimates. others: further
    prompts that count beside this one, each with its own weight, time and place.
    """

    states: Tensor
    family: str
    pooled: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mask: Tensor | None = None
    attend: bool = False
    others: tuple["Conditioning", ...] = ()

    @property
    def parts(self) -> tuple["Conditioning", ...]:
        """This prompt and the others, in order."""
        return (self, *self.others)

    @property
    def kind(self) -> "Told":
        """What a model is told by it."""
        return "class" if "class_label" in self.extra else "prompt" if self.states.numel() else "none"


Fit = Literal["stretch", "contain", "cover"]
"""How a picture comes to another size: contain: as large as fits inside; cover: fills it and is cut at the centre."""

Balance = Literal["balanced", "prompt", "control"]
"""Whose word counts more, that of the prompt or that of the control picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Control:
    """A picture that steers a run through a network of its own. image: [H, W, 3]; mask: [H, W], where it counts.

    strength 0 is off. start..end: the share of the schedule during which it counts. fit: how the picture comes to the size of
    the one that is made. balance: "prompt" and "control" weaken the finer layers, "control" leaves the negative prompt alone.
    """

    network: "ControlNet"
    image: Tensor
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mask: Tensor | None = None
    fit: Fit = "cover"
    balance: Balance = "balanced"


@dataclass(frozen=True, slots=True, eq=False)
class ImagePrompt:
    """Pictures as a prompt (IP-Adapter), one or several that are read together.

    embeds: [N, T, D], what the image encoder says of N pictures, T rows of each; empty: [N, T, D], what it says of nothing, for
    the negative prompt. weight 0 is off. start..end: the share of the schedule during which it counts. mask: [H, W], where.
    """

    network: "ImageAdapter"
    embeds: Tensor
    empty: Tensor
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mask: Tensor | None = None


GuidanceMethod = Literal["classifier_free", "perpendicular", "orthogonal", "zero_star"]
"""How the difference between two prompts becomes a direction; `diffusion/combine.py` has the formulas and papers."""


@socket(color="#ffe066", **_TENSORS)
@dataclass(frozen=True, slots=True, eq=False)
class ImageEmbedding:
    """A picture as an image encoder sees it. pooled: [P], as a whole; states: [T, D], patch by patch (last layer but one).

    empty: [T, D], the states of a picture that shows nothing.
    """

    pooled: Tensor
    states: Tensor
    empty: Tensor


@socket(color="#e8c547", **_TENSORS)
@dataclass(frozen=True, slots=True, eq=False)
class Guidance:
    """How conditionings combine: classifier-free guidance (Ho & Salimans 2022) with a range and a rescale.

    scale 1, or no negative, means one network pass. Outside start..end (fractions of the schedule) only the positive is
    evaluated. curve: (share of the schedule, 0..1) points: how much of scale - 1 counts then; empty: all of it. rescale: 0..1,
    Lin et al. 2023, section 3.4. method: how the difference to the negative is taken; perpendicular also needs `empty`, the
    prompt that says nothing, and weighs the negative with negative_scale. threshold: the quantile to which dynamic
    thresholding (Saharia et al. 2022, section 2.3) limits the estimate; 0 is off. distilled: the scale that a network
    distilled from a guided one is told. controls, image_prompts: pictures that steer the run. concat: [C', h, w], the further
    input channels of an inpainting model: the mask, then the masked picture's latent.
    """

    positive: Conditioning
    negative: Conditioning | None
    scale: float
    rescale: float = 0.0
    start: float = 0.0
    end: float = 1.0
    method: GuidanceMethod = "classifier_free"
    threshold: float = 0.0
    distilled: float = 3.5
    controls: tuple[Control, ...] = ()
    image_prompts: tuple[ImagePrompt, ...] = ()
    concat: Tensor | None = None
    empty: Conditioning | None = None
    negative_scale: float = 1.0
    curve: tuple[tuple[float, float], ...] = ()


class Point(NamedTuple):
    """One noise level: x = alpha x0 + sigma noise; timestep is what the network is told."""

    alpha: float
    sigma: float
    timestep: float


@socket(color="#8d99ae", codec=CODEC, storages=storages, generation=generation, describe=describe)
@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """The N + 1 noise levels of an N-step run, from noisy to clean: alpha, sigma, timestep, each [N+1] float64.

    process: whose levels they are, for solvers that ask for an estimate between two of them.
    """

    name: str
    family: str
    alpha: Tensor
    sigma: Tensor
    timestep: Tensor
    process: "NoiseProcess | None" = None

    @property
    def steps(self) -> int:
        return self.alpha.shape[0] - 1

    def point(self, index: int) -> Point:
        return Point(self.alpha[index].item(), self.sigma[index].item(), self.timestep[index].item())


@dataclass(frozen=True, slots=True, eq=False)
class Repaint:
    """What a masked run keeps of the picture it began with: outside the mask, each step goes back to it.

    original, noise: [C, h, w] float32; mask: [h, w], 0..1. A place whose mask is m is repainted during the last m share of
    the schedule, and before that is the original with this noise.
    """

    original: Tensor
    mask: Tensor
    noise: Tensor


@socket(color="#f06595", durable=True, **_TENSORS)
@dataclass(frozen=True, slots=True, eq=False)
class DenoiseState:
    """A denoising run between two steps: with its schedule, all that the next step needs.

    x: [C, h, w] float32 at noise level `index`, the next step to do. denoised: [C, h, w], the x0 estimate the last step
    began with (None before the first). history: the solver's own tensors by name. repaint: in a run with a mask, what
    it keeps.
    """

    x: Tensor
    index: int
    seed: int
    family: str
    denoised: Tensor | None = None
    history: Mapping[str, Tensor] = field(default_factory=dict)
    repaint: Repaint | None = None


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
    square pictures only. largest_side: in pixels, of what it sees at once; 0: any.
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
