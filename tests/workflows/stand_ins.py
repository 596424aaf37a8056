"""Tiny random models for the shipped workflows whose models do not come along, so that they are run all the same.

`STAND_INS` says by the workflow's file name what it needs: a function that puts models into a folder, under the names that the
workflow asks for.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from tiny_controls import tiny_controlnet
from tiny_ldm import tiny_dit, tiny_unconditional
from tiny_models import save_single_file, tiny_sd1
from tiny_models.xl import tiny_refiner, tiny_sdxl
from tiny_transformers import save_original, tiny_flux, tiny_sd3
from torch import Tensor

import nodegraph
from nodegraph_nodes.diffusion.families.attention import cross_attentions

Builder = Callable[[Path], None]
SD1 = "v1-5-pruned-emaonly.safetensors"
TEXT, PICTURE = 32, 24  # widths of a tiny prompt, and of a picture as a whole
UPSCALED = 16  # features of the tiny enlarging network


def _controlnet(models: Path) -> None:
    pipeline = tiny_sd1()
    save_single_file(pipeline, models / SD1)
    network = tiny_controlnet(pipeline.unet)
    save_file(network.state_dict(), models / "control_v11p_sd15_canny_fp16.safetensors")
    network.save_config(models / "control_v11p_sd15_canny_fp16.config")


def _lora(models: Path) -> None:
    pipeline = tiny_sd1()
    save_single_file(pipeline, models / SD1)
    tensors = {}
    for name, weight in pipeline.unet.state_dict().items():
        if name.endswith(("attn2.to_q.weight", "attn2.to_v.weight")):
            stem = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
            tensors |= {
                f"{stem}.lora_down.weight": _random(2, weight.shape[1]),
                f"{stem}.lora_up.weight": _random(weight.shape[0], 2),
            }
    save_file(tensors, models / "add_detail.safetensors")


def _textual_inversion(models: Path) -> None:
    save_single_file(tiny_sd1(), models / SD1)
    save_file({"emb_params": _random(3, TEXT)}, models / "EasyNegative.safetensors")


def _ip_adapter(models: Path) -> None:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    pipeline = tiny_sd1()
    save_single_file(pipeline, models / SD1)
    shape = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**shape, projection_dim=PICTURE, image_size=32, patch_size=8))
    name = "CLIP-ViT-H-14-laion2B-s32B-b79K"
    save_file(encoder.state_dict(), models / f"{name}.safetensors")
    encoder.config.save_pretrained(models / f"{name}.config")
    tensors = {"proj.weight": _random(4 * TEXT, PICTURE), "proj.bias": _random(4 * TEXT)}
    tensors = {
        f"image_proj.{name}": tensor
        for name, tensor in (tensors | {"norm.weight": _random(TEXT), "norm.bias": _random(TEXT)}).items()
    }
    for i, layer in enumerate(cross_attentions(pipeline.unet)):
        for side in "kv":
            tensors[f"ip_adapter.{2 * i + 1}.to_{side}_ip.weight"] = _random(layer.inner_kv_dim, TEXT)
    save_file(tensors, models / "ip-adapter_sd15.safetensors")


def _sdxl_refiner(models: Path) -> None:
    save_single_file(tiny_sdxl(), models / "sd_xl_base_1.0.safetensors")
    save_single_file(tiny_refiner(), models / "sd_xl_refiner_1.0.safetensors")


def _inpaint_model(models: Path) -> None:
    save_single_file(tiny_sd1(channels=9), models / "sd-v1-5-inpainting.safetensors")


def _sd3(models: Path) -> None:
    save_original(tiny_sd3(), models / "sd3_medium_incl_clips.safetensors")


def _flux(models: Path) -> None:
    save_original(tiny_flux(), models / "flux1-dev.safetensors")


def _class_conditional(models: Path) -> None:
    pipeline = tiny_dit()
    pipeline.register_to_config(id2label={"7": "giant panda, panda"})
    pipeline.save_pretrained(models / "DiT-XL-2-256")


def _unconditional(models: Path) -> None:
    tiny_unconditional().save_pretrained(models / "ldm-celebahq-256")


def _upscale_model(models: Path) -> None:
    """ESRGAN with one block, by the names and shapes of its file."""
    shapes = {"conv_first": (UPSCALED, 3), "conv_last": (3, UPSCALED)}
    shapes |= dict.fromkeys(("conv_body", "conv_up1", "conv_up2", "conv_hr"), (UPSCALED, UPSCALED))
    for ring in range(1, 4):
        for i in range(1, 6):
            shapes[f"body.0.rdb{ring}.conv{i}"] = (UPSCALED if i == 5 else 32, UPSCALED + 32 * (i - 1))
    tensors = {f"{name}.weight": _random(*shape, 3, 3) for name, shape in shapes.items()}
    tensors |= {f"{name}.bias": _random(shape[0]) for name, shape in shapes.items()}
    save_file(tensors, models / "RealESRGAN_x4plus.safetensors")


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape))) / 4


STAND_INS: Mapping[str, Builder] = {
    "class_conditional": _class_conditional,
    "controlnet": _controlnet,
    "flux": _flux,
    "inpaint_model": _inpaint_model,
    "ip_adapter": _ip_adapter,
    "lora": _lora,
    "sd3": _sd3,
    "sdxl_refiner": _sdxl_refiner,
    "textual_inversion": _textual_inversion,
    "unconditional": _unconditional,
    "upscale_model": _upscale_model,
}
"""Workflow -> what puts its models into a folder. A workflow that is not here runs with what comes along."""

SMALL: Mapping[str, int] = {"width": 64, "height": 64}
"""What a tiny model can draw: these inputs, where the workflow has them."""


def session_with(build: Builder, folder: Path) -> nodegraph.Session:
    """A session that finds the stand-ins in `folder`."""
    models = folder / "models"
    models.mkdir(parents=True)
    build(models)
    return nodegraph.Session(folder / "data", models=[models])
