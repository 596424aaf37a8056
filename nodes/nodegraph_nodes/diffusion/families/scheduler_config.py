"""What a diffusers scheduler config says of the noise that a model was trained with; what it leaves out is as in diffusers."""

from typing import Any

from nodegraph_nodes.types import NoiseProcess, Prediction

from .errors import BrokenModel

_PREDICTIONS: dict[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v"}


def prediction_of(scheduler: dict[str, Any], path: str) -> Prediction:
    """What the network's output means. Raises BrokenModel."""
    name = scheduler.get("prediction_type", "epsilon")
    if name not in _PREDICTIONS:
        raise BrokenModel(path, f"its scheduler config has prediction_type {name!r}; known are epsilon and v_prediction.")
    return _PREDICTIONS[name]


def process_of(scheduler: dict[str, Any]) -> NoiseProcess:
    """The training noise process of a variance-preserving model."""
    return NoiseProcess(
        "variance_preserving",
        train_steps=int(scheduler.get("num_train_timesteps", 1000)),
        beta_schedule=str(scheduler.get("beta_schedule", "linear")),
        beta_start=float(scheduler.get("beta_start", 0.0001)),
        beta_end=float(scheduler.get("beta_end", 0.02)),
        trained_betas=tuple(map(float, scheduler.get("trained_betas") or ())),
        zero_terminal_snr=bool(scheduler.get("rescale_betas_zero_snr", False)),
    )
