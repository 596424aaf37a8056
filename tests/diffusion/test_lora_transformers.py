"""LoRA on Stable Diffusion 3 and FLUX.1: names of diffusers, and of the layout in which they were published."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from tiny_transformers import flux_to_original, save_original, sd3_to_original, tiny_flux, tiny_sd3
from torch import Tensor

from nodegraph_nodes.diffusion.families import describe_model, load_denoiser, load_text_encoder
from nodegraph_nodes.diffusion.families.lora import filled_modules
from nodegraph_nodes.diffusion.families.storage import is_stored
from nodegraph_nodes.types import Lora

PREFIX = "model.diffusion_model."
MAKERS: dict[str, Any] = {"flux": (tiny_flux, flux_to_original), "sd3": (tiny_sd3, sd3_to_original)}


@pytest.fixture(scope="module", params=MAKERS)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    MAKERS[request.param][0]().save_pretrained(folder / "model")
    return request.param, folder


def lora(path: Path, weight: float = 1.0) -> Lora:
    return Lora(path.name, str(path), str(path), weight)


def weights(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in module.state_dict().items() if tensor.is_floating_point()}


def apart(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    return max((a[name] - b[name]).abs().max().item() for name in a)


def test_weights_are_those_that_diffusers_fuses(family, tmp_path):
    name, folder = family
    pipeline = MAKERS[name][0]()
    layers = {}
    for seed, (part, targets) in enumerate(
        (
            ("transformer", ["to_q", "to_out.0", "add_k_proj", "ff.net.2", "proj_out", "norm1.linear"]),
            ("text_encoder", ["q_proj", "out_proj", "fc1"]),
        )
    ):
        module = getattr(pipeline, part)
        module.add_adapter(LoraConfig(r=2, lora_alpha=3, target_modules=targets))
        generator = torch.Generator().manual_seed(seed)
        for parameter_name, parameter in module.named_parameters():
            if "lora_" in parameter_name:
                parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
        layers[part] = get_peft_model_state_dict(module)
    tensors = {f"{part}.{k}": v.clone() for part, found in layers.items() for k, v in found.items()}
    save_file(tensors, tmp_path / "x.safetensors")
    plain = MAKERS[name][0]()
    plain.load_lora_weights(tmp_path, weight_name="x.safetensors")
    plain.fuse_lora(components=["transformer", "text_encoder"], lora_scale=0.7)
    recipes = describe_model(folder / "model", "digest")
    ours = load_denoiser(replace(recipes.denoiser, patches=(lora(tmp_path / "x.safetensors", 0.7),)), "cpu")
    told = load_text_encoder(replace(recipes.text_encoder, patches=(lora(tmp_path / "x.safetensors", 0.7),)), "cpu")
    for module, fused in ((ours.module, plain.transformer), (filled_modules(told)[0], plain.text_encoder)):
        mine, theirs = weights(module), weights(fused)
        theirs = {
            key.replace(".base_layer", "").removeprefix("text_model."): t for key, t in theirs.items() if "lora_" not in key
        }
        mine = {key.removeprefix("text_model."): t for key, t in mine.items()}
        common = mine.keys() & theirs.keys()
        assert len(common) >= len(mine) - 2
        assert apart({key: mine[key] for key in common}, theirs) < 1e-5
    assert apart(weights(ours.module), weights(load_denoiser(recipes.denoiser, "cpu").module)) > 0.01


@pytest.mark.parametrize("layout", ["kohya", "peft"])
def test_names_of_the_original_layout_reach_the_right_rows(family, tmp_path, layout):
    """Changing the original file's fused tensors and loading it must be the same as putting the LoRA on."""
    name, folder = family
    pipeline = MAKERS[name][0]()
    original = MAKERS[name][1](pipeline)
    generator = torch.Generator().manual_seed(5)
    tensors, changed = {}, dict(original)
    for key, tensor in original.items():
        inner = key.removeprefix(PREFIX)
        if not key.endswith(".weight") or tensor.ndim != 2 or ("blocks" not in inner and "final_layer" not in inner):
            continue
        down, up = (
            torch.randn(2, tensor.shape[1], generator=generator) * 0.2,
            torch.randn(len(tensor), 2, generator=generator) * 0.2,
        )
        stem = inner.removesuffix(".weight")
        if layout == "kohya":
            flat = "lora_unet_" + stem.replace(".", "_")
            tensors |= {f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up, f"{flat}.alpha": torch.tensor(1.0)}
            changed[key] = tensor + 0.5 * up @ down
        else:
            tensors |= {f"diffusion_model.{stem}.lora_A.weight": down, f"diffusion_model.{stem}.lora_B.weight": up}
            changed[key] = tensor + up @ down
    assert len(tensors) > 10
    save_file(tensors, tmp_path / "x.safetensors")
    path = save_original(pipeline, tmp_path / "changed.safetensors")
    stored = load_file(path)
    changed = {PREFIX + key: tensor.contiguous() for key, tensor in changed.items()}
    assert changed.keys() <= stored.keys()
    save_file(stored | changed, path)
    expected = load_denoiser(describe_model(path, "changed").denoiser, "cpu")
    recipe = describe_model(folder / "model", "digest").denoiser
    ours = load_denoiser(replace(recipe, patches=(lora(tmp_path / "x.safetensors"),)), "cpu")
    assert apart(weights(ours.module), weights(expected.module)) < 1e-5
    assert apart(weights(ours.module), weights(load_denoiser(recipe, "cpu").module)) > 0.01


def test_packed_files_stay_packed_where_their_tensors_are_cut(family, tmp_path):
    """A float8 file and a GGUF file in the original layout: q, k and v are rows of one tensor."""
    name, _ = family
    path = save_original(MAKERS[name][0](), tmp_path / "plain.safetensors")
    stored = load_file(path)
    cast = {
        key: tensor.to(torch.float8_e4m3fn) if key.startswith(PREFIX) and tensor.ndim == 2 else tensor
        for key, tensor in stored.items()
    }
    wide = {key: tensor.float() if tensor.dtype == torch.float8_e4m3fn else tensor for key, tensor in cast.items()}
    networks = []
    for kind, tensors in (("small", cast), ("wide", wide)):
        save_file(tensors, tmp_path / f"{kind}.safetensors")
        (tmp_path / f"{kind}.config").symlink_to(tmp_path / "plain.config")
        networks.append(load_denoiser(describe_model(tmp_path / f"{kind}.safetensors", kind).denoiser, "cpu"))
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", name)
    for key, tensor in stored.items():
        data = tensor.numpy()
        if key.startswith(PREFIX) and tensor.ndim == 2 and tensor.shape[1] % 32 == 0:
            writer.add_tensor(
                key, gguf.quantize(data, gguf.GGMLQuantizationType.Q8_0), raw_dtype=gguf.GGMLQuantizationType.Q8_0
            )
        else:
            writer.add_tensor(key, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (tmp_path / "x.config").symlink_to(tmp_path / "plain.config")
    blocks = load_denoiser(describe_model(tmp_path / "x.gguf", "x").denoiser, "cpu")
    plain = load_denoiser(describe_model(path, "plain").denoiser, "cpu")
    for packed, whole, limit in ((networks[0], networks[1], 0.0), (blocks, plain, 0.01)):
        layers = {key: layer for key, layer in packed.module.named_modules() if is_stored(layer)}
        assert any(key.endswith("attn.to_k") for key in layers)
        for key, layer in layers.items():
            expected = whole.module.get_submodule(key).weight
            assert (layer.weight - expected).norm() <= limit * expected.norm()
        assert packed.nbytes < 0.6 * whole.nbytes
