"""Tiny random models for the shipped workflows whose models do not come along, so that they are run all the same.

`STAND_INS` says by the workflow's file name what it needs: a function that puts models into a folder, under the names that the
workflow asks for.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors.torch import save_file
from tiny_controls import tiny_controlnet
from tiny_models import save_single_file, tiny_sd1

import nodegraph

Builder = Callable[[Path], None]


def _controlnet(models: Path) -> None:
    pipeline = tiny_sd1()
    save_single_file(pipeline, models / "v1-5-pruned-emaonly.safetensors")
    network = tiny_controlnet(pipeline.unet)
    save_file(network.state_dict(), models / "control_v11p_sd15_canny_fp16.safetensors")
    network.save_config(models / "control_v11p_sd15_canny_fp16.config")


STAND_INS: Mapping[str, Builder] = {"controlnet": _controlnet}
"""Workflow -> what puts its models into a folder. A workflow that is not here runs with what comes along."""

SMALL: Mapping[str, int] = {"width": 64, "height": 64}
"""What a tiny model can draw: these inputs, where the workflow has them."""


def session_with(build: Builder, folder: Path) -> nodegraph.Session:
    """A session that finds the stand-ins in `folder`."""
    models = folder / "models"
    models.mkdir(parents=True)
    build(models)
    return nodegraph.Session(folder / "data", models=[models])
