"""Values: tensors with their meaning. One image, one latent, one prompt each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

from torch import Tensor

from nodegraph import SocketType, socket
from nodegraph_nodes.pictures import mask_artifact, png_artifact
from nodegraph_nodes.tensors import describe, generation, storages

from .coding import CODEC, TENSORS
from .recipes import ControlNet, ImageAdapter, NoiseProcess, Told

Image = Annotated[Tensor, SocketType("Image", "#4f9df7", "A picture.", artifact=png_artifact, **TENSORS)]
"""[H, W, C] float32, 0..1, sRGB; C is 3, or 4 with straight (not premultiplied) alpha."""

Mask = Annotated[Tensor, SocketType("Mask", "#b0bec5", "Where a picture counts, 0..1.", artifact=mask_artifact, **TENSORS)]
"""[H, W] float32, 0..1, never rounded."""


@socket(color="#c58af9", **TENSORS)
@dataclass(frozen=True, slots=True, eq=False)
class Latent:
    """A picture in a family's normalised diffusion space: what the denoiser sees, not the autoencoder's raw output.

    samples: [C, h, w] float32. mask: [h, w], 1 where the picture is to be repainted, or None.
    """

    samples: Tensor
    family: str
    mask: Tensor | None = None


@socket(color="#f2a65a", **TENSORS)
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
    def kind(self) -> Told:
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

    network: ControlNet
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

    network: ImageAdapter
    embeds: Tensor
    empty: Tensor
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mask: Tensor | None = None


GuidanceMethod = Literal["classifier_free", "perpendicular", "orthogonal", "zero_star"]
"""How the difference between two prompts becomes a direction; `diffusion/combine.py` has the formulas and papers."""


@socket(color="#ffe066", **TENSORS)
@dataclass(frozen=True, slots=True, eq=False)
class ImageEmbedding:
    """A picture as an image encoder sees it. pooled: [P], as a whole; states: [T, D], patch by patch (last layer but one).

    empty: [T, D], the states of a picture that shows nothing.
    """

    pooled: Tensor
    states: Tensor
    empty: Tensor


@socket(color="#e8c547", **TENSORS)
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
    process: NoiseProcess | None = None

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


@socket(color="#f06595", durable=True, **TENSORS)
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
