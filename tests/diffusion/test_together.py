"""Features that were built apart, together: regions, controls, image prompts, LoRAs with curves, inpainting, tiles, masks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from test_image_prompts import PICTURE, TEXT, random_adapter
from tiny_controls import tiny_adapter, tiny_controlnet
from tiny_models import tiny_sd1
from torch import Tensor

from nodegraph_nodes.diffusion.families import adapt, base_of, describe_control, describe_model, load_control, load_denoiser
from nodegraph_nodes.diffusion.families import load_text_encoder
from nodegraph_nodes.diffusion.families.ip_adapter import describe_image_adapter, load_image_adapter
from nodegraph_nodes.diffusion.predict import Evaluation
from nodegraph_nodes.diffusion.tiling import estimates
from nodegraph_nodes.types import (
    Conditioning,
    Control,
    ControlNet,
    Denoiser,
    Guidance,
    ImageAdapter,
    ImagePrompt,
    Lora,
    Point,
    Tiles,
)

PROMPTS = ("a red apple", "blurry", "", "a blue cat", "snow")
CURVE = ((0.0, 2.0), (1.0, 0.0))


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def half(side: str, size: int = 64) -> Tensor:
    mask = torch.zeros(size, size)
    mask[:, slice(0, size // 2) if side == "left" else slice(size // 2, size)] = 1
    return mask


def write_lora(path: Path, unet: Any, seed: int) -> Path:
    """A LoRA on all attentions, some convolutions and the way in of the time, in kohya's names."""
    generator, tensors = torch.Generator().manual_seed(seed), {}
    for name, layer in unet.named_modules():
        if not name.endswith(("to_q", "to_k", "to_v", "conv1", "linear_1", "time_emb_proj", "proj_in")):
            continue
        shape = layer.weight.shape
        stem = "lora_unet_" + name.replace(".", "_")
        tensors[f"{stem}.lora_down.weight"] = torch.randn((2, *shape[1:]), generator=generator) * 0.2
        tensors[f"{stem}.lora_up.weight"] = torch.randn((shape[0], 2, *[1] * (len(shape) - 2)), generator=generator) * 0.2
    save_file(tensors, path)
    return path


class Stage:
    """A tiny model with and without inpainting channels, and everything that steers it."""

    def __init__(self, root: Path) -> None:
        pipeline = tiny_sd1()
        pipeline.save_pretrained(root / "model")
        tiny_sd1(channels=9).save_pretrained(root / "inpaint")
        tiny_controlnet(pipeline.unet).save_pretrained(root / "control")
        tiny_adapter().save_pretrained(root / "t2i")
        for seed, name in enumerate(("ip", "ip_2")):
            save_file(random_adapter(pipeline.unet, "plain", seed), root / f"{name}.safetensors")
        recipes = describe_model(root / "model", "digest", "float32")
        self.recipe = recipes.denoiser
        self.inpaint = describe_model(root / "inpaint", "inpaint", "float32").denoiser
        self.prompts = load_text_encoder(recipes.text_encoder, "cpu").encode(PROMPTS)
        self.control = describe_control(root / "control", "control")
        self.t2i = describe_control(root / "t2i", "t2i")
        self.ip = [describe_image_adapter(root / f"{name}.safetensors", name, "float32") for name in ("ip", "ip_2")]
        self.loras = [
            Lora(name, str(write_lora(root / f"{name}.safetensors", pipeline.unet, seed)), name)
            for seed, name in enumerate(("first", "second"))
        ]
        self._networks: dict[Any, tuple[Any, Any]] = {}

    def resident(self, recipe: Any) -> Any:
        """As the engine does it: one network for all recipes of a base, adapted when another of them is asked for."""
        if isinstance(recipe, Denoiser):
            base = base_of(recipe)
            network, now = self._networks.get(base) or (load_denoiser(base, "cpu"), base)
            if now != recipe:
                adapt(network, recipe)
            self._networks[base] = (network, recipe)
            return network
        if recipe not in self._networks:
            if isinstance(recipe, ControlNet):
                self._networks[recipe] = (load_control(recipe, "cpu"), recipe)
            else:
                self._networks[recipe] = (load_image_adapter(recipe, "cpu", torch.float32), recipe)
        return self._networks[recipe][0]

    def guidances(self, channels: int = 4, size: int = 64) -> dict[str, Guidance]:
        """Each kind of steering alone, and all together."""
        apple, blurry, nothing, cat, snow = self.prompts
        attending = replace(
            apple, mask=half("left"), attend=True, others=(replace(cat, mask=half("right"), attend=True, weight=2.0),)
        )
        mixed = replace(attending, others=(*attending.others, replace(snow, weight=0.3)))
        combined = replace(apple, others=(replace(cat, weight=0.7), replace(snow, weight=-0.5, start=0.2)))
        picture = noise(5, size, size, 3).sigmoid()
        control = Control(self.control, picture, 0.8, mask=half("left"))
        other = Control(self.t2i, picture.flip(0), 0.5, start=0.3, balance="control")
        shown = ImagePrompt(self.ip[0], noise(6, 1, 1, PICTURE), torch.zeros(1, 1, PICTURE), mask=half("right"))
        also = ImagePrompt(self.ip[1], noise(7, 2, 1, PICTURE), torch.zeros(2, 1, PICTURE), weight=0.6, end=0.5)
        concat = None if channels == 4 else noise(8, channels - 4, size // 8, size // 8)
        found = {
            "plain": Guidance(apple, blurry, 5.0),
            "alone": Guidance(apple, None, 1.0),
            "regions": Guidance(mixed, blurry, 5.0),
            "attending": Guidance(attending, blurry, 4.0),
            "combined": Guidance(combined, blurry, 4.0),
            "controls": Guidance(cat, blurry, 5.0, controls=(control, other)),
            "pictures": Guidance(cat, blurry, 5.0, image_prompts=(shown, also)),
            "perpendicular": Guidance(cat, blurry, 5.0, method="perpendicular", empty=nothing),
            "orthogonal": Guidance(cat, blurry, 5.0, method="orthogonal", threshold=0.95, rescale=0.5, curve=((0, 1.0), (1, 0.1))),
            "all": Guidance(
                mixed,
                replace(blurry, mask=half("left"), attend=True, others=(replace(nothing, attend=True),)),
                5.0,
                method="perpendicular",
                empty=nothing,
                controls=(control, other),
                image_prompts=(shown, also),
            ),
        }
        return {name: replace(guidance, concat=concat) for name, guidance in found.items()}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("together"))


def evaluations(guidances: Sequence[Guidance], size: int = 8) -> list[Evaluation]:
    """A different place in its run for each."""
    levels = [Point(a := 0.4 + 0.05 * i, (1 - a**2) ** 0.5, 900.0 - 80 * i) for i in range(len(guidances))]
    return [
        Evaluation(noise(i, 4, size, size), level, guidance, i / len(guidances))
        for i, (guidance, level) in enumerate(zip(guidances, levels, strict=True))
    ]


def together_and_alone(stage: Stage, recipe: Denoiser, wanted: Sequence[Evaluation]) -> tuple[list[Tensor], list[Tensor]]:
    network = stage.resident(recipe)
    together = estimates(network, recipe, wanted, stage.resident)
    return together, [estimates(network, recipe, [each], stage.resident)[0] for each in wanted]


@pytest.mark.parametrize("tiles", [None, Tiles(64, 64, 16)])
@pytest.mark.parametrize("lora", ["none", "merged", "curve"])
@pytest.mark.parametrize("channels", [4, 9])
def test_a_mixed_batch_gives_each_run_what_it_gets_alone(stage: Stage, channels: int, lora: str, tiles: Tiles | None) -> None:
    recipe = stage.recipe if channels == 4 else stage.inpaint
    if lora != "none":
        recipe = replace(recipe, patches=(replace(stage.loras[0], curve=CURVE if lora == "curve" else ()),))
    size = 8 if tiles is None else 12
    wanted = evaluations(list(stage.guidances(channels, 8 * size).values()), size)
    together, alone = together_and_alone(stage, replace(recipe, tiles=tiles), wanted)
    for name, one, other in zip(stage.guidances(), together, alone, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}")
