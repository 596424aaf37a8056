"""Weights from disk: mapped tensors are what was stored, and converting them leaves none of the file in memory."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import save_single_file, tiny_sd1
from torch import nn

from nodegraph_nodes.diffusion.families import describe_model, load_denoiser, load_text_encoder
from nodegraph_nodes.diffusion.families.assemble import fill
from nodegraph_nodes.diffusion.families.errors import BrokenModel
from nodegraph_nodes.diffusion.families.mapped import MappedFile, let_go
from nodegraph_nodes.diffusion.families.parts import denoiser_bytes, text_encoder_bytes
from nodegraph_nodes.diffusion.families.source import ModelSource, read_tensors

MIB = 1 << 20


def mapped_bytes() -> int:
    """What of mapped files is in this process's memory now."""
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("only Linux tells")
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("RssFile")]
    return int(line.split()[1]) * 1024


def test_every_kind_of_tensor_is_read_as_safetensors_reads_it(tmp_path: Path) -> None:
    kinds = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
    kinds += [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64]
    stored = {str(kind): (torch.arange(6).reshape(2, 3) - (2 if kind.is_signed else 0)).to(kind) for kind in kinds}
    stored |= {"bool": torch.tensor([True, False]), "number": torch.tensor(3.5), "empty": torch.zeros(0, 4)}
    save_file(stored, tmp_path / "all.safetensors")
    expected = load_file(tmp_path / "all.safetensors")
    found = read_tensors(tmp_path / "all.safetensors")
    assert {name: (t.dtype, t.shape) for name, t in found.items()} == {n: (t.dtype, t.shape) for n, t in expected.items()}
    assert all(torch.equal(found[name].double(), tensor.double()) for name, tensor in expected.items())


def test_a_tensor_that_begins_at_an_odd_byte_is_read(tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}'
    file = tmp_path / "odd.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" + struct.pack("<2f", 1.5, -2))
    assert read_tensors(file)["a"].tolist() == [1.5, -2]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [('"F32","shape":[2],"data_offsets":[0,4]', "another size"), ('"F4","shape":[2],"data_offsets":[0,1]', "stored as F4")],
)
def test_a_header_that_contradicts_itself_is_a_broken_model(entry: str, problem: str, tmp_path: Path) -> None:
    header = f'{{"a":{{"dtype":{entry}}}}}'.encode()
    file = tmp_path / "bad.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(BrokenModel, match=problem):
        read_tensors(file)


def test_what_is_let_go_leaves_memory_and_is_there_again_when_it_is_touched(tmp_path: Path) -> None:
    values = torch.arange(8 * MIB // 4, dtype=torch.float32)
    save_file({"a": values}, tmp_path / "a.safetensors")
    (tensor,) = read_tensors(tmp_path / "a.safetensors").values()
    before = mapped_bytes()
    assert torch.equal(tensor, values)
    assert mapped_bytes() > before + 7 * MIB  # or there would be nothing to let go
    let_go(tensor)
    assert mapped_bytes() < before + MIB
    assert torch.equal(tensor, values)


def test_what_lies_in_no_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(MIB))
    file = MappedFile(tmp_path / "file")
    own = torch.ones(4 * MIB)
    let_go(own)
    let_go(torch.empty(3, device="meta"))
    assert own.min() == 1
    assert len(file) == MIB


@pytest.mark.parametrize("channels_last", [False, True])
def test_filling_a_network_leaves_no_second_copy_in_memory(channels_last: bool, tmp_path: Path) -> None:
    layers = {"0": nn.Conv2d(256, 256, 3), "1": nn.Conv2d(256, 256, 3), "2": nn.Linear(1024, 1024)}
    network = nn.Sequential(*layers.values())
    expected = {name: tensor.half() for name, tensor in network.state_dict().items()}
    save_file(expected, tmp_path / "a.safetensors")
    with torch.device("meta"):
        empty = nn.Sequential(nn.Conv2d(256, 256, 3), nn.Conv2d(256, 256, 3), nn.Linear(1024, 1024))
    before = mapped_bytes()
    filled: Any = fill(
        empty, read_tensors(tmp_path / "a.safetensors"), "a", "network", torch.float32, channels_last=channels_last
    )
    assert mapped_bytes() < before + MIB
    assert filled[0].weight.is_contiguous(memory_format=torch.channels_last) == channels_last
    assert all(torch.equal(tensor, expected[name].float()) for name, tensor in filled.state_dict().items())
    assert torch.equal(filled.originals.weight("2.weight"), expected["2.weight"].float())
    assert mapped_bytes() < before + MIB


def test_what_needs_no_converting_stays_in_the_file(tmp_path: Path) -> None:
    save_file({"weight": torch.randn(64, 64)}, tmp_path / "a.safetensors")
    with torch.device("meta"):
        empty = nn.Linear(64, 64, bias=False)
    tensors = read_tensors(tmp_path / "a.safetensors")
    assert fill(empty, tensors, "a", "network", torch.float32).weight.data_ptr() == tensors["weight"].data_ptr()


def test_a_large_network_uses_the_tiles_of_a_cpu_that_has_them_and_a_small_one_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = tiny_sd1()
    pipeline.save_pretrained(tmp_path / "folder")
    save_single_file(pipeline, tmp_path / "single.safetensors")
    parts = [pipeline.unet, pipeline.text_encoder]
    sizes = [sum(p.numel() * p.element_size() for p in part.parameters()) for part in parts]
    for path in (tmp_path / "folder", tmp_path / "single.safetensors"):
        source = ModelSource(path, "digest")
        found = [denoiser_bytes(source), text_encoder_bytes(source)]
        assert all(size <= bytes_ < size + 100_000 for size, bytes_ in zip(sizes, found, strict=True))
    recipes = describe_model(tmp_path / "folder", "digest")

    def dtypes() -> list[torch.dtype]:
        networks: list[Any] = [load_denoiser(recipes.denoiser, "cpu"), load_text_encoder(recipes.text_encoder, "cpu")]
        return [networks[0].module.conv_in.weight.dtype, next(networks[1].towers[0].model.parameters()).dtype]

    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert dtypes() == [torch.float32] * 2
    monkeypatch.setattr("nodegraph_nodes.diffusion.families.precision._LARGE_BYTES", min(sizes))
    assert dtypes() == [torch.bfloat16] * 2
    recipes = recipes._replace(denoiser=replace(recipes.denoiser, precision="float32"))
    assert dtypes() == [torch.float32, torch.bfloat16]
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
    assert dtypes() == [torch.float32] * 2
