"""What a user can get wrong with models and prompts, in whole graphs: each is told by node, socket and what to do instead."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_controls import tiny_adapter, tiny_controlnet
from tiny_models import save_single_file, tiny_sd1
from tiny_models.xl import tiny_sdxl
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

import nodegraph
from nodegraph.api.paths import shipped
from nodegraph.sdk.errors import Problem
from nodegraph_nodes.diffusion.families.kinds import kind_of

LOADERS = {  # node: its file's socket, and the files below that it can use
    "diffusion/load_model": ("model", {"whole", "xl"}),
    "diffusion/load_autoencoder": ("model", {"whole", "xl", "vae folder"}),
    "diffusion/load_controlnet": ("model", {"controlnet", "controlnet folder", "t2i"}),
    "diffusion/load_ip_adapter": ("model", {"ip"}),
    "diffusion/load_image_encoder": ("model", {"image encoder"}),
    "diffusion/load_embedding": ("embedding", {"word"}),
    "diffusion/apply_lora": ("lora", {"lora"}),
    "diffusion/denoiser_from_file": ("file", {"whole", "unet"}),
    "upscale/load_upscaler": ("model", {"upscaler"}),
}
READERS = {  # file: the node that reads it
    "lora.safetensors": "diffusion/apply_lora",
    "controlnet.safetensors": "diffusion/load_controlnet",
    "controlnet folder": "diffusion/load_controlnet",
    "t2i.safetensors": "diffusion/load_controlnet",
    "ip.safetensors": "diffusion/load_ip_adapter",
    "image encoder": "diffusion/load_image_encoder",
    "word.safetensors": "diffusion/load_embedding",
    "vae.safetensors": "diffusion/load_autoencoder",
    "vae folder": "diffusion/load_autoencoder",
    "upscaler.safetensors": "upscale/load_upscaler",
    "compact.safetensors": "upscale/load_upscaler",
    "unet.safetensors": "diffusion/denoiser_from_file",
    "whole": "diffusion/load_model",
    "xl": "diffusion/load_model",
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small file or folder of each kind."""
    root = tmp_path_factory.mktemp("kinds")
    pipeline = tiny_sd1()
    pipeline.save_pretrained(root / "whole")
    tiny_sdxl().save_pretrained(root / "xl")
    pipeline.vae.save_pretrained(root / "vae folder")
    whole = load_file(save_single_file(pipeline, root / "single.safetensors"))
    parts = {"vae": "first_stage_model.", "unet": "model."}
    files = {name: {n.removeprefix("first_stage_model."): t for n, t in whole.items() if n.startswith(start)}
             for name, start in parts.items()}  # fmt: skip
    network = tiny_controlnet(pipeline.unet)
    network.save_pretrained(root / "controlnet folder")
    files |= {
        "controlnet": network.state_dict(),
        "t2i": tiny_adapter().state_dict(),
        "ip": {"image_proj.proj.weight": torch.zeros(128, 24), "ip_adapter.1.to_k_ip.weight": torch.zeros(32, 32)},
        "word": {"emb_params": torch.zeros(2, 32)},
        "wide": {"emb_params": torch.zeros(2, 48)},
        "bias": {"layer.weight": torch.zeros(3)},
        "lora": {f"lora_unet_mid_block_x.lora_{n}.weight": torch.zeros(2, 2) for n in ("down", "up")},
        "upscaler": {"model.0.weight": torch.zeros(8), "model.1.sub.0.RDB1.conv1.0.weight": torch.zeros(8)},
        "compact": {name: torch.zeros(3) for name in ("body.0.weight", "body.0.bias", "body.1.weight", "body.2.weight")},
    }
    for name, tensors in files.items():
        save_file({n: t.contiguous() for n, t in tensors.items()}, root / f"{name}.safetensors")
    config = CLIPVisionConfig(hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=16,
                              patch_size=8, projection_dim=8)  # fmt: skip
    CLIPVisionModelWithProjection(config).save_pretrained(root / "image encoder")
    return root


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[nodegraph.Session]:
    with nodegraph.Session(tmp_path_factory.mktemp("data"), disk_bytes=0, models=[models]) as opened:
        yield opened


def node(session: nodegraph.Session, kind: str, links: dict[str, Any] | None = None, **inputs: Any) -> dict[str, Any]:
    return {"type": kind, "version": session.catalog.nodes[kind].version, "inputs": inputs, "links": links or {}}


def problems(session: nodegraph.Session, folder: Path, wanted: str, nodes: dict[str, Any]) -> tuple[str, list[Problem]]:
    """Whether it was refused "before" or during the "run", and all that was said."""
    file = folder / "graph.json"
    file.write_text(json.dumps({"nodegraph": 1, "id": "bad", "title": "Bad", "nodes": nodes}))
    try:
        nodegraph.load(file, session).run(wanted=[wanted])
    except nodegraph.InvalidWorkflow as error:
        return "before", list(error.problems)
    except nodegraph.RunFailed as error:
        return "run", list(error.result.run.problems)
    return "fine", []


def nodes_with(session: nodegraph.Session, tested: dict[str, Any]) -> dict[str, Any]:
    return {
        "base": node(session, "diffusion/load_model", model="whole"),
        "other": node(session, "diffusion/load_model", model="xl"),
        "here": node(session, "diffusion/encode_prompt", {"encoder": "base.text_encoder"}, text="a cat"),
        "there": node(session, "diffusion/encode_prompt", {"encoder": "other.text_encoder"}, text="a cat"),
        "tested": tested,
    }


@pytest.mark.parametrize(("file", "reader"), READERS.items())
def test_a_file_says_by_its_names_which_node_reads_it(models: Path, file: str, reader: str) -> None:
    found = kind_of(models / file)
    assert found is not None
    assert found.node == reader


def test_what_is_unknown_has_no_kind(models: Path, tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("<html>404</html>")
    assert kind_of(models / "bias.safetensors") is None
    assert kind_of(tmp_path / "text.safetensors") is None
    assert kind_of(tmp_path) is None


@pytest.mark.parametrize("loader", LOADERS)
def test_every_loading_node_names_the_kind_of_a_wrong_file_and_the_node_for_it(
    session: nodegraph.Session, tmp_path: Path, loader: str
) -> None:
    socket, own = LOADERS[loader]
    known = {"denoiser": "denoiser", "like": "denoiser", "text_encoder": "text_encoder", "encoder": "text_encoder"}
    spec = session.catalog.nodes[loader]
    links = {each.name: f"base.{known[each.name]}" for each in spec.inputs if each.name in known}
    output = spec.outputs[0].name
    for file, reader in READERS.items():
        stem = file.removesuffix(".safetensors")
        if stem in own or reader == loader or (loader, stem) == ("diffusion/load_model", "unet"):
            continue
        named = {"word": "w"} if loader == "diffusion/load_embedding" else {}
        graph = nodes_with(session, node(session, loader, links, **{socket: file}, **named))
        when, (problem,) = problems(session, tmp_path, f"tested.{output}", graph)
        if (loader, file) == ("diffusion/denoiser_from_file", "xl"):
            assert (problem.socket, problem.expected, problem.got) == ("file", "sd1", "sdxl")
            continue
        assert (when, problem.node, problem.socket) == ("run", "tested", socket), (file, problem)
        assert problem.code == "node_failed"
        assert reader in (problem.hint or ""), (file, problem)
        assert problem.expected
        assert problem.got not in (None, "", problem.expected), (file, problem)


@pytest.mark.parametrize(
    ("file", "says"),
    [("wide.safetensors", "vectors of 48 numbers.*vectors of 32 numbers"), ("bias.safetensors", "vectors of 3 numbers")],
)
def test_an_embedding_of_another_width_is_refused_where_it_is_loaded(session, tmp_path, file, says) -> None:
    graph = nodes_with(
        session, node(session, "diffusion/load_embedding", {"encoder": "base.text_encoder"}, embedding=file, word="w")
    )
    _, (problem,) = problems(session, tmp_path, "tested.text_encoder", graph)
    assert problem.socket == "embedding"
    assert re.search(says, problem.message)


def test_leaving_out_more_layers_than_there_are_is_refused_at_the_node(session, tmp_path) -> None:
    cut = node(session, "diffusion/clip_skip", {"encoder": "base.text_encoder"}, skip=30)
    _, (problem,) = problems(session, tmp_path, "tested.text_encoder", nodes_with(session, cut))
    assert (problem.node, problem.socket, problem.got) == ("tested", "skip", "30")
    assert "at most 1" in problem.message


def test_a_negative_prompt_of_another_kind_of_model_is_refused(session, tmp_path) -> None:
    links = {"positive": "here.conditioning", "negative": "there.conditioning"}
    graph = nodes_with(session, node(session, "diffusion/guidance", links))
    _, (problem,) = problems(session, tmp_path, "tested.guidance", graph)
    assert (problem.socket, problem.expected, problem.got) == ("negative", "sd1", "sdxl")


@pytest.mark.parametrize(
    ("kind", "links", "inputs", "socket", "output"),
    [
        (
            "diffusion/noise_schedule",
            {"denoiser": "base.denoiser"},
            {"sigma_min": 5.0, "sigma_max": 1.0},
            "sigma_min",
            "schedule",
        ),
        ("diffusion/time_prompt", {"prompt": "here.conditioning"}, {"start": 0.9, "end": 0.1}, "end", "conditioning"),
        (
            "diffusion/schedule_prompts",
            {"first": "here.conditioning", "then": "here.conditioning"},
            {"step": 9, "steps": 4},
            "step",
            "conditioning",
        ),
        ("mask/rectangle_mask", {}, {"left": 0.8, "right": 0.2}, "right", "mask"),
    ],
)
def test_ranges_the_wrong_way_round_are_refused_before_anything_runs(
    session, tmp_path, kind, links, inputs, socket, output
) -> None:
    graph = nodes_with(session, node(session, kind, links, **inputs))
    when, (problem,) = problems(session, tmp_path, f"tested.{output}", graph)
    assert (when, problem.node, problem.socket) == ("before", "tested", socket)
    assert problem.expected
    assert problem.got


def test_descriptions_of_shipped_workflows_are_short() -> None:
    for file in sorted(shipped("workflows").glob("*.json")):
        document = json.loads(file.read_text("utf-8"))
        assert len(document["description"]) <= 140, file.name
        assert document["title"]
        assert all("title" in item and "group" in item for item in document["interface"]["inputs"].values()), file.name
