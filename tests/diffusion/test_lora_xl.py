"""LoRA on SDXL: two text encoders, and the U-Net's layers under both of their names."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from tiny_models.xl import tiny_sdxl
from torch import Tensor

from nodegraph_nodes.diffusion.families import describe_model, ldm_names, load_denoiser, load_text_encoder
from nodegraph_nodes.diffusion.families.lora.targets import filled_modules
from nodegraph_nodes.types import Lora

PARTS = {
    "unet": ["to_q", "to_out.0", "ff.net.2", "proj_in", "conv1", "conv_in", "linear_1"],
    "text_encoder": ["q_proj", "out_proj", "fc1"],
    "text_encoder_2": ["k_proj", "fc2"],
}
KOHYA = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}


def lora(path: Path, weight: float) -> Lora:
    return Lora(path.name, str(path), str(path), weight)


def weights(module: torch.nn.Module) -> dict[str, Tensor]:
    return {
        n.replace(".base_layer", "").removeprefix("text_model."): t for n, t in module.state_dict().items() if "lora_" not in n
    }


@pytest.mark.parametrize("layout", ["diffusers", "kohya", "kohya_ldm"])
def test_weights_are_those_that_diffusers_fuses(tmp_path, layout):
    pipeline: Any = tiny_sdxl()
    pipeline.save_pretrained(tmp_path / "model")
    ours, tensors = {}, {}
    for seed, (part, targets) in enumerate(PARTS.items()):
        module = getattr(pipeline, part)
        module.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=targets))
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in module.named_parameters():
            if "lora_" in name:
                parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
        for name, tensor in get_peft_model_state_dict(module).items():
            tensors[f"{part}.{name}"] = tensor.clone()
            stem, which = name.split(".lora_")
            if layout == "kohya_ldm" and part == "unet":
                stem = (
                    ldm_names.unet_name(f"{stem}.weight", pipeline.unet.config)
                    .removeprefix(ldm_names.UNET)
                    .removesuffix(".weight")
                )
            stem = stem if part == "unet" else "text_model." + stem.removeprefix("text_model.")
            ours[f"{KOHYA[part]}{stem.replace('.', '_')}.lora_{'down' if which[0] == 'A' else 'up'}.weight"] = tensor.clone()
    save_file(tensors, tmp_path / "diffusers.safetensors")
    path = tmp_path / "diffusers.safetensors"
    if layout != "diffusers":
        path = tmp_path / "kohya.safetensors"
        save_file(ours, path)
    fused = tiny_sdxl()
    fused.load_lora_weights(tmp_path, weight_name="diffusers.safetensors")
    fused.fuse_lora(lora_scale=0.7)
    recipes = describe_model(tmp_path / "model", "digest")
    denoiser = load_denoiser(replace(recipes.denoiser, patches=(lora(path, 0.7),)), "cpu")
    encoder = load_text_encoder(replace(recipes.text_encoder, patches=(lora(path, 0.7),)), "cpu")
    towers = filled_modules(encoder)
    plain = tiny_sdxl()
    for mine, theirs, before in (
        (denoiser.module, fused.unet, plain.unet),
        (towers[0], fused.text_encoder, plain.text_encoder),
        (towers[1], fused.text_encoder_2, plain.text_encoder_2),
    ):
        a, b, c = weights(mine), weights(theirs), weights(before)
        common = a.keys() & b.keys()
        assert len(common) >= len(a) - 2
        assert max((a[name] - b[name]).abs().max() for name in common) < 1e-5
        assert max((a[name] - c[name]).abs().max() for name in common) > 0.01
