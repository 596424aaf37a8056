"""What a model with a conditional U-Net says about itself: its configs, wherever they lie, and what its file adds to them.

A folder has its own. A single file says little of its architecture: its configs are the shipped ones, unless a folder named
`<file stem>.config` lies beside it: any config found there (same layout) replaces the shipped one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nodegraph_nodes.types import NoiseProcess, Prediction

from . import ldm_names
from .errors import BrokenModel
from .source import ModelSource, TensorInfo, read_header, read_json, read_metadata

_PREDICTIONS: dict[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v"}
_SPOKEN = {"v": "v_prediction", "v_prediction": "v_prediction", "epsilon": "epsilon"}
_SCHEDULER = "scheduler/scheduler_config.json"


@dataclass(frozen=True, slots=True)
class Configs:
    """The configs of a model. text_encoders: by the folder of each; index: model_index.json; own: which the model brought."""

    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    index: Mapping[str, Any]
    text_encoders: Mapping[str, Mapping[str, Any]]
    own: frozenset[str] = frozenset()

    @property
    def prediction_is_said(self) -> bool:
        """Whether the model's own scheduler config, or a mark in its file, tells what it predicts."""
        return _SCHEDULER in self.own


def read_configs(source: ModelSource, shipped: Path, text_encoders: Sequence[str]) -> Configs:
    """Configs of a folder or a single file. text_encoders: their folders. Raises BrokenModel where a folder lacks one."""
    own: set[str] = set()

    def read(name: str) -> dict[str, Any]:
        if source.is_folder:
            return source.json(name)
        beside = source.path.with_suffix(".config") / name
        if beside.is_file():
            own.add(name)
            return read_json(beside)
        return read_json(shipped / name)

    found = Configs(
        unet=read("unet/config.json"),
        vae=read("vae/config.json"),
        scheduler=read(_SCHEDULER),
        index=read("model_index.json"),
        text_encoders={folder: read(f"{folder}/config.json") for folder in text_encoders},
        own=frozenset(own),
    )
    return found if source.is_folder else _with_marks(found, source.path)


def _with_marks(configs: Configs, path: Path) -> Configs:
    """What a single file says: by its first layer, how many channels its U-Net takes; what it predicts by marks among its
    tensors (`v_pred`, `ztsnr`), or in the words of the Stability AI model metadata standard."""
    header = read_header(path)
    first = header.get(f"{ldm_names.UNET}input_blocks.0.0.weight")
    if first is not None and len(first.shape) == 4:
        configs = replace(configs, unet={**configs.unet, "in_channels": first.shape[1]})
    if configs.prediction_is_said:
        return configs
    said = _SPOKEN.get(read_metadata(path).get("modelspec.prediction_type", "").lower())
    if _marked(header, "v_pred"):
        said = "v_prediction"
    if said is None:
        return configs
    marks = {"prediction_type": said, "rescale_betas_zero_snr": _marked(header, "ztsnr")}
    return replace(configs, scheduler={**configs.scheduler, **marks}, own=configs.own | {_SCHEDULER})


def _marked(header: Mapping[str, TensorInfo], mark: str) -> bool:
    return mark in header or ldm_names.UNET + mark in header


def prediction_of(path: str, scheduler: Mapping[str, Any]) -> Prediction:
    """Raises BrokenModel for a prediction that no sampler here knows."""
    name = scheduler.get("prediction_type", "epsilon")
    if name not in _PREDICTIONS:
        raise BrokenModel(path, f"its scheduler config has prediction_type {name!r}; known are epsilon and v_prediction.")
    return _PREDICTIONS[name]


def noise_process(scheduler: Mapping[str, Any]) -> NoiseProcess:
    """A diffusers scheduler config -> the training noise process; what it does not say is as in Stable Diffusion."""
    return NoiseProcess(
        "variance_preserving",
        train_steps=int(scheduler.get("num_train_timesteps", 1000)),
        beta_schedule=str(scheduler.get("beta_schedule", "scaled_linear")),
        beta_start=float(scheduler.get("beta_start", 0.00085)),
        beta_end=float(scheduler.get("beta_end", 0.012)),
        trained_betas=tuple(map(float, scheduler.get("trained_betas") or ())),
        zero_terminal_snr=bool(scheduler.get("rescale_betas_zero_snr", False)),
    )
