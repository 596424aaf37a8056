"""Weights that lie packed in memory: each way against formulas written out, torch's casts and the gguf package."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import pipeline_to_ldm, save_single_file, tiny_sd1
from torch import Tensor

from nodegraph import ModelFile, NodeError
from nodegraph.sdk.gguf import read_gguf_header
from nodegraph_nodes.diffusion import denoiser_from_file
from nodegraph_nodes.diffusion.families import ModelError, adapt, describe_model, load_denoiser, load_text_encoder
from nodegraph_nodes.diffusion.families.loaded import Hints, Prompts, module_bytes
from nodegraph_nodes.diffusion.families.source import read_tensors
from nodegraph_nodes.diffusion.families.storage import Packed, dense, is_stored, pack, read_gguf_tensors
from nodegraph_nodes.types import Denoiser, Lora

STARTER = Path(__file__).parents[2] / "models/starter"
KINDS = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("storage")
    pipeline = tiny_sd1()
    pipeline.save_pretrained(folder / "model")
    save_single_file(pipeline, folder / "single.safetensors")
    return folder


def output(network: Any, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 4, 8, 8, generator=generator)
    prompts = Prompts(torch.randn(2, 77, 32, generator=generator))
    result: Tensor = network.predict(x, (500.0, 20.0), prompts, Hints((0.0, 0.5), (1.0, 1.0)))
    return result


def error(found: Tensor, expected: Tensor) -> float:
    """Relative, root mean square."""
    return ((found - expected).norm() / expected.norm()).item()


# ---- formulas ----


def test_int8_rounds_each_row_by_its_own_largest_weight():
    weight = torch.tensor([[1.0, -127.0, 0.4], [0.01, 0.02, -1.27]])
    packed = pack(weight, "int8")
    assert packed is not None
    assert packed.parts[0].tolist() == [[1, -127, 0], [1, 2, -127]]
    assert torch.allclose(dense(packed), torch.tensor([[1.0, -127.0, 0.0], [0.01, 0.02, -1.27]]))


def test_float8_is_torchs_cast_of_what_fills_its_range():
    weight = torch.randn(8, 16, generator=torch.Generator().manual_seed(0)) * 0.003
    scale = weight.abs().amax(1, keepdim=True) / 448
    assert torch.equal(dense(pack(weight, "float8")), (weight / scale).to(torch.float8_e4m3fn).float() * scale)
    assert error(dense(pack(weight, "float8")), weight) < 0.5 * error(weight.to(torch.float8_e4m3fn).float(), weight)


def test_nf4_takes_the_nearest_of_the_papers_sixteen_levels():
    levels = [-1.0, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0.0]
    levels += [0.07958030, 0.16093020, 0.24611230, 0.33791524, 0.44070983, 0.56261700, 0.72295684, 1.0]
    weight = torch.randn(5, 30, generator=torch.Generator().manual_seed(0))  # 150 weights: the last block is not full
    found = dense(pack(weight, "nf4")).flatten().tolist()
    flat = weight.flatten().tolist()
    for start in range(0, 150, 64):
        block = flat[start : start + 64]
        largest = max(map(abs, block))
        for value, ours in zip(block, found[start : start + 64], strict=True):
            assert ours == pytest.approx(min((abs(value - largest * q), largest * q) for q in levels)[1], abs=1e-6)


def test_nf4_levels_are_quantiles_of_the_normal_distribution():
    """QLoRA's appendix E: an asymmetric set, 8 levels below 0 and 9 from it on, each the mean of neighbouring quantiles."""
    from nodegraph_nodes.diffusion.families.storage.codings import NF4_LEVELS

    normal = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64))
    offset = 0.9677083
    above = normal.icdf(torch.linspace(offset, 0.5, 9, dtype=torch.float64)[:-1])
    below = -normal.icdf(torch.linspace(offset, 0.5, 8, dtype=torch.float64)[:-1])
    levels = torch.cat((below, torch.zeros(1, dtype=torch.float64), above)).sort().values
    assert torch.allclose(levels / levels.max(), torch.tensor(NF4_LEVELS, dtype=torch.float64), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_ggufs_blocks_are_what_the_gguf_package_makes_of_them(tmp_path, kind):
    quantisation = gguf.GGMLQuantizationType[kind]
    weights, nbytes = gguf.GGML_QUANT_SIZES[quantisation]
    data = np.random.default_rng(0).integers(0, 256, (6, 2 * nbytes), dtype=np.uint8)
    for block in range(12):  # finite scales
        whole = data.reshape(12, nbytes)[block]
        whole[: 4 if kind in ("Q4_1", "Q5_1", "Q4_K", "Q5_K") else 2] = np.frombuffer(
            np.float16([0.03, 0.5]).tobytes(), np.uint8
        )[: 4 if kind in ("Q4_1", "Q5_1", "Q4_K", "Q5_K") else 2]
        for start in {"Q6_K": (208,), "Q3_K": (108,), "Q2_K": (80, 82)}.get(kind, ()):
            whole[start : start + 2] = np.frombuffer(np.float16(0.03).tobytes(), np.uint8)
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "test")
    writer.add_tensor("a", data, raw_dtype=quantisation)
    close(writer)
    header = read_gguf_header(tmp_path / "x.gguf")
    assert header.tensors["a"].shape == (6, 2 * weights)
    packed = read_gguf_tensors(tmp_path / "x.gguf", header, {"a": "a"})["a"]
    assert isinstance(packed, Packed)
    expected = torch.from_numpy(gguf.dequantize(data, quantisation))
    assert expected.isfinite().all()
    assert torch.equal(dense(packed), expected)
    assert torch.equal(dense(packed[2:5]), expected[2:5])


def close(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# ---- packed tensors ----


@pytest.mark.parametrize("storage", ["int8", "float8", "nf4"])
def test_a_packed_tensor_is_to_everybody_its_weights(storage):
    packed = pack(torch.randn(96, 64, generator=torch.Generator().manual_seed(1)), storage)
    plain = dense(packed)
    assert type(plain) is Tensor
    assert packed.shape == plain.shape
    assert packed.dtype == torch.float32
    for work in (
        lambda t: t.chunk(3)[1],
        lambda t: t[10:20],
        lambda t: t.T,
        lambda t: t.reshape(48, 128),
        lambda t: t[:, :, None, None].flatten(1),
        lambda t: torch.cat([t, t]),
        lambda t: t.to(torch.bfloat16),
        lambda t: t * 2 + 1,
        lambda t: t.split((32, 64))[1],
    ):
        assert torch.equal(dense(work(packed)), work(plain))
    if storage != "nf4":
        assert isinstance(packed.chunk(3)[2], Packed)
        assert isinstance(packed.detach(), Packed)


# ---- networks ----


@pytest.mark.parametrize(("storage", "limit", "share"), [("float8", 0.06, 0.30), ("int8", 0.02, 0.30), ("nf4", 0.25, 0.17)])
def test_a_packed_network_is_small_and_nearly_the_same(folder, storage, limit, share):
    recipe = describe_model(folder / "model", "digest").denoiser
    whole, packed = load_denoiser(recipe, "cpu"), load_denoiser(replace(recipe, storage=storage), "cpu")
    found = error(output(packed), output(whole))
    assert 0 < found < limit
    stored = [layer for layer in packed.module.modules() if is_stored(layer)]
    inside = sum(module_bytes(layer) for layer in stored) - sum(layer.bias.nbytes for layer in stored if layer.bias is not None)
    dense_bytes = sum(layer.weight.numel() * 4 for layer in stored)
    assert inside / dense_bytes < share
    assert packed.nbytes < whole.nbytes - dense_bytes + inside + 1
    assert inside > 0.1 * whole.nbytes * share


def test_text_encoders_are_packed_as_well(tmp_path):
    recipe = describe_model(STARTER, "digest").text_encoder
    plain = load_text_encoder(recipe, "cpu")
    packed = load_text_encoder(replace(recipe, storage="int8"), "cpu")
    assert packed.nbytes < 0.75 * plain.nbytes  # its table of words stays
    a, b = plain.encode(["a panda"])[0], packed.encode(["a panda"])[0]
    assert torch.allclose(a.states, b.states, atol=1e-5)  # the file's own int8, which nothing was rounded for again


def test_the_starter_models_int8_files_are_opened_up_unless_storage_says_otherwise():
    recipe = describe_model(STARTER, "digest").denoiser
    plain = load_denoiser(recipe, "cpu")
    assert not any(map(is_stored, plain.module.modules()))
    packed = load_denoiser(replace(recipe, storage="int8"), "cpu")
    assert packed.nbytes < 0.35 * plain.nbytes
    for name, layer in packed.module.named_modules():
        if is_stored(layer):
            assert torch.equal(layer.weight, plain.module.get_submodule(name).weight)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2])
def test_a_float8_file_stays_float8_in_memory_and_computes_like_its_cast(folder, tmp_path, dtype):
    tensors = load_file(folder / "single.safetensors")
    cast = {n: t.to(dtype) if "model.diffusion_model" in n and t.ndim > 1 else t for n, t in tensors.items()}
    small, wide = (
        save(tmp_path, folder, name, t) for name, t in (("small", cast), ("wide", {n: t.float() for n, t in cast.items()}))
    )
    ours, expected = (load_denoiser(describe_model(p, "d").denoiser, "cpu") for p in (small, wide))
    weights = expected.module.state_dict()
    stored = [(name, layer) for name, layer in ours.module.named_modules() if is_stored(layer)]
    assert stored
    assert all(torch.equal(layer.weight, weights[f"{name}.weight"]) for name, layer in stored)
    assert torch.allclose(output(ours), output(expected), rtol=1e-3, atol=1e-4)  # another memory order, so not to the bit
    assert ours.nbytes < 0.35 * expected.nbytes
    assert (
        error(output(ours), output(load_denoiser(describe_model(folder / "single.safetensors", "d").denoiser, "cpu"))) > 0.001
    )


def test_the_scales_of_a_float8_file_count(tmp_path):
    weight = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    stored = {"a.weight": (weight / 0.01).clamp(-448, 448).to(torch.float8_e4m3fn), "a.scale_weight": torch.tensor(0.01)}
    save_file(stored, tmp_path / "x.safetensors")
    found = read_tensors(tmp_path / "x.safetensors")
    assert found.keys() == {"a.weight"}
    assert torch.equal(dense(found["a.weight"]), stored["a.weight"].float() * 0.01)


def save(tmp_path: Path, folder: Path, name: str, tensors: dict[str, Tensor]) -> Path:
    path = tmp_path / f"{name}.safetensors"
    save_file(tensors, path)
    path.with_suffix(".config").symlink_to(folder / "single.config")
    return path


# ---- GGUF ----


def write_gguf(path: Path, folder: Path, kind: str, bare: bool = False, cut: int = 0) -> Path:
    """The tiny model as GGUF: linear layers of the U-Net quantised, the rest as it is."""
    writer = gguf.GGUFWriter(path, "sd1")
    quantisation = gguf.GGMLQuantizationType[kind]
    for name, tensor in pipeline_to_ldm(tiny_sd1()).items():
        inner = name.removeprefix("model.diffusion_model.")
        if bare and inner == name:
            continue
        data = tensor.numpy()
        if inner != name and tensor.ndim == 2:
            writer.add_tensor(inner if bare else name, gguf.quantize(data, quantisation), raw_dtype=quantisation)
        elif tensor.ndim == 4:  # as stable-diffusion.cpp has convolutions
            writer.add_tensor(inner if bare else name, data.astype(np.float16))
        else:
            writer.add_tensor(inner if bare else name, data)
    close(writer)
    if cut:
        path.write_bytes(path.read_bytes()[:-cut])
    path.with_suffix(".config").symlink_to(folder / "single.config")
    return path


def test_a_whole_gguf_file_is_a_model_and_stays_small_in_memory(folder, tmp_path):
    recipes = describe_model(write_gguf(tmp_path / "x.gguf", folder, "Q8_0"), "digest")
    plain = describe_model(folder / "model", "digest")
    packed, whole = load_denoiser(recipes.denoiser, "cpu"), load_denoiser(plain.denoiser, "cpu")
    assert 0 < error(output(packed), output(whole)) < 0.02
    layers = [layer for layer in packed.module.modules() if is_stored(layer)]
    assert layers
    assert packed.nbytes < whole.nbytes
    a, b = (load_text_encoder(r.text_encoder, "cpu").encode(["a red apple"])[0] for r in (recipes, plain))
    assert torch.equal(a.states, b.states)


def test_a_gguf_file_with_a_denoiser_alone_is_refused_as_a_model_and_takes_a_denoisers_place(folder, tmp_path):
    path = write_gguf(tmp_path / "bare.gguf", folder, "Q4_0", bare=True)
    with pytest.raises(ModelError, match="denoiser_from_file"):
        describe_model(path, "digest")
    recipe = describe_model(folder / "model", "digest").denoiser
    taken = denoiser_from_file(ModelFile("bare", path, "bare"), recipe)
    assert taken == replace(recipe, path=str(path), digest="bare")
    found = load_denoiser(taken, "cpu")
    assert 0.001 < error(output(found), output(load_denoiser(recipe, "cpu"))) < 0.3


def test_a_file_that_is_no_such_denoiser_does_not_take_its_place(folder, tmp_path):
    recipe = describe_model(folder / "model", "digest").denoiser
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(NodeError, match="cannot be used") as caught:
        denoiser_from_file(ModelFile("other", tmp_path / "other.safetensors", "x"), recipe)
    assert caught.value.socket == "file"


def test_a_damaged_gguf_file_is_told(folder, tmp_path):
    with pytest.raises(ModelError, match="cut short"):
        describe_model(write_gguf(tmp_path / "x.gguf", folder, "Q8_0", cut=100), "digest")
    (tmp_path / "y.gguf").write_bytes(b"GGUF\x03\0\0\0" + b"\xff" * 60)
    with pytest.raises(NodeError, match="not a GGUF file"):
        read_gguf_header(tmp_path / "y.gguf")
    whole = (tmp_path / "x.gguf").read_bytes()
    order = random.Random(0)
    for _ in range(200):  # nothing but NodeError comes of any damage to the header
        broken = bytearray(whole[:4000])
        for _ in range(3):
            broken[order.randrange(len(broken))] = order.randrange(256)
        (tmp_path / "z.gguf").write_bytes(broken)
        with pytest.raises(NodeError):
            read_gguf_header(tmp_path / "z.gguf")


def test_the_shape_that_comfyui_notes_for_a_reshaped_tensor_counts(tmp_path):
    weight = np.random.default_rng(0).standard_normal((64, 16, 3, 3)).astype(np.float32)
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "sdxl")
    writer.add_array("comfy.gguf.orig_shape.a", [64, 16, 3, 3])
    quantised = gguf.quantize(weight.reshape(-1, 256), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("a", quantised, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    close(writer)
    found = read_gguf_tensors(tmp_path / "x.gguf", read_gguf_header(tmp_path / "x.gguf"), {"a": "a"})["a"]
    assert found.shape == weight.shape
    assert torch.equal(
        dense(found), torch.from_numpy(gguf.dequantize(quantised, gguf.GGMLQuantizationType.Q8_0)).reshape(weight.shape)
    )


# ---- LoRA on packed weights ----


@pytest.fixture(scope="module")
def lora(folder: Path) -> Lora:
    generator = torch.Generator().manual_seed(2)
    unet = load_denoiser(describe_model(folder / "model", "digest").denoiser, "cpu").module
    tensors = {}
    for name, layer in unet.named_modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d) and "transformer_blocks" in name + (
            "transformer_blocks" if "conv1" in name else ""
        ):
            weight, stem = layer.weight, "lora_unet_" + name.replace(".", "_")
            tensors[f"{stem}.lora_down.weight"] = torch.randn(3, *weight.shape[1:], generator=generator) * 0.1
            tensors[f"{stem}.lora_up.weight"] = torch.randn(len(weight), 3, *[1] * (weight.ndim - 2), generator=generator) * 0.2
            tensors[f"{stem}.alpha"] = torch.tensor(2.0)
    save_file(tensors, folder / "lora.safetensors")
    return Lora("lora", str(folder / "lora.safetensors"), "lora")


@pytest.mark.parametrize("storage", ["int8", "nf4", "float8"])
def test_a_lora_on_packed_weights_is_exactly_itself_and_comes_off(folder, lora, storage):
    recipe = replace(describe_model(folder / "model", "digest").denoiser, storage=storage)
    packed = load_denoiser(recipe, "cpu")
    before = output(packed)
    state = {name: tensor.clone() for name, tensor in (*packed.module.named_parameters(), *packed.module.named_buffers())}
    opened = opened_up(packed, recipe, folder)  # the same weights, unpacked into a plain network's file
    adapt(packed, replace(recipe, patches=(lora,)))
    adapted = load_denoiser(replace(opened, patches=(lora,)), "cpu")
    assert torch.allclose(output(packed), output(adapted), rtol=1e-3, atol=1e-4)
    assert error(output(packed), before) > 0.05
    adapt(packed, recipe)
    after = dict((*packed.module.named_parameters(), *packed.module.named_buffers()))
    assert state.keys() == after.keys()
    assert all(torch.equal(state[name], after[name]) for name in state)
    assert torch.equal(output(packed), before)


def opened_up(network: Any, recipe: Denoiser, folder: Path) -> Denoiser:
    weights = {name: layer.weight for name, layer in network.module.named_modules() if is_stored(layer)}
    target = folder / f"opened_{recipe.storage}"
    import shutil

    shutil.copytree(folder / "model", target)
    file = target / "unet/diffusion_pytorch_model.safetensors"
    stored = load_file(file)
    save_file(stored | {f"{name}.weight": weight.contiguous() for name, weight in weights.items()}, file)
    return replace(recipe, path=str(target), storage="as_stored")


def test_a_lora_leaves_the_starter_models_weights_as_it_found_them(lora, tmp_path):
    for storage in ("as_stored", "int8"):
        recipe = describe_model(STARTER, "digest", storage=storage).denoiser
        network = load_denoiser(recipe, "cpu")
        name = next(n for n, layer in network.module.named_modules() if n.endswith("attn2.to_k"))
        shape = network.module.get_submodule(name).weight.shape
        stem = "unet." + name
        path = tmp_path / f"{storage}.safetensors"
        save_file({f"{stem}.lora_A.weight": torch.randn(2, shape[1]), f"{stem}.lora_B.weight": torch.randn(shape[0], 2)}, path)
        before = {n: t.clone() for n, t in network.module.state_dict().items()}
        weight = network.module.get_submodule(name).weight.clone()
        adapt(network, replace(recipe, patches=(Lora("x", str(path), storage),)))
        if storage == "as_stored":
            assert not torch.equal(network.module.get_submodule(name).weight, weight)
        adapt(network, recipe)
        assert all(torch.equal(t, before[n]) for n, t in network.module.state_dict().items())
        assert torch.equal(network.module.get_submodule(name).weight, weight)
