"""What training reads and gives: captioned pictures, networks that were trained, how a training went."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor

from nodegraph import Storage, socket
from nodegraph_nodes.tensors import describe, generation, storages

from .coding import CODEC
from .columns import columnar
from .recipes import NoiseProcess, Prediction, PreviewFactors, Told
from .values import Fit


@dataclass(frozen=True, slots=True)
class PictureSource:
    """Where pictures lie. path: a folder, a .zip, a .tar (webdataset) or a .parquet file; digest: of the names and sizes
    in it, and of checksums where it has them.
    """

    path: str
    digest: str
    kind: Literal["folder", "zip", "tar", "parquet"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture of a data set: where it lies and what is said of it; nothing of it is in memory.

    source: index into the data set's sources. file: its name there (in parquet: COLUMN/ROW). width, height: in pixels, as
    stored. captions: what may be said of it, one of them at a time. subject: what it shows, as a bare noun ("red apple"), where
    captions are to be built by augmentations; style: its style's name. label: its class's index in `Dataset.classes`.
    layout: the file in the same source that says what is where (a segmentation map). tags: further words that fit; aliases:
    other names of the subject; group: what it belongs to ("animals").
    """

    source: int
    file: str
    width: int
    height: int
    captions: tuple[str, ...] = ()
    subject: str = ""
    style: str = ""
    label: int | None = None
    layout: str = ""
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """One way to vary pictures as they are read. kind: its name in `training.data`; settings: its numbers and words.

    chance: the share of pictures to which it is applied.
    """

    kind: str
    chance: float = 1.0
    settings: tuple[tuple[str, float | int | str | tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """A picture that cannot be used, and why."""

    file: str
    why: str


def _entries_memory(data: "Dataset") -> Iterator[Storage]:
    """Data sets that differ in how they are varied share their entries."""
    yield Storage(("entries", id(data.entries)), 400 * len(data.entries))


@socket(color="#a1887f", codec=columnar("entries"), storages=_entries_memory)
@dataclass(frozen=True, slots=True)
class Dataset:
    """Captioned pictures on disk and how they are varied when they are read. No picture is in memory.

    buckets: sizes (width, height) in pixels that pictures are brought to, each to the one nearest its shape; empty: as stored.
    fit: how pictures come to a bucket's shape. classes: the classes' names, by label. regions: the names of what a layout may
    show, by number. repeats: how many variants of each picture an epoch has.
    """

    sources: tuple[PictureSource, ...]
    entries: tuple[Entry, ...]
    classes: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    augmentations: tuple[Augmentation, ...] = ()
    buckets: tuple[tuple[int, int], ...] = ()
    fit: Fit = "cover"
    skipped: tuple[Skipped, ...] = ()
    repeats: int = 1

    def __len__(self) -> int:
        """Pictures in an epoch."""
        return len(self.entries) * self.repeats

    def with_skipped(self, more: Iterable[Skipped]) -> "Dataset":
        """The same with further pictures listed that could not be used."""
        return replace(self, skipped=(*self.skipped, *more))


RateSchedule = Literal["constant", "linear", "cosine"]
"""How the learning rate falls after its warm-up: not at all, in a straight line, or along half a cosine."""

TrainingPrecision = Literal["auto", "float32", "bfloat16"]


@socket(color="#ffb74d", codec=CODEC)
@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """How long a training goes, in what steps, and what it keeps on the way.

    batch: pictures that a device sees at once; an optimiser's step has batch * accumulate * processes of them. warmup: steps in
    which the rate rises to learning_rate; final_rate: the share of it that is left at the end. clip: the largest norm of the
    gradients, 0: any. average: decay of the moving average of the weights, which is the result (0: the weights themselves).
    save_every, show_every: in steps. workers: processes that read pictures. processes: how many train together, each on a
    device of its own, started by torchrun. spread: whether each has a part of the network (FSDP) instead of a copy.
    """

    steps: int = 10_000
    batch: int = 16
    learning_rate: float = 1e-4
    warmup: int = 200
    schedule: RateSchedule = "cosine"
    final_rate: float = 0.02
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.99
    clip: float = 1.0
    average: float = 0.999
    accumulate: int = 1
    precision: TrainingPrecision = "auto"
    gradient_checkpointing: bool = False
    compiled: bool = False
    save_every: int = 500
    show_every: int = 500
    workers: int = 0
    processes: int = 1
    spread: bool = False
    seed: int = 0


_HELD: dict[str, Any] = {"codec": CODEC, "storages": storages, "generation": generation, "describe": describe, "durable": True}
"""What trained weights are declared with: they stay in the host's memory, and are written to disk whatever they cost."""


@dataclass(frozen=True, slots=True)
class History:
    """How a training went. Columns by name ("loss", "psnr" ...): (step, value) pairs, in order."""

    columns: Mapping[str, tuple[tuple[int, float], ...]]


@socket(color="#66bb6a", **_HELD)
@dataclass(frozen=True, slots=True, eq=False)
class TrainedAutoencoder:
    """An autoencoder that was trained here. config: diffusers' of an AutoencoderKL or a VQModel, as JSON; tensors: its weights.

    Normalised latents are (raw - shift) * scale. facts: figures and settings for its card, as JSON. preview: how latents look,
    roughly, without decoding.
    """

    config: str
    tensors: Mapping[str, Tensor]
    latent_channels: int
    downscale: int
    shift: float
    scale: float
    history: History
    facts: str = "{}"
    preview: PreviewFactors | None = None


@socket(color="#43a047", **_HELD)
@dataclass(frozen=True, slots=True, eq=False)
class TrainedDenoiser:
    """A denoiser that was trained here, of normalised latents of the autoencoder that it was trained with.

    config: diffusers' of a UNet2DConditionModel, as JSON; tensors: its weights, float32. It takes latent_channels, then
    concat_channels further ones (see `Guidance.concat`). conditioning "prompt": it reads a text encoder's states, and where
    class_embed_type is set, its class embedding gets the pooled prompt; the empty prompt stands for none. If there are regions
    and no further channels, it reads a layout's states instead (`families/layouts.py`). "class": no states (None), but
    class_labels, of which number len(classes) stands for none. "none": neither. native_size: (width, height) in pixels.
    regions: the names of what layouts show, by number. preview: latents to colours. facts: figures and settings for its card.
    """

    config: str
    tensors: Mapping[str, Tensor]
    prediction: Prediction
    process: NoiseProcess
    conditioning: Told
    latent_channels: int
    native_size: tuple[int, int]
    history: History
    preview: PreviewFactors
    concat_channels: int = 0
    classes: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    facts: str = "{}"


@socket(color="#66a86a", **_HELD)
@dataclass(frozen=True, slots=True, eq=False)
class TrainedLora:
    """Low-rank changes that were trained here, under the names that LoRA files use. family: of the model they are for."""

    tensors: Mapping[str, Tensor]
    family: str
    rank: int
    history: History
    facts: str = "{}"


@socket(color="#26a69a", **_HELD)
@dataclass(frozen=True, slots=True, eq=False)
class TrainedUpscaler:
    """An enlarging network that was trained here. tensors: its weights, as spandrel reads them; scale: by how much."""

    tensors: Mapping[str, Tensor]
    architecture: str
    scale: int
    history: History
    facts: str = "{}"
