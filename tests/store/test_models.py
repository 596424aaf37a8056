"""Models in folders: found by the names that documents give, told apart by their headers, and read whole when asked."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from nodegraph.api.paths import roots, shipped
from nodegraph.sdk.errors import NodeError
from nodegraph.store import Digests, Roots
from nodegraph.store.model_folders import layout_of, register, registered, registered_roots, unregister
from nodegraph.store.model_headers import check_whole, recognise
from nodegraph.store.models import ModelInfo, list_models, verify_model

SD1 = {
    "model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3),
    "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
    "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3),
    "first_stage_model.encoder.conv_in.weight": (128, 3, 3, 3),
    "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight": (3072, 768),
}


def model(path: Path, shapes: dict[str, tuple[int, ...]] | None = None, fill: int = 1) -> Path:
    """A small safetensors file, as the format's own library writes it; shapes keep their rank and last size only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.full(shape, fill, np.int8) for name, shape in (shapes or {"a": (2, 3), "b": (4,)}).items()}, path)
    return path


def names(found: list[ModelInfo]) -> list[str]:
    return [info.name for info in found]


def comfyui(folder: Path) -> Path:
    for kind in ("checkpoints", "loras", "vae", "upscale_models", "configs"):
        model(folder / "models" / kind / f"{kind}.safetensors")
    return folder


def a1111(folder: Path) -> Path:
    for kind in ("Stable-diffusion", "Lora", "VAE", "ESRGAN", "karlo"):
        model(folder / "models" / kind / f"{kind}.safetensors")
    model(folder / "embeddings" / "word.safetensors", {"emb_params": (1, 768)})
    return folder


# ---- finding ----


def test_models_are_listed_by_the_names_that_documents_give(tmp_path: Path) -> None:
    model(tmp_path / "plain.safetensors")
    model(tmp_path / "sub" / "deep" / "inner.safetensors")
    model(tmp_path / "whole" / "unet" / "w.safetensors")
    (tmp_path / "whole" / "model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}')
    (tmp_path / "notes.txt").write_text("no model")
    (tmp_path / "old.ckpt").write_bytes(b"pickle")
    model(tmp_path / ".hidden" / "x.safetensors")
    (tmp_path / "plain.config").mkdir()
    found = list_models([tmp_path])
    assert names(found) == ["plain.safetensors", "sub/deep/inner.safetensors", "whole"]
    assert [info.family for info in found] == [None, None, "sdxl"]
    for info in found:
        assert Roots(models=[tmp_path]).find_model(info.name) == info.path


def test_missing_roots_are_passed_over(tmp_path: Path) -> None:
    assert list_models([tmp_path / "no", tmp_path]) == []


def test_of_two_models_of_one_name_the_second_says_that_it_is_not_found(tmp_path: Path) -> None:
    model(tmp_path / "a" / "x.safetensors")
    model(tmp_path / "b" / "x.safetensors")
    first, second = list_models([tmp_path / "a", tmp_path / "b"])
    assert first.trouble is None
    assert str(tmp_path / "a") in (second.trouble or "")


def test_a_link_out_of_a_folder_is_told_for_documents_cannot_follow_it(tmp_path: Path) -> None:
    there = model(tmp_path / "elsewhere" / "x.safetensors")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "x.safetensors").symlink_to(there)
    (tmp_path / "root" / "circle.safetensors").symlink_to("circle.safetensors")
    circle, link = list_models([tmp_path / "root"])
    assert "add the folder" in (link.trouble or "")
    assert circle.trouble
    with pytest.raises(NodeError, match="outside"):
        Roots(models=[tmp_path / "root"]).find_model("x.safetensors")


def test_a_broken_file_is_listed_with_what_is_wrong(tmp_path: Path) -> None:
    whole = model(tmp_path / "cut.safetensors")
    whole.write_bytes(whole.read_bytes()[:-1])
    (tmp_path / "html.safetensors").write_text("<html>not found</html>")
    (tmp_path / "odd.safetensors").write_bytes(struct.pack("<Q", 30) + b'{"a":{"data_offsets":[0,0]}}  ')
    cut, html, odd = list_models([tmp_path])
    assert "cut short" in (cut.trouble or "")
    assert "not a safetensors file" in (html.trouble or "")
    assert odd.trouble is None


def test_a_digest_is_told_where_it_is_remembered_and_nothing_is_read_for_it(tmp_path: Path) -> None:
    path = model(tmp_path / "x.safetensors")
    digests = Digests(tmp_path / "digests.json")
    assert list_models([tmp_path], digests)[0].sha256 is None
    digests.of(path)
    digests.remember()
    assert (
        list_models([tmp_path], Digests(tmp_path / "digests.json"))[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    )
    model(path, fill=2)
    assert list_models([tmp_path], Digests(tmp_path / "digests.json"))[0].sha256 is None


def test_the_bundled_models_are_known() -> None:
    found, upscaler = list_models([shipped("models")])
    assert (found.name, found.kind, found.family, found.trouble) == ("starter", "checkpoint", "starter", None)
    assert found.size_bytes > 1_000_000
    assert (upscaler.name, upscaler.kind, upscaler.trouble) == ("starter-2x.safetensors", "upscaler", None)


# ---- what it is ----


@pytest.mark.parametrize(
    ("shapes", "kind", "family"),
    [
        (SD1, "checkpoint", "sd1"),
        (
            {**SD1, "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (1, 1024)},
            "checkpoint",
            "sd2",
        ),
        ({"model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight": (1,), "text_encoders.a": (1,)}, "checkpoint", "sd3"),
        ({"model.diffusion_model.double_blocks.0.img_attn.qkv.weight": (1,), "vae.a": (1,)}, "checkpoint", "flux"),
        ({"double_blocks.0.img_attn.qkv.weight": (1,)}, "diffusion_model", "flux"),
        ({"input_blocks.0.0.weight": (320, 4, 3, 3), "x.attn2.to_k.weight": (1, 2048)}, "diffusion_model", "sdxl"),
        ({"input_blocks.0.0.weight": (384, 4, 3, 3), "x.attn2.to_k.weight": (1, 1280)}, "diffusion_model", "sdxl_refiner"),
        ({"conv_in.weight": (1,), "time_embedding.linear_1.weight": (1,)}, "diffusion_model", None),
        ({"decoder.conv_in.weight": (1,), "encoder.conv_in.weight": (1,)}, "autoencoder", None),
        ({"lora_unet_x_attn2_to_k.lora_down.weight": (4, 768)}, "lora", "sd1"),
        ({"transformer.single_transformer_blocks.0.proj_out.lora_A.weight": (4, 4)}, "lora", "flux"),
        ({"control_model.input_blocks.0.0.weight": (1,), "control_model.x.attn2.to_k.weight": (1, 768)}, "controlnet", "sd1"),
        ({"text_model.encoder.layers.0.mlp.fc1.weight": (1,)}, "text_encoder", None),
        ({"encoder.block.0.layer.0.SelfAttention.q.weight": (1,)}, "text_encoder", None),
        ({"model.1.sub.0.RDB1.conv1.0.weight": (1,)}, "upscaler", None),
        ({"body.0.weight": (48, 3, 3, 3), "body.1.weight": (48,)}, "upscaler", None),
        ({"body.0.weight": (48, 3, 3, 3), "body.1.weight": (48, 48, 3, 3)}, None, None),
        ({"clip_l": (1, 768), "clip_g": (1, 1280)}, "embedding", "sdxl"),
        ({"weight": (3, 3)}, None, None),
        ({}, None, None),
    ],
)
def test_headers_tell_what_a_model_is(shapes: dict[str, tuple[int, ...]], kind: str | None, family: str | None) -> None:
    assert recognise(shapes) == (kind, family)


SD, XL, REFINER = "StableDiffusionPipeline", "StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline"


def index(pipeline: str, encoder: str = "text_encoder", activation: str = "gelu") -> dict[str, Any]:
    return {"model_index.json": {"_class_name": pipeline}, f"{encoder}/config.json": {"hidden_act": activation}}


@pytest.mark.parametrize(
    ("files", "kind", "family"),
    [
        (index(SD, activation="quick_gelu"), "checkpoint", "sd1"),
        (index(SD), "checkpoint", "sd2"),
        (index(SD, "elsewhere"), "checkpoint", None),
        (index(XL, activation="quick_gelu"), "checkpoint", "sdxl"),
        (index(REFINER, "text_encoder_2"), "checkpoint", "sdxl_refiner"),
        ({"config.json": {"_class_name": "AutoencoderKL"}}, "autoencoder", None),
        ({"config.json": {"_class_name": "ControlNetModel"}}, "controlnet", None),
        ({"config.json": {"architectures": ["CLIPTextModel"]}}, None, None),
    ],
)
def test_configs_tell_what_a_folder_is(tmp_path: Path, files: dict[str, Any], kind: str | None, family: str | None) -> None:
    for name, content in files.items():
        (tmp_path / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "m" / name).write_text(json.dumps(content))
    model(tmp_path / "m" / "weights.safetensors")
    (found,) = list_models([tmp_path])
    assert (found.kind, found.family) == (kind, family)


@given(st.dictionaries(st.text(), st.lists(st.integers()).map(tuple)))
def test_any_names_and_shapes_are_something_or_nothing(shapes: dict[str, tuple[int, ...]]) -> None:
    assert recognise(shapes).kind in (None, "lora", "embedding")


def test_where_the_header_says_nothing_the_folder_does(tmp_path: Path) -> None:
    model(tmp_path / "Lora" / "odd.safetensors")
    (found,) = list_models([tmp_path / "Lora"])
    assert found.kind == "lora"


# ---- whole? ----


def test_a_model_that_is_as_remembered_is_well(tmp_path: Path) -> None:
    path = model(tmp_path / "x.safetensors")
    digests = Digests(tmp_path / "digests.json")
    (info,) = list_models([tmp_path], digests)
    read: list[int] = []
    first = verify_model(info, digests, read.append)
    assert (first.problems, first.against, first.sha256) == ((), (), hashlib.sha256(path.read_bytes()).hexdigest())
    assert sum(read) == info.size_bytes == path.stat().st_size
    digests.remember()
    again = verify_model(info, Digests(tmp_path / "digests.json"))
    assert (again.problems, again.against) == ((), ("remembered",))


def test_a_bit_that_flipped_on_the_disk_is_found(tmp_path: Path) -> None:
    path = model(tmp_path / "x.safetensors")
    digests = Digests()
    (info,) = list_models([tmp_path])
    verify_model(info, digests)
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    for _ in range(2):  # what is remembered stays, or the second look would find nothing
        done = verify_model(info, digests)
        (problem,) = done.problems
        assert problem.code == "changed_model"
        assert problem.got == hashlib.sha256(path.read_bytes()).hexdigest() != problem.expected
        assert done.sha256 is None


def test_a_file_that_was_replaced_is_not_compared_with_what_it_was(tmp_path: Path) -> None:
    path = model(tmp_path / "x.safetensors")
    digests = Digests()
    verify_model(list_models([tmp_path])[0], digests)
    path.unlink()
    model(path, {"other": (5,)})
    done = verify_model(list_models([tmp_path])[0], digests)
    assert (done.problems, done.against) == ((), ())


@pytest.mark.skipif(sys.platform == "win32", reason="no sha256sum there")
@pytest.mark.parametrize("sidecar", ["x.safetensors.sha256", "x.sha256"])
def test_a_sidecar_as_sha256sum_writes_it_is_compared(tmp_path: Path, sidecar: str) -> None:
    path = model(tmp_path / "x.safetensors")
    written = subprocess.run(["sha256sum", path.name], cwd=tmp_path, capture_output=True, check=True).stdout
    (tmp_path / sidecar).write_bytes(written.upper() if sidecar == "x.sha256" else written)
    (info,) = list_models([tmp_path])
    assert verify_model(info).against == ("sidecar",)
    assert not verify_model(info).problems
    model(path, fill=3)
    (problem,) = verify_model(list_models([tmp_path])[0]).problems
    assert sidecar in problem.message
    (tmp_path / sidecar).write_text("no digest")
    assert verify_model(info).problems[0].code == "broken_sidecar"


def test_a_folder_is_verified_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model_index.json").write_text("{}")
    for part in ("unet", "vae"):
        model(tmp_path / "m" / part / "w.safetensors")
    digests = Digests()
    (info,) = list_models([tmp_path])
    done = verify_model(info, digests)
    assert done.sha256 == digests.of(info.path)
    (tmp_path / "m" / "vae" / "w.safetensors.sha256").write_text("0" * 64)
    (problem,) = verify_model(info, digests).problems
    assert problem.expected == "0" * 64


def test_a_model_that_is_gone_or_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    path = model(tmp_path / "x.safetensors")
    (info,) = list_models([tmp_path])
    path.unlink()
    (problem,) = verify_model(info).problems
    assert problem.code == "unreadable_model"


def test_what_progress_raises_ends_the_reading(tmp_path: Path) -> None:
    model(tmp_path / "x.safetensors")
    (info,) = list_models([tmp_path])

    def stop(nbytes: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify_model(info, None, stop)


def written(path: Path, header: Any, data: bytes) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


@pytest.mark.parametrize(
    ("header", "data", "words"),
    [
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(9), "1 bytes at its end"),
        ({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, bytes(8), "does not take the bytes"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, bytes(8), "does not take the bytes"),
        (
            {
                "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                "b": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]},
            },
            bytes(6),
            "does not take the bytes",
        ),
        ({"a": {"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}}, bytes(4), "unknown type"),
        ({"a": {"shape": [1], "data_offsets": [0, 4]}}, bytes(4), "no tensors"),
        ({"a": {"dtype": "F32", "shape": "x", "data_offsets": [0, 4]}}, bytes(4), "no tensors"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}}, bytes(8), "no tensors"),
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, bytes(7), "cut short"),
        (b'{"a":', b"", "not a safetensors file"),
    ],
)
def test_a_header_that_does_not_add_up_is_refused(tmp_path: Path, header: Any, data: bytes, words: str) -> None:
    with pytest.raises(NodeError, match=words):
        check_whole(written(tmp_path / "x.safetensors", header, data))


dtypes = st.sampled_from(["int8", "uint8", "int16", "float16", "float32", "float64", "int64", "bool"])


@given(st.dictionaries(st.text("abc.", min_size=1), st.tuples(dtypes, st.lists(st.integers(0, 3), max_size=3)), max_size=5))
def test_what_the_formats_library_writes_is_whole(tmp_path: Path, tensors: dict[str, tuple[str, list[int]]]) -> None:
    save_file({name: np.zeros(shape, dtype) for name, (dtype, shape) in tensors.items()}, tmp_path / "x.safetensors")
    check_whole(tmp_path / "x.safetensors")


# ---- other programs' folders ----


def test_a_comfyui_folder_is_recognised_from_inside_and_outside(tmp_path: Path) -> None:
    comfyui(tmp_path)
    for folder in (tmp_path, tmp_path / "models"):
        layout = layout_of(folder)
        assert layout.kind == "comfyui"
        assert [root.name for root in layout.folders] == ["checkpoints", "vae", "loras", "upscale_models"]


def test_an_a1111_folder_is_recognised_with_the_embeddings_beside_it(tmp_path: Path) -> None:
    layout = layout_of(a1111(tmp_path))
    assert layout.kind == "a1111"
    assert [root.name for root in layout.folders] == ["Stable-diffusion", "VAE", "Lora", "ESRGAN", "embeddings"]
    assert names(list_models(layout.folders))[-1] == "word.safetensors"


def test_any_other_folder_is_searched_itself(tmp_path: Path) -> None:
    model(tmp_path / "mine" / "x.safetensors")
    assert layout_of(tmp_path) == ("folder", (tmp_path,))
    assert names(list_models(layout_of(tmp_path).folders)) == ["mine/x.safetensors"]


def test_registered_models_are_found_by_their_bare_names(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", comfyui(tmp_path / "ComfyUI")
    assert register(data, folder)
    found = roots(data)
    assert found.find_model("checkpoints") == folder / "models/checkpoints/checkpoints.safetensors"
    assert found.find_model("loras.safetensors").parent.name == "loras"
    assert "starter" in names(list_models(found.models))
    assert unregister(data, folder)
    with pytest.raises(NodeError):
        roots(data).find_model("checkpoints")


def test_registering_writes_nothing_into_the_folder(tmp_path: Path) -> None:
    folder = comfyui(tmp_path / "ComfyUI")
    before = sorted((path, path.stat().st_mtime_ns) for path in [folder, *folder.rglob("*")])
    register(tmp_path / "data", folder)
    list_models(registered_roots(tmp_path / "data"))
    unregister(tmp_path / "data", folder)
    assert sorted((path, path.stat().st_mtime_ns) for path in [folder, *folder.rglob("*")]) == before


def test_a_folder_is_registered_once(tmp_path: Path) -> None:
    assert register(tmp_path, tmp_path / "a")
    assert not register(tmp_path, tmp_path / "a")
    assert register(tmp_path, tmp_path / "b")
    assert [row.folder.name for row in registered(tmp_path)] == ["a", "b"]
    assert not unregister(tmp_path, tmp_path / "c")


def test_a_folder_on_an_unplugged_disk_is_skipped_and_comes_back(tmp_path: Path) -> None:
    folder = comfyui(tmp_path / "disk")
    register(tmp_path / "data", folder)
    folder.rename(tmp_path / "unplugged")
    assert registered(tmp_path / "data") == [(folder, None)]
    assert registered_roots(tmp_path / "data") == ()
    assert roots(tmp_path / "data").find_model("starter")
    (tmp_path / "unplugged").rename(folder)
    assert len(registered_roots(tmp_path / "data")) == 4


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"folders": [3]}', '{"folders": ["relative"]}', "\x00", "[" * 100_000])
def test_a_broken_register_stops_no_run_and_is_not_overwritten(tmp_path: Path, content: str) -> None:
    (tmp_path / "models.json").write_text(content)
    assert registered(tmp_path) == []
    with pytest.raises(NodeError, match=r"models\.json cannot be read"):
        register(tmp_path, tmp_path)
    assert (tmp_path / "models.json").read_text() == content


def test_two_processes_that_register_at_once_both_do(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from nodegraph.store.model_folders import register; "
    code += "[register(Path(sys.argv[1]), Path(f'/{sys.argv[2]}{i}')) for i in range(20)]"
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in "ab"]
    assert [process.wait(60) for process in running] == [0, 0]
    assert len(registered(tmp_path)) == 40


def test_no_model_is_opened_by_a_tensor_library() -> None:
    code = "import sys, nodegraph.store.models, nodegraph.api.paths\n"
    code += "print([n for n in ('torch', 'safetensors', 'numpy') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


# ---- GGUF, and what LoRAs say ----


def gguf_file(path: Path, *names: str) -> Path:
    """A GGUF file as its own package writes it; every tensor is [64, 32] in blocks of 8 bits."""
    writer = gguf.GGUFWriter(path, "sd1")
    for name in names:
        writer.add_tensor(name, np.zeros((64, 34), np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_gguf_files_are_listed_found_and_read_whole(tmp_path: Path) -> None:
    gguf_file(tmp_path / "bare.gguf", "double_blocks.0.img_attn.qkv.weight")
    gguf_file(
        tmp_path / "whole.gguf", "model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.x", "cond_stage_model.y"
    )
    bare, whole = list_models([tmp_path])
    assert (bare.name, bare.kind, bare.family) == ("bare.gguf", "diffusion_model", "flux")
    assert (whole.name, whole.kind) == ("whole.gguf", "checkpoint")
    assert Roots(models=[tmp_path]).find_model("whole") == tmp_path / "whole.gguf"
    assert verify_model(whole).problems == ()
    cut = tmp_path / "whole.gguf"
    cut.write_bytes(cut.read_bytes()[:-64])
    assert "cut short" in (list_models([tmp_path])[1].trouble or "")
    with pytest.raises(NodeError, match="cut short"):
        Roots(models=[tmp_path]).find_model("whole.gguf")
    cut.write_bytes(b"<html>")
    assert "not a GGUF file" in (list_models([tmp_path])[1].trouble or "")


@pytest.mark.parametrize(
    ("metadata", "family"),
    [
        ({"ss_base_model_version": "sdxl_base_v1-0"}, "sdxl"),
        ({"ss_base_model_version": "sd_v1"}, "sd1"),
        ({"modelspec.architecture": "flux-1-dev/lora"}, "flux"),
        ({"modelspec.architecture": "stable-diffusion-v1/lora"}, "sd1"),
        ({"ss_base_model_version": "another"}, None),
        (None, None),
    ],
)
def test_a_loras_metadata_tell_its_family_where_its_tensors_do_not(
    tmp_path: Path, metadata: dict[str, str] | None, family: str | None
) -> None:
    save_file({"lora_unet_x.lora_down.weight": np.zeros((2, 3), np.float32)}, tmp_path / "x.safetensors", metadata)
    (found,) = list_models([tmp_path])
    assert (found.kind, found.family) == ("lora", family)
