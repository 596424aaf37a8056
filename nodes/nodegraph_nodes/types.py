"""The socket types of the first-party packs: frozen dataclasses. A value carries one image, one latent, one prompt.

Two kinds: tensors with their meaning (`Latent`, `Conditioning`, `Schedule`, `DenoiseState` ...) and recipes
(`Denoiser`, `TextEncoder`, `Autoencoder`): models as data, hashable and JSON-able, never loaded networks.
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
    """An encoded prompt. states: [L, D], one row per token; pooled: [D], the prompt as a whole, if a family has it."""

    states: Tensor
    family: str
    pooled: Tensor | None = None


@socket(color="#e8c547", **_TENSORS)
@dataclass(frozen=True, slots=True, eq=False)
class Guidance:
    """How conditionings combine: classifier-free guidance (Ho & Salimans 2022) with a range and a rescale.

    scale 1, or no negative, means one network pass. Outside start..end (fractions of the schedule) only the positive is
    evaluated. rescale: 0..1, Lin et al. 2023, section 3.4.
    """

    positive: Conditioning
    negative: Conditioning | None
    scale: float
    rescale: float = 0.0
    start: float = 0.0
    end: float = 1.0


class Point(NamedTuple):
    """One noise level: x = alpha x0 + sigma noise; timestep is what the network is told."""

    alpha: float
    sigma: float
    timestep: float


@socket(color="#8d99ae", codec=CODEC, storages=storages, generation=generation, describe=describe)
@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """The N + 1 noise levels of an N-step run, from noisy to clean: alpha, sigma, timestep, each [N+1] float64."""

    name: str
    family: str
    alpha: Tensor
    sigma: Tensor
    timestep: Tensor

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
class NoiseProcess:
    """The parameters of a training noise process; `diffusion.schedules.make_process` gives them behaviour.

    The beta fields describe the variance-preserving kind, in diffusers' scheduler-config words; trained_betas, if
    given, replace the three before them. A rectified flow has only train_steps (network timestep = train_steps * t).
    """

    kind: Literal["variance_preserving", "rectified_flow"]
    train_steps: int = 1000
    beta_schedule: str = "scaled_linear"
    beta_start: float = 0.00085
    beta_end: float = 0.012
    trained_betas: tuple[float, ...] = ()
    zero_terminal_snr: bool = False


@dataclass(frozen=True, slots=True)
class PreviewFactors:
    """A linear map from normalised latents to RGB in 0..1: latent @ factors + bias. factors: [C][3]; bias: [3]."""

    factors: tuple[tuple[float, float, float], ...]
    bias: tuple[float, float, float]


@socket(color="#51cf66", codec=CODEC)
@dataclass(frozen=True, slots=True)
class Denoiser:
    """Recipe of a denoising network.

    downscale: pixels per latent position. size_multiple: width and height in pixels must be multiples of it.
    native_size: (width, height) in pixels that the model was trained on.
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
    patches: tuple[str, ...] = ()


@socket(color="#38d9a9", codec=CODEC)
@dataclass(frozen=True, slots=True)
class TextEncoder:
    """Recipe of a text encoder and its tokenizer."""

    family: str
    path: str
    digest: str
    precision: Precision = "auto"
    patches: tuple[str, ...] = ()


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
    patches: tuple[str, ...] = ()
